"""How long commands wait for a MongoDB that does not answer."""

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.people import PASSWORD
from tests.support.server import environment, run_command

pytestmark = pytest.mark.alone  # it measures how long they take

UNAVAILABLE = 5
MOST_SECONDS = 10.0


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"mongodb://127.0.0.1:{listener.getsockname()[1]}/shop"


def test_a_mongodb_that_does_not_answer_costs_no_more_than_ten_seconds(
    tmp_path: Path, silent: str
) -> None:
    """Neither the commands that look for a database, nor those that make one, nor the server.

    The server makes the secret key; the commands make nothing.
    """
    closed = "mongodb://127.0.0.1:1,127.0.0.1:2/shop?replicaSet=rs0"
    wanted = [
        (closed, "user list"),
        (closed, "user create ann ann@example.com --password-stdin"),
        (silent, "user list"),
        (silent, "migrate"),
    ]
    servers = [(closed, "serve --port 0"), (silent, "serve --port 0")]

    def run(each: tuple[str, str]) -> tuple[float, subprocess.CompletedProcess[str]]:
        began = time.monotonic()
        where = environment(tmp_path / each[1].split()[0], {"database": each[0]})
        done = run_command(*each[1].split(), environment=where, typed=PASSWORD)
        return time.monotonic() - began, done

    with ThreadPoolExecutor() as pool:
        for took, done in pool.map(run, wanted + servers):
            assert (done.returncode, done.stdout) == (UNAVAILABLE, ""), done.stderr
            assert done.stderr.startswith("MongoDB cannot be reached: ")
            assert done.stderr.count("\n") == 1
            assert took < MOST_SECONDS
    assert [each.name for each in tmp_path.iterdir()] == ["serve"]
