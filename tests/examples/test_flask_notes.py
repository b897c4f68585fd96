"""The example for Flask, served by Flask's own server beside a real Gatelodge."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.examples import each_sees_their_own_notes, serving
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


def test_each_sees_their_own_notes_and_only_moderators_delete(
    server: Server, notes: httpx2.Client
) -> None:
    each_sees_their_own_notes(server, notes)
