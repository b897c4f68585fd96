"""How soon an application refuses, and closes a WebSocket, after a sign-out."""

import http.client
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bench.mongod import Mongod
from bench.people import let_in, open_session
from bench.report import Row
from bench.server import Server
from bench.sizes import Sizes

CLOSED = 4401
REFUSED = 401
ASKED = 4
"""How often each token is asked for at once: two workers share these requests."""

_PATIENCE_SECONDS = 10.0


class _Application(Server):
    """The application `embedded` of `bench.stand_ins`, on uvicorn."""

    def __init__(self, folder: Path, workers: int = 1, **settings: str) -> None:
        super().__init__(folder)
        self._workers = workers
        self._settings = settings

    @property
    def command(self) -> list[str]:
        """The command that starts the server."""
        return [
            *(sys.executable, "-m", "uvicorn", "--factory", "bench.stand_ins:embedded"),
            *("--workers", str(self._workers), "--port", str(self.port), "--no-access-log"),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the settings of this server only."""
        given = {f"GATELODGE_{name.upper()}": value for name, value in self._settings.items()}
        address = {"GATELODGE_PUBLIC_URL": f"http://127.0.0.1:{self.port}"}
        data = {"GATELODGE_DATA_DIR": str(self.folder / "data")}
        return super().environment | data | address | given


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how many requests were refused at once, and how long WebSockets stayed open."""
    with _Application(folder / "sqlite", workers=2) as application:
        let_in(application, 1)
        refused = _refused(application, sizes.sign_outs)
        here = _closings(application, application, sizes.revocations)
    with _nodes(folder) as (one, other):
        let_in(one, 1)
        elsewhere = _closings(one, other, sizes.revocations)
    return [
        refused,
        *_rows("WebSocket closed, two workers", here),
        *_rows("WebSocket closed, another node", elsewhere),
    ]


@contextmanager
def _nodes(folder: Path) -> Iterator[tuple[Server, Server]]:
    """Yield two servers over one MongoDB, with one secret key."""
    key = {"secret_key": os.urandom(32).hex(), "public_url": "http://127.0.0.1:8000"}
    with ExitStack() as stack:
        mongod = stack.enter_context(Mongod(folder / "mongod"))
        one, other = (
            stack.enter_context(_Application(folder / name, database=mongod.url, **key))
            for name in ("one", "other")
        )
        yield one, other


def _refused(application: Server, times: int) -> Row:
    """Sign out again and again; each time ask at once over several connections."""
    refused = 0
    for _ in range(times):
        token = open_session(application, 0)["accessToken"]
        _ask(application, token)
        _end(application, token)
        refused += _ask(application, token).count(REFUSED) == ASKED
    note = f"{ASKED} requests at once after each sign-out, on connections of their own"
    return Row("refused at once, application, two workers", refused, f"of {times:,}", note)


def _closings(where: Server, watched: Server, times: int) -> list[float]:
    """Return the seconds from each acknowledged sign-out until the WebSocket is closed.

    Args:
        where: the server that is asked to sign out.
        watched: the server that has the WebSocket.
        times: how often.
    """
    seconds = []
    for _ in range(times):
        token = open_session(where, 0)["accessToken"]
        with _live(watched, token) as live:
            live.send("hello")
            live.recv(timeout=_PATIENCE_SECONDS)
            _end(where, token)
            began = time.perf_counter()
            _wait_for_end(live)
            seconds.append(time.perf_counter() - began)
    return seconds


def _status(server: Server, method: str, path: str, token: str) -> int:
    """Send a request over a connection of its own, and return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE_SECONDS)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, "{}" if method == "POST" else None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _ask(server: Server, token: str) -> list[int]:
    """Ask for the user at once over several connections, and return the statuses."""
    with ThreadPoolExecutor(ASKED) as threads:
        asked = [threads.submit(_status, server, "GET", "/user", token) for _ in range(ASKED)]
    return [each.result() for each in asked]


def _end(server: Server, token: str) -> None:
    """Sign out, and return when that is acknowledged."""
    if _status(server, "POST", "/api/auth/signout", token) != 200:
        raise RuntimeError("the sign-out was not acknowledged")


def _live(server: Server, token: str) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{server.port}/live",
        additional_headers={"Authorization": f"Bearer {token}"},
    )


def _wait_for_end(live: ClientConnection) -> None:
    try:
        while True:
            live.recv(timeout=_PATIENCE_SECONDS)
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code != CLOSED:
            raise RuntimeError(f"the WebSocket was closed otherwise: {closed}") from closed


def _rows(name: str, seconds: list[float]) -> list[Row]:
    p99 = quantiles(seconds, n=100)[-1] if len(seconds) > 1 else seconds[0]
    note = f"{len(seconds)} sign-outs; at most {1000 * max(seconds):.1f} ms"
    return [
        Row(f"{name}, p50", 1000 * median(seconds), "ms", note),
        Row(f"{name}, p99", 1000 * p99, "ms"),
    ]
