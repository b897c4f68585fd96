"""What all processes of one test run share: a folder, locks, ports, and the servers to end.

`pytest-xdist` spreads the tests over processes of their own, its workers. The process that was
started first opens the run; the workers find its folder in the environment.
"""

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FOLDER = "GATELODGE_TEST_RUN"
"""The environment variable that names the folder."""

_PREFIX = "gatelodge-tests-"
_RUNNER = "runner"
_PROCESSES = "processes"
_STOP_SECONDS = 20
_THREADS = 17
"""Where the number of threads is in what `_status_of` returns."""

_ROOM = 4 * 1024**3
_PORTS = range(10_240, 32_768)  # below those that Linux gives to outgoing connections


def begin() -> None:
    """Open a run: remove what runs that were killed left behind, and make a folder."""
    for each in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_abandoned(each):
            _clear(each)
    os.environ[FOLDER] = tempfile.mkdtemp(prefix=_PREFIX)
    (folder() / _RUNNER).write_text(f"{os.getpid()} {_started_at(os.getpid())}")


def finish() -> None:
    """End the processes that are left, of workers that died too, and remove the folder."""
    _clear(folder())
    del os.environ[FOLDER]


def _is_abandoned(run: Path) -> bool:
    """Say whether a run of this user ended without `finish`."""
    try:
        pid, _, started_at = (run / _RUNNER).read_text().partition(" ")
        return run.stat().st_uid == os.getuid() and started_at != _started_at(int(pid))
    except (OSError, ValueError):  # somebody else's, or just begun
        return False


def _clear(run: Path) -> None:
    ended = [pid for pid in _noted(run) if _signal(pid, signal.SIGTERM)]
    deadline = time.monotonic() + _STOP_SECONDS
    while any(map(runs, ended)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in ended:
        _signal(pid, signal.SIGKILL)
    for each in (_in_memory(run), run):
        shutil.rmtree(each, ignore_errors=True)


def quick_folder() -> Path:
    """Return a folder of this run for data that need not outlive it: in memory, if there is room.

    A database that waits for a disk at each write spends most of a test waiting.
    """
    quick = _in_memory(folder())
    if not quick.parent.is_dir() or shutil.disk_usage(quick.parent).free < _ROOM:
        return folder()
    quick.mkdir(mode=0o700, exist_ok=True)
    return quick


def _in_memory(run: Path) -> Path:
    return Path("/dev/shm") / run.name


def folder() -> Path:
    """Return the folder of this run."""
    return Path(os.environ[FOLDER])


@contextlib.contextmanager
def locked(name: str, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock of this run; the kernel drops it when the process dies.

    Args:
        name: which lock.
        shared: whether others may hold it at the same time, if they share it too.
    """
    with (folder() / f"{name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def machine(*, alone: bool) -> Iterator[None]:
    """Use the machine beside other tests, or alone.

    Who wants it alone keeps the `turn` while waiting for the others to finish: no test begins
    before them, so that a run with many workers cannot keep them waiting for ever.
    """
    if alone:
        with locked("turn"), locked("machine"):
            yield
        return
    with contextlib.ExitStack() as stack:
        with locked("turn"):
            stack.enter_context(locked("machine", shared=True))
        yield


def free_port() -> int:
    """Return a port of the loopback address that nobody listens at, another one each time."""
    with locked("port"):
        counter = folder() / "port"
        port = int(counter.read_text()) if counter.exists() else random.choice(_PORTS)
        while not _is_free(port := port + 1 if port + 1 in _PORTS else _PORTS[0]):
            pass
        counter.write_text(str(port))
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def note(pid: int) -> None:
    """Have a process that was started ended with the run, should nobody else end it."""
    (_processes() / str(pid)).write_text(_started_at(pid))


def forget(pid: int) -> None:
    """Say that a process has ended."""
    (_processes() / str(pid)).unlink(missing_ok=True)


def _processes() -> Path:
    processes = folder() / _PROCESSES
    processes.mkdir(exist_ok=True)
    return processes


def _noted(run: Path) -> list[int]:
    """Return the processes that are left; the start time tells whether one is still the same."""
    files = list((run / _PROCESSES).glob("*"))
    return [int(file.name) for file in files if file.read_text() == _started_at(int(file.name))]


def _started_at(pid: int) -> str:
    return _status_of(pid)[19]


def runs(pid: int) -> bool:
    """Say whether a process is there, and has not ended.

    The first thread of a killed process may end before others, which still hold what was open.
    """
    status = _status_of(pid)
    return status[0] not in {"", "Z"} or int(status[_THREADS] or 0) > 1


def _status_of(pid: int) -> list[str]:
    """Return the fields of `/proc/PID/stat` behind the name; empty ones where it is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return [""] * 20
    return line.rpartition(")")[2].split()


def _signal(pid: int, number: signal.Signals) -> bool:
    if not runs(pid):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return True
