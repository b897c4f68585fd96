"""The example of a worker, as its reader runs it, beside the real server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import run
from tests.support.examples import plain_environment, sign_in
from tests.support.server import Server

WORKER = Path(__file__).parents[2] / "examples" / "worker" / "worker.py"


class Worker:
    """The worker in a process of its own."""

    def __init__(self, issuer: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, WORKER],
            env={**plain_environment(), "ISSUER": issuer},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        run.note(self.process.pid)

    def do(self, **job: Any) -> dict[str, Any]:
        """Give it a job, and return what became of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"id": 1, "text": "hello", **job}) + "\n")
        self.process.stdin.flush()
        outcome: dict[str, Any] = json.loads(self.process.stdout.readline())
        return outcome

    def end(self) -> int:
        """Let it come to the end of its input."""
        self.process.communicate(timeout=30)
        run.forget(self.process.pid)
        return self.process.returncode


@pytest.fixture
def worker(server: Server) -> Iterator[Worker]:
    """Return a worker beside the server."""
    worker = Worker(f"http://localhost:{server.port}")
    yield worker
    if worker.process.returncode is None:
        worker.end()


def test_it_does_what_each_may_and_goes_on_while_the_server_is_away(
    server: Server, worker: Worker
) -> None:
    ann, mia = sign_in(server, "ann"), sign_in(server, "mia", "moderator")

    shouted = worker.do(token=ann["accessToken"], do="shout")
    assert shouted == {"id": 1, "for": ann["id"], "result": "HELLO"}
    assert worker.do(token=ann["accessToken"], do="erase") == {"id": 1, "refused": "forbidden"}
    assert worker.do(token=mia["accessToken"], do="erase")["result"] == ""

    server.stop()

    assert worker.do(token=ann["accessToken"], do="shout")["result"] == "HELLO"
    forged = ann["accessToken"][:-4] + "AAAA"
    assert worker.do(token=forged, do="shout") == {"id": 1, "refused": "token_invalid"}
    assert worker.end() == 0


def test_without_any_keys_a_job_goes_back(server: Server, worker: Worker) -> None:
    ann = sign_in(server, "ann")
    server.stop()

    assert worker.do(token=ann["accessToken"], do="shout") == {"id": 1, "again": True}
    assert worker.end() == 0
