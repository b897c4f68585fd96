"""Background tasks: run one repeatedly, and end all of them reliably."""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from gatelodge.errors import StoreUnavailable

_CANCEL_AGAIN_SECONDS = 0.5


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


def end_with_parent() -> None:
    """Send SIGTERM to this process when its parent process ends.

    Without this, a worker whose parent was killed would run on and keep its port. Call the function
    in the event loop. It does nothing in a process that `multiprocessing` did not start.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop, sentinel = asyncio.get_running_loop(), parent.sentinel

    def terminate() -> None:
        loop.remove_reader(sentinel)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sentinel, terminate)


async def repeat(chore: Callable[[], Awaitable[object]], every: timedelta) -> None:
    """Call `chore` again and again until cancelled; a failure is logged, and the loop goes on.

    Args:
        chore: the function to call.
        every: the pause before each call.
    """
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            await chore()
        except Exception as error:
            name = getattr(chore, "__qualname__", repr(chore))
            details = {"chore": name, "error": type(error).__name__}
            logging.getLogger("gatelodge").warning(
                "chore.failed",
                extra={"details": details},
                exc_info=not isinstance(error, StoreUnavailable),
            )
