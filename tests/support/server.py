"""The real server, in a process of its own, as a test starts and ends it."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from gatelodge.data_folder import DATABASE
from tests.support import run, warm
from tests.support.databases import migrated
from tests.support.run import free_port

T = TypeVar("T")

GATELODGE = Path(sys.executable).with_name("gatelodge")
START_SECONDS = 30.0
STOP_SECONDS = 30.0
COMMAND_SECONDS = 60.0


class Server:
    """`gatelodge serve` on a free port of the loopback address.

    It is a fork of a process that has imported everything, if nothing speaks against it. A fork
    hashes passwords cheaply, unless a setting says what that costs, and its SQLite file has its
    tables before it starts.

    Attributes:
        url: what to send requests to.
        log: the file that its output goes to.
    """

    def __init__(
        self, folder: Path, *, workers: int = 1, in_new_process: bool = False, **settings: str
    ) -> None:
        """Prepare a server.

        Args:
            folder: where its data lives.
            workers: how many processes answer.
            in_new_process: whether it has to be a new process of Python, not a fork, with real
                hashes.
            settings: its settings, named as in Settings.
        """
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workers = workers
        self.in_new_process = in_new_process
        self.log = folder / "server.log"
        self.environment = environment(folder, settings)
        self._process: subprocess.Popen[bytes] | warm.Process | None = None

    def start(self) -> Self:
        """Start the process and wait for its first answer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        forked = not self.in_new_process and warm.can_run(self.environment)
        if forked and not self.environment.get("GATELODGE_DATABASE"):
            migrated(Path(self.environment["GATELODGE_DATA_DIR"]) / DATABASE)
        called = [str(GATELODGE), "serve", f"--port={self.port}", f"--workers={self.workers}"]
        with self.log.open("ab") as log:
            self._process = (
                warm.Process(called, self.environment, self.folder, log)
                if forked
                else subprocess.Popen(
                    called,
                    env=self.environment,
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        run.note(self._process.pid)
        self._wait_for_answer()
        return self

    def stop(self) -> int:
        """End the server as an operator would; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        run.forget(self._process.pid)
        return code

    def kill(self) -> None:
        """End the server and its workers at once, as a power cut would, until all are gone."""
        assert self._process is not None
        every = [self.pid, *self._children()]
        os.killpg(self.pid, signal.SIGKILL)  # a group of its own, see start_new_session
        self._process.wait(30)
        run.forget(self.pid)
        deadline = time.monotonic() + STOP_SECONDS
        while any(map(run.runs, every)):  # a worker may keep the port a moment longer
            assert time.monotonic() < deadline, "a worker goes on"
            time.sleep(0.005)

    @property
    def pid(self) -> int:
        """The process that was started; workers are its children."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker(self) -> int | None:
        """The process id of the first worker, while there is one."""
        return next(iter(self._children()), None)

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def command(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run `gatelodge` on the same data, with something typed on standard input."""
        return run_command(*arguments, environment=self.environment, typed=typed)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, if it still runs."""
        if self.running:
            self.stop()

    def _children(self) -> list[int]:
        return [*map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.running, f"the server ended: {self.log.read_text()}"
            if self._answers():
                return
            time.sleep(0.02)
        raise AssertionError(f"no answer in {START_SECONDS} s: {self.log.read_text()}")

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these settings and no others of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GATELODGE_")}
    given = {f"GATELODGE_{name.upper()}": value for name, value in settings.items()}
    return kept | {"GATELODGE_DATA_DIR": str(folder / "data")} | given


def run_command(
    *arguments: str,
    environment: Mapping[str, str],
    typed: str = "",
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one `gatelodge` command to its end, in a folder or in that of this process."""
    called = [str(GATELODGE), *arguments]
    if warm.can_run(environment):
        return warm.command(called, environment, folder or Path.cwd(), typed, COMMAND_SECONDS)
    return subprocess.run(
        called,
        env=dict(environment),
        cwd=folder,
        input=typed,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def run_before_terminal(*arguments: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Run a command that succeeds, and whose standard error is a terminal.

    Returns what it wrote to standard output, and what to the terminal.
    """
    done, shown = before_terminal(
        lambda terminal: subprocess.run(
            [GATELODGE, *arguments],
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            check=True,
            timeout=COMMAND_SECONDS,
        )
    )
    return done.stdout, shown


def before_terminal(act: Callable[[int], T]) -> tuple[T, str]:
    """Do something with a terminal; return its outcome, and all that was written to the terminal.

    Args:
        act: what is called with the side of the terminal that a program holds.
    """
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        with os.fdopen(theirs, "wb", buffering=0) as side:
            outcome = act(side.fileno())
        pieces = []  # as the kernel hands them over
        with contextlib.suppress(OSError):  # so a terminal says that this was all
            while piece := screen.read(65536):
                pieces.append(piece)
        return outcome, b"".join(pieces).decode()
