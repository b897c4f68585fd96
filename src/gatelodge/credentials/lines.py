"""Lines: who comes to a key, in the order of arrival. Only the first of a line does anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gatelodge.credentials.refusals import HashingBusy

MAX_WAITING = 64
"""How many may be in one line; security.md, section 1, sets the same limit for hashing."""


class _Line:
    def __init__(self) -> None:
        self.first = asyncio.Lock()
        self.waiting = 0


class Lines:
    """The lines of this process, by key."""

    def __init__(self) -> None:
        """Start without lines."""
        self._lines: dict[str, _Line] = {}

    def waiting(self, key: str) -> int:
        """Return how many are in the line of a key."""
        return self._lines[key].waiting if key in self._lines else 0

    @asynccontextmanager
    async def first(self, key: str) -> AsyncIterator[None]:
        """Wait until nobody is before the caller; the next one waits until the block ends.

        Raises:
            HashingBusy: `MAX_WAITING` callers are in the line already.
        """
        line = self._lines.setdefault(key, _Line())
        if line.waiting >= MAX_WAITING:
            raise HashingBusy(retry_after=1)
        line.waiting += 1
        try:
            async with line.first:
                yield
        finally:
            line.waiting -= 1
            if not line.waiting:
                del self._lines[key]
