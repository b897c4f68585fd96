"""Asks the process that forks commands for one, and waits for its end. Also a script for shells."""

import contextlib
import json
import os
import signal
import socket
import sys

ENCODING = ("utf-8", "surrogateescape")


def ask(
    path: str,
    called: list[str],
    environment: dict[str, str],
    folder: str,
    streams: list[int],
    seconds: float | None = None,
) -> int:
    """Have a command run, and return its exit code.

    Args:
        path: the socket of the process that forks.
        called: the program and its arguments.
        environment: its environment variables.
        folder: where it begins.
        streams: its standard input, output and error.
        seconds: how long it may take; None: as long as it likes.

    Raises:
        TimeoutError: it took longer, and was ended.
    """
    request = json.dumps([called, environment, folder]).encode(*ENCODING)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        socket.send_fds(connection, [b"."], streams)
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("r") as answers:
            pid = int(answers.readline())
            try:
                return int(answers.readline())
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise


if __name__ == "__main__":
    folder = os.getcwd()  # noqa: PTH109 - importing pathlib takes longer than all else here
    sys.exit(ask(sys.argv[1], sys.argv[2:], dict(os.environ), folder, [0, 1, 2]))
