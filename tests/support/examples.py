"""What the tests of the examples share: processes beside the real server, and its users."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx2

from tests.support import run
from tests.support.server import Server


def plain_environment() -> dict[str, str]:
    """Return the environment of this process without settings of Gatelodge."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATELODGE_")}


def sign_in(server: Server, name: str, *roles: str) -> dict[str, str]:
    """Return the answer to a sign-in of a user, who is made if they do not exist yet."""
    person = {"username": name, "password": "correct horse battery"}
    httpx2.post(f"{server.url}/api/auth/signup", json=person | {"email": f"{name}@example.com"})
    for role in roles:
        assert server.command("user", "grant", name, role).returncode == 0
    answer: dict[str, str] = httpx2.post(f"{server.url}/api/auth/signin", json=person).json()
    return answer


@contextmanager
def serving(
    command: list[str], environment: Mapping[str, str], says: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a web server until the block ends; it begins when the server has written `says`."""
    process = subprocess.Popen(
        command, env=plain_environment() | environment, stderr=subprocess.PIPE, text=True
    )
    run.note(process.pid)
    assert process.stderr is not None
    written = ""
    while says not in written:
        line = process.stderr.readline()
        assert line, f"the server ended: {written}"
        written += line
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)
        run.forget(process.pid)


def as_(person: dict[str, str]) -> dict[str, str]:
    """Return the header of somebody who is signed in."""
    return {"Authorization": f"Bearer {person['accessToken']}"}


def each_sees_their_own_notes(server: Server, notes: httpx2.Client) -> None:
    """Let two people use an example of notes, of which only moderators delete any.

    Args:
        server: the server beside the example.
        notes: a client of the example.
    """
    ann, mia = sign_in(server, "ann"), sign_in(server, "mia", "moderator")

    assert notes.get("/notes").status_code == 401
    added = notes.post("/notes", json={"text": "milk"}, headers=as_(ann))
    assert (added.status_code, added.json()) == (201, {"id": 1, "text": "milk"})
    assert notes.get("/notes", headers=as_(ann)).json() == [{"id": 1, "text": "milk"}]
    assert notes.get("/notes", headers=as_(mia)).json() == []

    assert notes.delete("/notes/1", headers=as_(ann)).json()["code"] == "forbidden"
    assert notes.delete("/notes/1", headers=as_(mia)).status_code == 204
    assert notes.get("/notes", headers=as_(ann)).json() == []

    again = sign_in(server, "ann")
    httpx2.post(f"{server.url}/api/auth/signout", headers=as_(again)).raise_for_status()
    assert notes.get("/notes", headers=as_(again)).json()["code"] == "token_invalid"
