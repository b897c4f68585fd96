"""The example for Flask, served by Flask's own server beside a real Gatelodge."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.examples import serving, sign_in
from tests.support.run import free_port
from tests.support.server import Server

APP = Path(__file__).parents[2] / "examples" / "flask" / "app.py"


@pytest.fixture
def notes(server: Server, tmp_path: Path) -> Iterator[httpx2.Client]:
    """Return a client of the example."""
    port = free_port()
    environment = {
        "ISSUER": f"http://localhost:{server.port}",
        "NOTES": str(tmp_path / "notes.db"),
    }
    command = [sys.executable, "-m", "flask", "--app", str(APP), "run", "--port", str(port)]
    with (
        serving(command, environment, says="Running on"),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client


def as_(person: dict[str, str]) -> dict[str, str]:
    """Return the header of somebody who is signed in."""
    return {"Authorization": f"Bearer {person['accessToken']}"}


def test_each_sees_their_own_notes_and_only_moderators_delete(
    server: Server, notes: httpx2.Client
) -> None:
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
