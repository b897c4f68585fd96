"""Background tasks: what is done from time to time, and how all of them end, surely."""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from gatelodge.errors import StoreUnavailable

_PATIENCE_SECONDS = 0.5


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks and return when every one of them has ended.

    Once may not do: before Python 3.12 `asyncio.wait_for`, which drivers use, loses a cancellation
    that comes in the very moment in which it is done (python/cpython#86296).
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_PATIENCE_SECONDS)


def end_with_parent() -> None:
    """Have a process that `multiprocessing` began end in good order once its parent is gone.

    Nobody could stop it else, and it would hold its port. Other processes are left alone. Call it
    in the event loop.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop, sentinel = asyncio.get_running_loop(), parent.sentinel

    def end() -> None:
        loop.remove_reader(sentinel)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sentinel, end)


async def repeat(chore: Callable[[], Awaitable[object]], every: timedelta) -> None:
    """Do a chore from time to time, until cancelled. One that fails is logged, and done again."""
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
