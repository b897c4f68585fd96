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
_SHORTEST_SECONDS = 0.05
_LONGEST_SECONDS = 3600.0


class Watch:
    """A context that is ended as soon as its user may not be here any more; see `User.watch`.

    Attributes:
        ended: whether the block was ended because the user may not be here any more.
    """

    def __init__(
        self,
        subject: str,
        session_id: str,
        watchers: Watchers,
        clock: Clock,
        *,
        look_up: Callable[[], Awaitable[Principal | None]],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare the context.

        Args:
            subject: whose request it is.
            session_id: the session of the request.
            watchers: tells when something about them may have changed.
            clock: tells when the session has expired.
            look_up: asks the store who is signed in now; None: the request would be refused.
            close: closes the connection.
        """
        self.ended = False
        self._ids = subject, session_id
        self._watchers = watchers
        self._clock = clock
        self._look_up = look_up
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
        with self._watchers.waiting(*self._ids) as changed:
            while (now := await self._found()) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds_left(now)):
                        await changed.wait()
                changed.clear()
        self.ended = True
        self._block.cancel()

    async def _found(self) -> Principal | None:
        """Ask the store; while it does not answer, ask again, until the patience is over."""
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                return await self._look_up()
            except StoreUnavailable:
                if loop.time() >= patient_until:
                    return None
            await asyncio.sleep(_RETRY_SECONDS)

    def _seconds_left(self, now: Principal) -> float:
        """Return how long the session lasts at most, but no more than an hour."""
        left = (now.until - self._clock.milliseconds()) / 1000
        return min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, left))
