"""Asks the process that forks commands for one, and waits for its end. Also a script for shells."""

import contextlib
import json
import os
import signal
import socket
import sys

ENCODING = ("utf-8", "surrogateescape")


def begin(
    path: str,
    called: list[str],
    environment: dict[str, str],
    folder: str,
    streams: list[int],
    *,
    own_session: bool = False,
    seconds: float | None = None,
) -> tuple[int, socket.socket]:
    """Have a program begin. Return its process id, and the connection that tells its exit code.

    Args:
        path: the socket of the process that forks.
        called: the program and its arguments.
        environment: its environment variables.
        folder: where it begins.
        streams: its standard input, output and error.
        own_session: whether it leads a session of its own.
        seconds: how long each answer may take; None: as long as it likes.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    connection.connect(path)
    socket.send_fds(connection, [b"."], streams)
    connection.sendall(json.dumps([called, environment, folder, own_session]).encode(*ENCODING))
    connection.shutdown(socket.SHUT_WR)
    return read_number(connection), connection


def read_number(connection: socket.socket) -> int:
    """Return the next line of an answer, which is a number.

    Raises:
        TimeoutError: it did not come in time.
    """
    line = b""
    while not line.endswith(b"\n"):
        read = connection.recv(1)
        if not read:
            raise EOFError("the process that forks has ended")
        line += read
    return int(line)


def ask(
    path: str,
    called: list[str],
    environment: dict[str, str],
    folder: str,
    streams: list[int],
    seconds: float | None = None,
) -> int:
    """Have a command run, and return its exit code; arguments as for `begin`.

    Raises:
        TimeoutError: it took longer, and was ended.
    """
    pid, connection = begin(path, called, environment, folder, streams, seconds=seconds)
    with connection:
        try:
            return read_number(connection)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise


if __name__ == "__main__":
    folder = os.getcwd()  # noqa: PTH109 - importing pathlib takes longer than all else here
    sys.exit(ask(sys.argv[1], sys.argv[2:], dict(os.environ), folder, [0, 1, 2]))
