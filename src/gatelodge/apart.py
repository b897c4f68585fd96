"""Work done in a process of its own, so that what it needed is not kept by this one."""

import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NoReturn, TypeVar

from gatelodge.errors import ConfigurationError, Refusal

T = TypeVar("T")


def do_apart(work: Callable[[], T]) -> T:
    """Return what the work returns, done in a child that begins as a copy of this process.

    Imports, connections and caches end with the child. Call it while this process has one thread.

    Raises:
        ConfigurationError: as the work raised it; or somebody has killed the child.
        Refusal: likewise.
        SystemExit: the child ended otherwise, and has said why on standard error.
    """
    copy = multiprocessing.get_context("fork")
    ours, theirs = copy.Pipe(duplex=False)
    child = copy.Process(target=_report, args=(work, theirs))
    before = signal.signal(signal.SIGTERM, _leave)
    child.start()
    theirs.close()  # so that the child's end is the end
    try:
        done, outcome = ours.recv()
    except EOFError:
        child.join()
        if child.exitcode and child.exitcode < 0:  # it could say nothing: out of memory, perhaps
            raise ConfigurationError(
                f"Signal {-child.exitcode} ended the preparation of the database."
            ) from None
        sys.exit(1)
    except BaseException:  # of a signal: the child must not go on alone
        child.terminate()
        raise
    finally:
        ours.close()
        child.join()
        signal.signal(signal.SIGTERM, before)
    if not done:
        raise outcome
    result: T = outcome
    return result


def _leave(signum: int, _frame: object) -> NoReturn:
    sys.exit(128 + signum)


def _report(work: Callable[[], object], answer: Connection) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):  # of Ctrl-C the parent tells
        signal.signal(each, signal.SIG_DFL)
    try:
        answer.send((True, work()))
    except (ConfigurationError, Refusal) as error:
        answer.send((False, error))
