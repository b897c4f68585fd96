"""Ends work that waits when the client of its request hangs up.

The shell knows the connection, and says here how to wait for its end. Whatever waits long and has
changed nothing yet, such as a password before its hash, uses `ended_by_hang_up`. All other work
goes on without its client: an act that has begun must not end halfway.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TypeAlias

UntilGone: TypeAlias = Callable[[], Awaitable[None]]
"""Returns when the client has hung up."""

_until_gone: ContextVar[UntilGone | None] = ContextVar("until_gone", default=None)


@contextmanager
def told_by(until_gone: UntilGone) -> Iterator[None]:
    """Let the work of this block know whether its client has hung up."""
    before = _until_gone.set(until_gone)
    try:
        yield
    finally:
        _until_gone.reset(before)


@asynccontextmanager
async def ended_by_hang_up(give_up: Callable[[], bool]) -> AsyncIterator[None]:
    """Cancel the current task if the client hangs up during this block.

    Without a client, as in a command, nothing is ever cancelled.

    Args:
        give_up: called when the client has hung up; returns whether the work can still end.
    """
    until_gone, waiting = _until_gone.get(), asyncio.current_task()
    if until_gone is None or waiting is None:
        yield
        return

    async def watch() -> None:
        await until_gone()
        if give_up():
            waiting.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
