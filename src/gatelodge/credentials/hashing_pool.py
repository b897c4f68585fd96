"""Where password hashes are computed: on a few threads, behind a short queue.

A flood of sign-ins fills the queue and is refused there; everything else goes on. See
`docs/decisions/0005-hashing-pool.md` for the figures behind each choice.
"""

import asyncio
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from gatelodge.credentials.refusals import HashingBusy

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

# Low enough that the event loop goes first, high enough that a thread which holds the
# interpreter's lock soon gets the processor back (the decision page has the figures).
_NICER_BY = 10
_FIRST_GUESS = 0.03  # seconds for one hash, until one was measured
_WEIGHT_OF_NEWEST = 0.2

_log = logging.getLogger(__name__)


class HashingPool:
    """Run slow computations beside the event loop, a bounded number at a time.

    Attributes:
        threads: how many run at once.
        queue: how many more may wait.
        finished: how many have run to their end, counted since the start.
        refused: how many found every place taken.
        abandoned: how many were cancelled while they waited, and never ran.
    """

    def __init__(self, threads: int, queue: int = 64) -> None:
        """Prepare the pool; its threads start when there is work for them."""
        self.threads = threads
        self.queue = queue
        self.finished = 0
        self.refused = 0
        self.abandoned = 0
        self._admitted = 0
        self._seconds_each = _FIRST_GUESS
        self._closed = False
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, "hashing", initializer=_be_nice)

    @property
    def running(self) -> int:
        """How many are being computed now."""
        return min(self._admitted, self.threads)

    @property
    def waiting(self) -> int:
        """How many wait for a thread now."""
        return max(0, self._admitted - self.threads)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what the function returns, computed on a thread of this pool.

        Cancelled while it waits, the call gives up its place and is never computed. Cancelled
        while it runs, it holds its thread to the end, since nothing can stop it.

        Raises:
            HashingBusy: every place in the queue is taken, or the pool is closed.
        """
        self._admit()
        job = self._executor.submit(lambda: self._timed(function, *args))
        job.add_done_callback(self._leave)
        return await asyncio.wrap_future(job)

    async def close(self) -> None:
        """Take nothing new, finish what was admitted, and end the threads."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)

    def _admit(self) -> None:
        with self._lock:
            if self._closed or self._admitted >= self.threads + self.queue:
                self.refused += 1
                raise HashingBusy(retry_after=self._seconds_until_idle())
            self._admitted += 1

    def _seconds_until_idle(self) -> int:
        return max(1, math.ceil(self._admitted * self._seconds_each / self.threads))

    def _timed(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        started = time.perf_counter()
        try:
            return function(*args)
        finally:
            self._remember(time.perf_counter() - started)

    def _remember(self, seconds: float) -> None:
        with self._lock:
            self._seconds_each += _WEIGHT_OF_NEWEST * (seconds - self._seconds_each)

    def _leave(self, job: Future[T]) -> None:
        with self._lock:
            self._admitted -= 1
            if job.cancelled():
                self.abandoned += 1
            else:
                self.finished += 1


def _be_nice() -> None:
    """Let the other threads go first: one who signs in can wait better than the signed-in.

    Only Linux gives each thread its own priority; elsewhere this would slow the whole process.
    """
    if sys.platform != "linux":
        return
    try:
        os.nice(_NICER_BY)
    except OSError as error:
        details = {"error": str(error)}
        _log.debug("hashing.not_nicer", extra={"details": details})
