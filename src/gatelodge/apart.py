"""Work done in a process of its own, so that what it needed is not kept by this one."""

import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from gatelodge.errors import ConfigurationError, Refusal

T = TypeVar("T")


def do_apart(work: Callable[[], T]) -> T:
    """Return what the work returns, done in a child that begins as a copy of this process.

    Imports, connections and caches end with the child. Call it while this process has one thread.

    Raises:
        ConfigurationError: as the work raised it.
        Refusal: likewise.
        SystemExit: the child ended otherwise, and has said why on standard error.
    """
    copy = multiprocessing.get_context("fork")
    ours, theirs = copy.Pipe(duplex=False)
    child = copy.Process(target=_report, args=(work, theirs))
    child.start()
    theirs.close()  # so that the child's end is the end
    try:
        done, outcome = ours.recv()
    except EOFError:
        sys.exit(1)
    finally:
        ours.close()
        child.join()
    if not done:
        raise outcome
    result: T = outcome
    return result


def _report(work: Callable[[], object], answer: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # of Ctrl-C the parent tells
    try:
        answer.send((True, work()))
    except (ConfigurationError, Refusal) as error:
        answer.send((False, error))
