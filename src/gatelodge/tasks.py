"""Background tasks: none ends in silence by itself, and all of them can be ended reliably."""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, TypeVar

from gatelodge.errors import OutcomeUnknown, StoreUnavailable

T = TypeVar("T")
Work: TypeAlias = Callable[[], Awaitable[object]]

WAITS = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 30_000)
)
"""The waits after each failure of what others must take, a day in all. After one more failure it is
given up."""

_CANCEL_AGAIN_SECONDS = 0.5
_TELL_AGAIN_SECONDS = 1.0
_LOOKS = 10
_LOOK_AGAIN_SECONDS = 0.1


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks, and return when all of them have ended.

    A task that has not ended is cancelled again. Before Python 3.12, `asyncio.wait_for` (which
    drivers use) loses a cancellation that arrives at the moment when it completes
    (python/cpython#86296).
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_AGAIN_SECONDS)


async def look_for(look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Return what another request is about to finish, or None if it is not there after a second.

    Args:
        look: returns it, or None as long as it is not there. It is called at least once.
    """
    for _ in range(_LOOKS):
        if (found := await look()) is not None:
            return found
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return None


def end_with_parent() -> None:
    """Send SIGTERM to this process when its parent process ends, each second until it ends too.

    Without this, a worker whose parent was killed would run on and keep its port. One signal may be
    lost: while the worker starts, its event loop stops and goes on, and in between nobody listens.
    Call the function in the event loop. It does nothing in a process that `multiprocessing` did not
    start.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop, sentinel = asyncio.get_running_loop(), parent.sentinel

    def terminate() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        loop.call_later(_TELL_AGAIN_SECONDS, terminate)

    def parent_ended() -> None:
        loop.remove_reader(sentinel)
        terminate()

    loop.add_reader(sentinel, parent_ended)


def when_told_to_end(call: Callable[[], None]) -> Callable[[], None]:
    """Call a function on this event loop when a signal tells the process to end, as well.

    A server lets the application end only when every answer is complete. So an answer that stays
    open must hear of the signal by itself. Signals that would end the process at once are left
    alone, and so are all of them outside of the main thread.

    Args:
        call: the function.

    Returns:
        A function that undoes this.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop = asyncio.get_running_loop()
    ours: dict[int, tuple[Callable[[int, Any], object], Callable[[int, Any], object]]] = {}

    def handler_before(before: Callable[[int, Any], object]) -> Callable[[int, Any], object]:
        def handle(number: int, frame: Any) -> None:
            loop.call_soon_threadsafe(call)
            before(number, frame)

        return handle

    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before):
            ours[number] = handler_before(before), before
            signal.signal(number, ours[number][0])

    def undo() -> None:
        for number, (handler, before) in ours.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, before)

    return undo


async def repeat(
    work: Work, pause: timedelta | Callable[[], timedelta], *, at_once: bool = False
) -> None:
    """Do work again and again until cancelled; a failure is logged, and the loop goes on.

    Args:
        work: the function to call.
        pause: the pause before each call, or a function that returns it.
        at_once: whether there is no pause before the first call.
    """
    if at_once:
        await attempt(work)
    while True:
        await asyncio.sleep((pause if isinstance(pause, timedelta) else pause()).total_seconds())
        await attempt(work)


def start(work: Work) -> asyncio.Task[None]:
    """Start work in a task of its own, and return the task; a failure is logged."""
    return asyncio.create_task(attempt(work))


async def attempt(work: Work) -> None:
    """Do work once; log a failure instead of raising it.

    Only a cancellation of the running task is raised. The work may also raise `CancelledError`
    because something that it waited for was cancelled: that is a failure, and must not end a loop.
    """
    try:
        await work()
    except asyncio.CancelledError as error:
        if is_being_cancelled():
            raise
        report(work, error)
    except Exception as error:  # noqa: BLE001 - logged in full
        report(work, error)


def is_being_cancelled() -> bool:
    """Say whether somebody has cancelled the running task, not only something that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def report(work: Work, error: BaseException) -> None:
    """Log that a background task failed; with a traceback, unless the failure was foreseen.

    Only the name of the function is logged: what it was called with may be somebody's.
    """
    function = work.func if isinstance(work, partial) else work
    name = getattr(function, "__qualname__", type(function).__name__)
    details = {"task": name, "error": type(error).__name__}
    foreseen = isinstance(error, StoreUnavailable | OutcomeUnknown)
    logging.getLogger("gatelodge").warning(
        "task.failed", extra={"details": details}, exc_info=None if foreseen else error
    )
