"""The forks that stand for commands and servers behave as they do."""

import os
import re
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.support import run, warm
from tests.support.mongod import wait_until
from tests.support.people import PASSWORD
from tests.support.server import GATELODGE, Server, environment


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        ("--version", ""),
        ("user list", ""),
        ("user list --limit abc", ""),
        ("nonsense", ""),
        ("user create ann ann@example.com --password-stdin", PASSWORD),
        ("doctor --json", ""),
    ],
)
def test_a_fork_says_what_a_new_process_says(tmp_path: Path, arguments: str, typed: str) -> None:
    called = [str(GATELODGE), *arguments.split()]
    where = environment(Path(), {"PORT": "0"})
    (real := tmp_path / "real").mkdir()
    (forked := tmp_path / "forked").mkdir()

    expected = subprocess.run(
        called, cwd=real, env=where, input=typed, capture_output=True, text=True, check=False
    )
    done = warm.command(called, where, forked, typed, seconds=60)

    assert (done.returncode, done.stdout, done.stderr) == (
        expected.returncode,
        expected.stdout,
        expected.stderr,
    )
    assert [path.name for path in forked.rglob("*")] == [path.name for path in real.rglob("*")]


def test_a_server_that_is_a_fork_does_what_a_new_process_does(tmp_path: Path) -> None:
    """It says the same, listens, is its own group, and ends with the same code."""
    told = []
    for new in (True, False):
        server = Server(tmp_path / str(new), in_new_process=new, log_format="json")
        with server:
            assert os.getsid(server.pid) == os.getpgid(server.pid) == server.pid
            assert os.getpgid(server.worker or 0) == server.pid
            answer = httpx2.get(f"{server.url}/api/test/all")
        said = server.log.read_text().replace(str(server.folder), "").replace(str(server.port), "")
        lines = [re.sub(r"token=.*", "", line) for line in said.splitlines() if line[0] != "{"]
        told.append((answer.text, sorted(answer.headers), lines, server.stop()))

    assert told[0] == told[1]


def test_a_server_that_is_a_fork_can_be_killed(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        worker = server.worker
        server.kill()

        assert not server.running
        wait_until(lambda: not run.runs(worker or 0), "its worker goes on", 20)


def test_a_fork_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    called = [str(GATELODGE), "serve", "--port", "0"]
    with pytest.raises(subprocess.TimeoutExpired):
        warm.command(called, environment(tmp_path, {}), tmp_path, "", seconds=0.5)


def test_what_python_reads_at_its_start_is_no_matter_for_a_fork(tmp_path: Path) -> None:
    where = environment(tmp_path, {})

    assert warm.can_run(where)
    assert not warm.can_run(where | {"PYTHONIOENCODING": "ascii"})
    assert not warm.can_run(where | {"LC_ALL": "C"})
