"""A client that hangs up before its password is hashed: on the real server, over sockets."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.server import Server

TOKEN = "q7Rz-Qm8ZrTx0aWf"
CLIENTS = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return a server that hashes one password at a time, and takes long for each."""
    slow = {"hash_threads": "1", "hash_memory": "262144", "metrics_token": TOKEN}
    with Server(tmp_path, **slow) as running:
        yield running


def test_passwords_of_clients_that_have_hung_up_are_not_hashed(server: Server) -> None:
    """Those who wait leave the queue, the metric counts them, and no failure is counted."""
    clients = [send_sign_in(server, f"user{number}") for number in range(CLIENTS)]
    until(lambda: have_come(server) == CLIENTS)
    for client in clients:
        client.close()

    until(lambda: number_of(server, "hashing_waiting") == 0)
    until(lambda: number_of(server, "hashing_running") == 0)
    finished = number_of(server, "hashing_finished_total")
    assert finished < CLIENTS / 2
    assert number_of(server, "hashing_abandoned_total") == CLIENTS - finished
    # A failure is counted and logged after its hash.
    until(lambda: server.log.read_text().count('"sign_in.failed"') >= finished)
    assert server.log.read_text().count('"sign_in.failed"') == finished
    assert "request.failed" not in server.log.read_text()


def test_one_client_that_hangs_up_leaves_the_others_in_peace(server: Server) -> None:
    """They are answered, and so is whoever comes next."""
    staying, gone = send_sign_in(server, "ann"), send_sign_in(server, "bob")
    until(lambda: number_of(server, "hashing_waiting") == 1)
    gone.close()
    next_one = send_sign_in(server, "cid")

    for client in (staying, next_one):
        assert client.recv(65536).startswith(b"HTTP/1.1 401")
        client.close()


def send_sign_in(server: Server, name: str) -> socket.socket:
    """Send a sign-in with a wrong password, and return its connection without an answer."""
    body = json.dumps({"username": name, "password": "not the password at all"}).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(
        b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return connection


def have_come(server: Server) -> float:
    """Return how many passwords have reached the pool of a server that abandoned none."""
    text = metrics(server)
    return sum(read(text, f"hashing_{name}") for name in ("waiting", "running", "finished_total"))


def number_of(server: Server, name: str) -> float:
    """Return a number of the server's metrics."""
    return read(metrics(server), name)


def metrics(server: Server) -> str:
    """Return the text of the server's metrics."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx2.get(f"{server.url}/metrics", headers=headers, timeout=30).text


def read(text: str, name: str) -> float:
    """Return a number out of metrics."""
    found = re.search(rf"^gatelodge_{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


def until(holds: Callable[[], bool]) -> None:
    """Return as soon as this holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
