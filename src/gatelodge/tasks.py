"""Background tasks: what is done from time to time, and how all of them end, surely."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

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


async def repeat(chore: Callable[[], Awaitable[object]], every: timedelta) -> None:
    """Do a chore from time to time, until cancelled. One that fails is logged, and done again."""
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            await chore()
        except Exception:
            details = {"chore": getattr(chore, "__qualname__", repr(chore))}
            logging.getLogger("gatelodge").exception("chore.failed", extra={"details": details})
