"""How a run of tests knows its processes, and what it leaves behind when it is killed."""

import subprocess
import sys
from pathlib import Path

from tests.support.run import runs

KILLED = """
import os, signal, subprocess
from tests.support import run

run.begin()
left = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
run.note(left.pid)
print(left.pid, run.folder(), run.quick_folder(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
WITHOUT_ITS_FIRST_THREAD = """
import ctypes, sys, threading

threading.Thread(target=sys.stdin.read).start()
print("started", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""
NEXT = """
from tests.support import run

run.begin()
run.finish()
"""


def test_the_next_run_ends_and_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """The run that these tests are part of lives, and keeps what it has."""
    pid, *folders = _run(KILLED, tmp_path).split()
    assert runs(int(pid))

    _run(NEXT, tmp_path)

    assert not runs(int(pid))
    assert [each for each in folders if Path(each).exists()] == []


def test_a_process_runs_until_its_last_thread_has_ended() -> None:
    """Until then it keeps its port, for example."""
    program = [sys.executable, "-c", WITHOUT_ITS_FIRST_THREAD]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        status = Path(f"/proc/{process.pid}/stat")
        while ") Z " not in status.read_text():
            pass

        assert runs(process.pid)

    assert not runs(process.pid)


def _run(program: str, folder: Path) -> str:
    """Return what a program printed, which keeps temporary files in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"TMPDIR": str(folder), "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
