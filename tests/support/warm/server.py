"""Imports what `gatelodge` needs, and forks itself for each command that somebody asks for."""

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import signal
import socket
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import typer.main

from tests.support.warm.client import ENCODING

if TYPE_CHECKING:
    from gatelodge.credentials.passwords import PasswordHasher

_PRELOADED = (
    "cryptography.hazmat.backends.openssl.backend",
    "fido2.cose",
    "gatelodge.breached.service",
    "gatelodge.cli.main",
    "gatelodge.doctor.service",
    "gatelodge.foundation",
    "gatelodge.letters.smtp",
    "gatelodge.serving",
    "gatelodge.stores.sql",
    "gatelodge.stores.sql.migrations",
    "gatelodge.stores.mongo",
    "gatelodge.transfer.service",
    "rich.console",
    "rich.table",
)


def serve(path: Path) -> NoReturn:
    """Take requests until somebody ends the process."""
    for name in _PRELOADED:
        importlib.import_module(name)
    _hash_cheaply()
    _keep_commands()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    with socket.socket(socket.AF_UNIX) as listener:
        hidden = path.with_suffix(".new")
        listener.bind(str(hidden))
        listener.listen(64)
        hidden.rename(path)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                with contextlib.suppress(BrokenPipeError):  # whoever asked waits no more
                    _answer(connection)
                os._exit(0)
            connection.close()


def _hash_cheaply() -> None:
    """Let passwords cost as little as argon2id allows, unless a setting says what they cost."""
    from gatelodge import foundation  # noqa: PLC0415 - imported by now
    from gatelodge.settings import Settings  # noqa: PLC0415

    real = foundation.PasswordHasher
    usual = [Settings.model_fields[name].default for name in ("hash_memory", "hash_passes")]

    def cheap(*cost: int) -> "PasswordHasher":
        return real(8, 1) if [*cost] == usual else real(*cost)

    foundation.PasswordHasher = cheap  # type: ignore[assignment,misc]


def _keep_commands() -> None:
    """Work out once what commands there are, with their options."""
    from gatelodge.cli.main import app  # noqa: PLC0415 - imported by now

    typer.main.get_command = cache(typer.main.get_command)
    typer.main.get_command(app)


def _answer(connection: socket.socket) -> None:
    """Run a command, and say which process it is and with which code it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection, connection.makefile("rb") as asked, connection.makefile("w") as answers:
        called, environment, folder, own_session = json.loads(asked.read().decode(*ENCODING))
        pid = os.fork()
        if pid == 0:
            if own_session:
                os.setsid()
            connection.close()
            os._exit(_run(called, environment, folder, streams))
        for each in streams:
            os.close(each)
        print(pid, file=answers, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _run(called: list[str], environment: dict[str, str], folder: str, streams: list[int]) -> int:
    """Do what a new process does, and return its exit code."""
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(os.fdopen(number, mode, closefd=False), line_buffering=number == 2)
        for number, mode in enumerate(("rb", "wb", "wb"))
    )
    here = {"", str(Path.cwd()), str(Path(__file__).parents[3])}
    sys.path[:] = [str(Path(called[0]).parent), *(each for each in sys.path if each not in here)]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = called
    sys.modules["__main__"] = ModuleType("__main__")  # a program tells its name by it
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    from gatelodge.cli.main import main  # noqa: PLC0415 - imported by now

    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does it
        traceback.print_exc()
        return 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
