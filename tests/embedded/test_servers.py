"""The five lines of the README, on the servers that people run FastAPI on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support import run
from tests.support.people import PASSWORD
from tests.support.run import free_port

APPLICATION = """
from fastapi import FastAPI, WebSocket
from gatelodge.fastapi import CurrentUser, Gatelodge, require

auth = Gatelodge()
app = FastAPI(lifespan=auth.lifespan)
auth.install(app)


@app.get("/notes")
async def list_notes(user: CurrentUser) -> list[str]:
    return [user.username]


@app.delete("/notes/{number}", dependencies=[require(role="moderator")])
async def delete_note(number: int) -> None: ...


@app.websocket("/live")
async def live(websocket: WebSocket, user: CurrentUser) -> None:
    await websocket.accept()
    async with user.watch():
        async for text in websocket.iter_text():
            await websocket.send_text(text)
"""

SERVERS = {
    "uvicorn": ("uvicorn", "app:app", "--host", "127.0.0.1", "--port"),
    "uvicorn, two workers": (
        *("uvicorn", "app:app", "--workers", "2", "--host", "127.0.0.1"),
        "--port",
    ),
    "granian": ("granian", "--interface", "asgi", "app:app", "--port"),
    "hypercorn": ("hypercorn", "app:app", "--bind"),
}
START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Site:
    """An application that a server runs.

    Attributes:
        url: its address.
        log: what the server printed.
    """

    url: str
    log: Path

    def ask(self, method: str, path: str, token: str = "", body: object = None) -> httpx2.Response:
        """Send a request over a connection of its own: any worker may answer it."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.request(method, f"{self.url}{path}", headers=headers, json=body, timeout=30)

    def newcomer(self, name: str) -> str:
        """Sign up and in, and return the access token."""
        body = {"username": name, "password": PASSWORD}
        more = {"email": f"{name}@example.com"}
        assert self.ask("POST", "/api/auth/signup", body=body | more).status_code == 200
        answer = self.ask("POST", "/api/auth/signin", body=body)
        return str(answer.json()["accessToken"])


@pytest.fixture(params=list(SERVERS))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Run the application in an empty folder."""
    (tmp_path / "app.py").write_text(APPLICATION)
    command, port = list(SERVERS[request.param]), free_port()
    command[0] = str(Path(sys.executable).with_name(command[0]))
    command.append(f"127.0.0.1:{port}" if "hypercorn" in command[0] else str(port))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GATELODGE_")}
    given = {"GATELODGE_PUBLIC_URL": f"http://127.0.0.1:{port}", "PYTHONUNBUFFERED": "1"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=kept | given,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    run.note(process.pid)
    try:
        found = Site(f"http://127.0.0.1:{port}", log)
        wait_for(found, process)
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        run.forget(process.pid)


def wait_for(site: Site, process: subprocess.Popen[bytes]) -> None:
    """Return when the application answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, site.log.read_text()
        with contextlib.suppress(httpx2.TransportError):
            if site.ask("GET", "/notes").status_code == 401:
                return
        time.sleep(0.05)
    raise AssertionError(site.log.read_text())


def test_people_sign_up_are_admitted_and_signed_out(site: Site) -> None:
    token = site.newcomer("ann")
    for _ in range(8):  # every worker
        assert site.ask("GET", "/notes", token).json() == ["ann"]
        assert site.ask("DELETE", "/notes/1", token).status_code == 403
    assert "Sign in" in httpx2.get(f"{site.url}/sign-in").text
    with connect(
        site.url.replace("http", "ws") + "/live",
        additional_headers={"Authorization": f"Bearer {token}"},
    ) as live:
        live.send("hello")
        assert live.recv(timeout=10) == "hello"
        assert site.ask("POST", "/api/auth/signout", token, {}).status_code == 200
        with pytest.raises(ConnectionClosed) as closed:
            live.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    for _ in range(8):
        assert site.ask("GET", "/notes", token).status_code == 401
    with pytest.raises(InvalidStatus) as refused, connect(site.url.replace("http", "ws") + "/live"):
        pass
    assert refused.value.response.status_code == 403
    printed = site.log.read_text()
    assert printed.count("/setup?token=") == 1
    assert "Traceback" not in printed
    assert token not in printed


@pytest.mark.parametrize("site", ["uvicorn, two workers"], indirect=True)
def test_revocation_reaches_every_worker(site: Site) -> None:
    """What was acknowledged counts on the next request, whichever worker answers it."""
    stale = []
    token = site.newcomer("ann")
    body = json.dumps({"username": "ann", "password": PASSWORD})
    for _ in range(20):
        for _ in range(4):
            assert site.ask("GET", "/notes", token).status_code == 200
        assert site.ask("POST", "/api/auth/signout", token, {}).status_code == 200
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(site.ask, "GET", "/notes", token) for _ in range(4)]
        stale += [each for each in asked if each.result().status_code != 401]
        token = site.ask("POST", "/api/auth/signin", body=json.loads(body)).json()["accessToken"]
    assert stale == []
