"""Run work in a child process, so that this process keeps nothing of what the work needed."""

import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NoReturn, TypeVar

from gatelodge.errors import ConfigurationError, Refusal

T = TypeVar("T")


def run_in_child(work: Callable[[], T]) -> T:
    """Run `work` in a forked child process, and return its result.

    Imports, connections and caches of the work end with the child. Call this function only while
    the process has one thread, because the child is a fork.

    Raises:
        ConfigurationError: the work raised it, or a signal ended the child.
        Refusal: the work raised it.
        SystemExit: the work raised another exception; its traceback is on standard error.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_run_child, args=(work, sender))
    previous_handler = signal.signal(signal.SIGTERM, _exit_on_signal)
    child.start()
    sender.close()  # so that `recv` ends when the child ends
    try:
        succeeded, outcome = receiver.recv()
    except EOFError:
        child.join()
        if child.exitcode and child.exitcode < 0:  # by a signal, such as when memory ran out
            raise ConfigurationError(
                f"Signal {-child.exitcode} ended the process that prepares the database."
            ) from None
        sys.exit(1)
    except BaseException:  # a signal ends this process: end the child too
        child.terminate()
        raise
    finally:
        receiver.close()
        child.join()
        signal.signal(signal.SIGTERM, previous_handler)
    if not succeeded:
        raise outcome
    result: T = outcome
    return result


def _exit_on_signal(signum: int, _frame: object) -> NoReturn:
    sys.exit(128 + signum)


def _run_child(work: Callable[[], object], sender: Connection) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):  # the parent reports Ctrl-C
        signal.signal(each, signal.SIG_DFL)
    try:
        sender.send((True, work()))
    except (ConfigurationError, Refusal) as error:
        sender.send((False, error))
