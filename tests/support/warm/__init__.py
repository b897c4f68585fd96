"""`gatelodge` in processes of their own that have imported everything already.

Most of what a command costs is the import of libraries, and a run of the tests has hundreds of
commands and servers. Here one process imports them once, and each of them is a fork of it, with its
own environment, folder and streams, from the first line of `main` to its exit code. What starts
differently is run as ever: a command in an environment that Python itself reads. Unlike real ones,
they hash passwords as cheaply as argon2id allows, unless a setting says what that costs.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from select import select
from typing import IO

from tests.support import run
from tests.support.warm.client import ask, begin, read_number

_START_SECONDS = 60
_AT_START = ("PYTHON", "LC_", "LANG", "TZ")
"""Variables that Python reads when it starts: a fork would not notice other values."""

_FOLLOWED = "PYTHONDONTWRITEBYTECODE"
"""One of them that a fork follows."""

_SCRIPT = """\
#!/bin/sh
if [ "$1" = serve ]; then exec {program} "$@"; fi  # whoever called it may end it by its pid
exec {python} -I -S {client} {socket} {program} "$@"
"""


def can_run(environment: Mapping[str, str]) -> bool:
    """Say whether a fork behaves as a new process would in this environment."""
    return all(
        environment.get(name) == os.environ.get(name)
        for name in {*environment, *os.environ}
        if name.startswith(_AT_START) and name != _FOLLOWED
    )


def command(
    called: list[str], environment: Mapping[str, str], folder: Path, typed: str, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end.

    Args:
        called: the program and its arguments.
        environment: its environment variables; it has no others.
        folder: where it begins.
        typed: its standard input.
        seconds: how long it may take.

    Raises:
        TimeoutExpired: it took longer, and was ended.
    """
    with (
        tempfile.TemporaryFile("w+") as stdin,
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
    ):
        stdin.write(typed)
        stdin.seek(0)
        streams = [each.fileno() for each in (stdin, stdout, stderr)]
        try:
            code = ask(str(_socket()), called, dict(environment), str(folder), streams, seconds)
        except TimeoutError:
            raise subprocess.TimeoutExpired(called, seconds) from None
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(called, code, stdout.read(), stderr.read())


class Process:
    """A fork that runs on while the test does something else; used as a `subprocess.Popen` is.

    Attributes:
        pid: its process id, which is that of its session and group too.
        returncode: its exit code, once it is known to have ended.
    """

    def __init__(
        self, called: list[str], environment: Mapping[str, str], folder: Path, output: IO[bytes]
    ) -> None:
        """Begin; the arguments are those of `command`.

        Args:
            called: the program and its arguments.
            environment: its environment variables; it has no others.
            folder: where it begins.
            output: its standard output and error.
        """
        self.called = called
        self.returncode: int | None = None
        with Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            self.pid, self._connection = begin(
                str(_socket()),
                called,
                dict(environment),
                str(folder),
                streams,
                own_session=True,
                seconds=_START_SECONDS,
            )

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.returncode is None and select([self._connection], [], [], 0)[0]:
            self.wait(_START_SECONDS)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Return the exit code when it has ended.

        Raises:
            TimeoutExpired: it did not end in so many seconds.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = read_number(self._connection)
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.called, timeout) from None
            self._connection.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def program(real: Path) -> Path:
    """Return a program for shells that does what the real one does."""
    script = run.folder() / "gatelodge"
    client = Path(__file__).with_name("client.py")
    text = _SCRIPT.format(program=real, python=sys.executable, client=client, socket=_socket())
    with run.locked("warm"):
        if not script.exists():
            script.write_text(text)
            script.chmod(0o755)
    return script


def _socket() -> Path:
    """Return the socket of the process that forks; the first who asks starts it."""
    path = run.folder() / "warm.socket"
    with run.locked("warm"):
        if not path.exists():
            _start(path)
    return path


def _start(path: Path) -> None:
    """Start the process that forks. It ends with the run, not with the worker that starts it."""
    server = [sys.executable, "-m", "tests.support.warm.server", str(path)]
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    pid = os.posix_spawn(server[0], server, environment)
    run.note(pid)
    deadline = time.monotonic() + _START_SECONDS
    while not path.exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the process that forks commands has ended"
        assert time.monotonic() < deadline, "the process that forks commands is too slow"
        time.sleep(0.02)
