"""Ends what stays open after a request, as soon as its user may not use it any more."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from gatelodge.clock import Clock
from gatelodge.errors import StoreUnavailable
from gatelodge.gate.principal import Principal
from gatelodge.gate.watchers import Watchers
from gatelodge.tasks import end

SIGNED_OUT = 4401
"""The code with which a WebSocket of somebody who may not use it any more is closed."""

PATIENCE_SECONDS = 5.0
"""How long a block goes on after a change while the database cannot say whether it may."""

_RETRY_SECONDS = 0.25


class Watch:
    """A context that is ended as soon as its user may not be here any more; see `User.watch`.

    Attributes:
        ended: whether the block was ended because the user may not be here any more.
    """

    def __init__(
        self,
        principal: Principal,
        watchers: Watchers,
        clock: Clock,
        *,
        still_admitted: Callable[[], Awaitable[bool]],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare the context.

        Args:
            principal: whose request it is.
            watchers: tells when something about them may have changed.
            clock: tells when the session has expired.
            still_admitted: asks the store whether the request would be admitted now.
            close: closes the connection.
        """
        self.ended = False
        self._principal = principal
        self._watchers = watchers
        self._clock = clock
        self._still_admitted = still_admitted
        self._close = close

    async def __aenter__(self) -> Self:
        """Begin to watch. What changed since the request was admitted counts too."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"  # noqa: S101
        self._block, self._cancelled_before = task, task.cancelling()
        self._guard = asyncio.create_task(self._keep_watch())
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

    async def _keep_watch(self) -> None:
        """End the block when the user may not be here any more."""
        with self._watchers.waiting(self._principal) as changed:
            while await self._may_stay():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds_left()):
                        await changed.wait()
                changed.clear()
        self.ended = True
        self._block.cancel()

    async def _may_stay(self) -> bool:
        """Ask the store; while it does not answer, ask again, until the patience is over."""
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                return await self._still_admitted()
            except StoreUnavailable:
                if loop.time() >= patient_until:
                    return False
            await asyncio.sleep(_RETRY_SECONDS)

    def _seconds_left(self) -> float:
        """Return how long the session lasts at most, but no more than an hour."""
        return min(3600.0, max(0.05, (self._ends_at - self._clock.milliseconds()) / 1000))

    @property
    def _ends_at(self) -> int:
        return self._principal.until
