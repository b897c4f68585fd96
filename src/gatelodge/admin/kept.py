"""Answers that are kept for a while, so that looking again costs nothing."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from gatelodge.clock import Clock
from gatelodge.errors import Unavailable
from gatelodge.tasks import end

T = TypeVar("T")

PATIENCE_SECONDS = 0.1
"""How long somebody waits for a new answer while there is an old one."""

_SHARE = 100
"""An answer is kept this many times longer than it takes to find, at least."""


class Kept(Generic[T]):
    """An answer that is found once for many who ask.

    When the answer is too old, a new one is looked for. Callers wait a moment for it, and then get
    the old one. While there is no answer at all, they wait until it is there.
    """

    def __init__(self, find: Callable[[], Awaitable[T]], life: timedelta, clock: Clock) -> None:
        """Keep what a function finds.

        Args:
            find: finds the answer.
            life: how long it is kept, at least.
            clock: tells the current time.
        """
        self._find = find
        self._life = life
        self._clock = clock
        self._answer: list[T] = []  # empty, or the last one
        self._until: datetime | None = None
        self._finding: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """Return the answer.

        Raises:
            Unavailable: there is none yet, and the database does not answer.
        """
        if self._is_fresh():
            return self._answer[0]
        await self._find_out(PATIENCE_SECONDS if self._answer else None)
        return self._answer[0]

    async def soon(self) -> T | None:
        """Return the answer, or None if it is not found at once. It will be there later."""
        if not self._is_fresh():
            with contextlib.suppress(Unavailable):
                await self._find_out(PATIENCE_SECONDS)
        return self._answer[0] if self._answer else None

    async def close(self) -> None:
        """Stop finding out."""
        if self._finding is not None:
            await end(self._finding)

    def _is_fresh(self) -> bool:
        return self._until is not None and self._clock.now() < self._until

    async def _find_out(self, seconds: float | None) -> None:
        """Wait until the answer is there, as long as that is worth it."""
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self._keep())
            self._finding.add_done_callback(_heard)
        await asyncio.wait([self._finding], timeout=seconds)
        if self._finding.done() and not self._answer:
            self._finding.result()

    async def _keep(self) -> None:
        began = time.monotonic()
        answer = await self._find()
        took = timedelta(seconds=time.monotonic() - began)
        self._answer = [answer]
        self._until = self._clock.now() + max(self._life, _SHARE * took)


def _heard(task: asyncio.Task[None]) -> None:
    """Take note of a failure, so that asyncio does not log it when nobody waits for it."""
    if not task.cancelled():
        task.exception()
