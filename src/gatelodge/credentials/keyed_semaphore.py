"""A semaphore per key: callers beyond the limit wait until one leaves."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Collection

from gatelodge.credentials.refusals import HashingBusy

MAX_WAITING = 64
"""How many may wait for one key; security.md allows as many in the queue for hashing."""


class KeyedSemaphore:
    """Count who is inside, and let others in one by one."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._inside: Counter[str] = Counter()
        self._queues: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    def inside(self, key: str) -> int:
        """Return how many try now."""
        return self._inside[key]

    def enter(self, keys: Collection[str]) -> None:
        """Count one more."""
        self._inside.update(keys)

    def leave(self, keys: Collection[str]) -> None:
        """Count one less, and let somebody else look whether there is room."""
        for key in keys:
            self._inside[key] -= 1
            if not self._inside[key]:
                del self._inside[key]
            self.wake(key)

    async def wait(self, key: str) -> None:
        """Return when somebody has left. Who then does not enter wakes the next one.

        Raises:
            HashingBusy: too many wait for it already.
        """
        if len(self._queues[key]) >= MAX_WAITING:
            raise HashingBusy(retry_after=1)
        woken = asyncio.get_running_loop().create_future()
        self._queues[key].append(woken)
        try:
            await woken
        except asyncio.CancelledError:
            self._give_up(key, woken)
            raise

    def wake(self, key: str | None) -> None:
        """Let the one who has waited longest look whether there is room."""
        if key is None or (queue := self._queues.get(key)) is None:
            return
        while queue:
            woken = queue.popleft()
            if not woken.done():
                woken.set_result(None)
                break
        self._tidy(key, queue)

    def _give_up(self, key: str, woken: asyncio.Future[None]) -> None:
        if not woken.cancelled():  # it was this one's turn
            self.wake(key)
        elif (queue := self._queues.get(key)) and woken in queue:
            queue.remove(woken)
            self._tidy(key, queue)

    def _tidy(self, key: str, queue: deque[asyncio.Future[None]]) -> None:
        if not queue:
            del self._queues[key]
