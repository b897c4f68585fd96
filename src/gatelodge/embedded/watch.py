"""Ends what stays open after a request, as soon as its user may not use it any more."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from gatelodge.clock import Clock
from gatelodge.errors import Unavailable
from gatelodge.tasks import attempt, end

SIGNED_OUT = 4401
"""The code with which a WebSocket of somebody who may not use it any more is closed."""

PATIENCE_SECONDS = 5.0
"""How long a block goes on after a change while the database cannot say whether it may."""

_RETRY_SECONDS = 0.25
_SHORTEST_SECONDS = 0.05
_LONGEST_SECONDS = 3600.0


class Waiting(Protocol):
    """Tells when something about a user may have changed; see `gate/watchers.py`."""

    def waiting(self, *ids: str) -> AbstractContextManager[asyncio.Event]:
        """Return a context with an event that is set when these may have changed."""


class Watch:
    """A context that is ended as soon as its user may not be here any more; see `User.watch`.

    Attributes:
        ended: whether the block was ended because the user may not be here any more.
    """

    def __init__(
        self,
        ids: tuple[str, ...],
        watchers: Waiting,
        clock: Clock,
        *,
        look_up: Callable[[], Awaitable[int | None]],
        close: Callable[[], Awaitable[None]],
        ask_every: float = _LONGEST_SECONDS,
    ) -> None:
        """Prepare the context.

        Args:
            ids: the ids of the user and the session, and of whoever impersonates the user.
            watchers: tells when something about them may have changed.
            clock: tells when the session has expired.
            look_up: asks until when the request may stay open, in milliseconds since 1970; None:
                it would be refused now.
            close: closes the connection.
            ask_every: how many seconds pass at most until it is asked again without a change.
        """
        self.ended = False
        self._ids = ids
        self._watchers = watchers
        self._clock = clock
        self._look_up = look_up
        self._close = close
        self._ask_every = ask_every

    async def __aenter__(self) -> Self:
        """Begin to watch. What changed since the request was admitted counts too."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"  # noqa: S101
        self._block, self._cancelled_before = task, task.cancelling()
        self._guard = asyncio.create_task(self._end_block())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Stop watching. If the user may not be here any more, close the connection."""
        await end(self._guard)
        if not self.ended:
            return False
        with contextlib.suppress(RuntimeError, OSError):  # the client has closed it already
            await self._close()
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        return cancelled and self._block.uncancel() <= self._cancelled_before

    async def _end_block(self) -> None:
        """End the block when the user may not be here any more, or nobody watches any more."""
        await attempt(self._keep_watch)
        self.ended = True
        self._block.cancel()

    async def _keep_watch(self) -> None:
        """Return when the user may not be here any more."""
        with self._watchers.waiting(*self._ids) as changed:
            while (until := await self._until()) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds_left(until)):
                        await changed.wait()
                changed.clear()

    async def _until(self) -> int | None:
        """Ask; while nobody answers, ask again, until the patience is over."""
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                return await self._look_up()
            except Unavailable:
                if loop.time() >= patient_until:
                    return None
            await asyncio.sleep(_RETRY_SECONDS)

    def _seconds_left(self, until: int) -> float:
        """Return how long to wait for a change before it is asked again."""
        left = (until - self._clock.milliseconds()) / 1000
        return min(self._ask_every, max(_SHORTEST_SECONDS, left))
