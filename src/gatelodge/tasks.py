"""End background tasks, surely."""

import asyncio
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
