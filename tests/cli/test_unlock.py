"""`gatelodge user unlock`: a name, an address, or everybody may try again."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.support.people import PASSWORD
from tests.support.server import Server

WRONG = "not the password at all"
IPV4, IPV6, NEIGHBOUR = "203.0.113.7", "2001:db8:1:2::7", "2001:db8:1:2:ffff::9"
ABROAD = "2001:db8:1:3::7"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that believes what a proxy on this machine says of the client's address."""
    folder = tmp_path_factory.mktemp("unlock")
    settings = {
        "trusted_proxies": "127.0.0.1",
        "sign_in_tries_per_account": "3",
        "sign_in_tries_per_address": "3",
        "sign_ups_per_address": "1",
    }
    with Server(folder, **settings) as running:
        yield running


def post(server: Server, path: str, address: str, **body: str) -> int:
    headers = {"X-Forwarded-For": address}
    answer = httpx2.post(f"{server.url}{path}", json=body, headers=headers, timeout=20)
    return answer.status_code


def guess(server: Server, name: str, address: str) -> int:
    return post(server, "/api/auth/signin", address, username=name, password=WRONG)


def lock(server: Server, address: str) -> None:
    """Let an address fail, with names that nobody has, until it must wait."""
    assert [guess(server, f"nobody{number}", address) for number in range(4)][-1] == 429


def said(server: Server, *arguments: str) -> object:
    done = server.command("user", "unlock", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def events(server: Server) -> list[dict[str, object]]:
    """Return what the audit log says of it, as the file has it."""
    file = Path(server.environment["GATELODGE_DATA_DIR"]) / "gatelodge.db"
    with closing(sqlite3.connect(file)) as opened:
        rows = opened.execute(
            "SELECT actor, detail FROM events WHERE name = 'attempts.forgiven' ORDER BY id"
        ).fetchall()
    return [{"actor": actor} | json.loads(detail) for actor, detail in rows]


@pytest.mark.parametrize(
    ("address", "named", "place"),
    [
        (IPV4, IPV4, IPV4),
        (IPV6, NEIGHBOUR, "2001:db8:1:2::/64"),  # all of one customer
        ("198.51.100.9", "::ffff:198.51.100.9", "198.51.100.9"),
    ],
)
def test_an_address_may_try_again_at_once(
    server: Server, address: str, named: str, place: str
) -> None:
    said(server, "--all")
    lock(server, address)
    lock(server, ABROAD)

    assert said(server, "--address", named) == {"changed": True, "address": place}

    assert guess(server, "nobody9", address) == 401
    assert guess(server, "nobody9", ABROAD) == 429  # another network stays where it is
    assert events(server)[-1] == {"actor": "command", "address": place}
    done = server.command("user", "unlock", "--address", named)
    assert done.stdout == f"{place} may try again.\n"
    done = server.command("user", "unlock", "--address", named)
    assert done.stdout == f"{place} was not counted.\n"


def test_an_address_may_sign_up_again(server: Server) -> None:
    said(server, "--all")
    body = {"password": PASSWORD}
    for name, status in (("ann", 200), ("bob", 429)):
        body |= {"username": name, "email": f"{name}@example.com"}
        assert post(server, "/api/auth/signup", IPV4, **body) == status

    assert said(server, "--address", IPV4) == {"changed": True, "address": IPV4}

    assert post(server, "/api/auth/signup", IPV4, **body) == 200


def test_everybody_may_try_again(server: Server) -> None:
    said(server, "--all")
    lock(server, IPV4)
    lock(server, ABROAD)
    assert [guess(server, "cid", f"192.0.2.{number}") for number in range(4)][-1] == 429

    told = said(server, "--all")

    assert isinstance(told, dict)
    assert told["forgiven"] >= 4  # two addresses, the names, and everybody together
    for address in (IPV4, ABROAD):
        assert guess(server, "dan", address) == 401
    assert guess(server, "cid", "192.0.2.200") == 401
    assert events(server)[-1]["of"] == "everybody"
    server.command("user", "unlock", "--all")
    assert server.command("user", "unlock", "--all").stdout == "Nobody was counted.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ann", "--all"],
        ["ann", "--address", IPV4],
        ["--address", IPV4, "--all"],
        ["--address", "the office"],
        ["--address", "203.0.113.0/24"],
        ["--address", "127.0.0.1"],  # is never counted
        ["--address", "::1"],
        ["--address", ""],
    ],
)
def test_what_is_unclear_is_a_wrong_command_line(server: Server, arguments: list[str]) -> None:
    done = server.command("user", "unlock", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
