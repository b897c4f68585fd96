"""Processes: one that prepares, and workers that share what it has built."""

import os
import signal
import time
from pathlib import Path

import httpx

from tests.support.server import Server


def test_workers_do_not_share_what_must_be_unique(tmp_path: Path) -> None:
    """They are copies of one application, which must not have begun to give out request ids."""
    with Server(tmp_path, workers=2) as server:
        # A connection each, so that both workers answer.
        ids = [httpx.get(f"{server.url}/healthz").headers["x-request-id"] for _ in range(60)]

    assert len(set(ids)) == 60


def test_a_worker_that_died_is_replaced(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        first = worker_of(server)
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while worker_of(server) in {None, first} and time.monotonic() < deadline:
            time.sleep(0.05)

        transport = httpx.HTTPTransport(retries=8)
        with httpx.Client(base_url=server.url, transport=transport, timeout=10) as client:
            assert client.get("/readyz").json()["database"] == "answers"
        assert worker_of(server) not in {None, first}


def worker_of(server: Server) -> int | None:
    """Return the process id of the one worker, while there is one."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return int(children[0]) if children else None
