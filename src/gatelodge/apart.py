"""Run work in a child process, so that this process keeps nothing of what the work needed."""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import NoReturn, TypeVar

from gatelodge.errors import ConfigurationError, Refusal

T = TypeVar("T")

_ENDING = (signal.SIGINT, signal.SIGTERM)


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
    # A signal waits until the child is known here: else nobody would end the child.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    child = context.Process(target=_run_child, args=(work, sender, mask))
    previous_handler = signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        child.start()
        sender.close()  # so that `recv` ends when the child ends
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        succeeded, outcome = receiver.recv()
    except EOFError:
        child.join()
        if child.exitcode and child.exitcode < 0:  # by a signal, such as when memory ran out
            raise ConfigurationError(
                f"Signal {-child.exitcode} ended the process that prepares the database."
            ) from None
        sys.exit(1)
    except BaseException:  # a signal ends this process: end the child too
        if child.pid is not None:
            child.terminate()
        raise
    finally:
        receiver.close()
        if child.pid is not None:
            child.join()
        signal.signal(signal.SIGTERM, previous_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if not succeeded:
        raise outcome
    result: T = outcome
    return result


def _exit_on_signal(signum: int, _frame: object) -> NoReturn:
    sys.exit(128 + signum)


def _run_child(
    work: Callable[[], object], sender: Connection, mask: Iterable[int | signal.Signals]
) -> None:
    for each in _ENDING:  # the parent reports Ctrl-C
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        sender.send((True, work()))
    except (ConfigurationError, Refusal) as error:
        sender.send((False, error))
