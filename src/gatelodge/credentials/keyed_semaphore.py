"""A semaphore per key: callers beyond the limit wait until one leaves."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Collection

from gatelodge.credentials.refusals import HashingBusy

MAX_WAITING = 64
"""How many may wait for one key; security.md, section 1, sets the same limit for hashing."""


class KeyedSemaphore:
    """Counts the holders of each key, and wakes waiting callers one by one."""

    def __init__(self) -> None:
        """Start with no holders."""
        self._inside: Counter[str] = Counter()
        self._queues: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    def inside(self, key: str) -> int:
        """Return the number of holders of a key."""
        return self._inside[key]

    def enter(self, keys: Collection[str]) -> None:
        """Add a holder to each of these keys."""
        self._inside.update(keys)

    def leave(self, keys: Collection[str]) -> None:
        """Remove a holder from each of these keys, and wake one waiting caller of each."""
        for key in keys:
            self._inside[key] -= 1
            if not self._inside[key]:
                del self._inside[key]
            self.wake(key)

    async def wait(self, key: str) -> None:
        """Wait until a holder of the key leaves.

        A caller that then does not enter must call `wake`, so that the next caller can.

        Raises:
            HashingBusy: `MAX_WAITING` callers already wait for the key.
        """
        if len(self._queues[key]) >= MAX_WAITING:
            raise HashingBusy(retry_after=1)
        woken = asyncio.get_running_loop().create_future()
        self._queues[key].append(woken)
        try:
            await woken
        except asyncio.CancelledError:
            self._cancel_wait(key, woken)
            raise

    def wake(self, key: str | None) -> None:
        """Wake the caller that has waited longest for the key; None wakes nobody."""
        if key is None or (queue := self._queues.get(key)) is None:
            return
        while queue:
            woken = queue.popleft()
            if not woken.done():
                woken.set_result(None)
                break
        self._drop_empty(key, queue)

    def _cancel_wait(self, key: str, woken: asyncio.Future[None]) -> None:
        if not woken.cancelled():  # woken and cancelled: wake the next one instead
            self.wake(key)
        elif (queue := self._queues.get(key)) and woken in queue:
            queue.remove(woken)
            self._drop_empty(key, queue)

    def _drop_empty(self, key: str, queue: deque[asyncio.Future[None]]) -> None:
        if not queue:
            del self._queues[key]
