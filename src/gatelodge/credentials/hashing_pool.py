"""The hashing pool: a few threads that hash passwords, behind a short queue.

When many users sign in at once, the queue fills and the pool refuses more; other requests go on.
`docs/decisions/0005-hashing-pool.md` has the figures behind each choice.
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
from typing import Any, TypeVar, TypeVarTuple

from gatelodge.credentials.refusals import HashingBusy, HashingUnavailable
from gatelodge.hang_up import ended_by_hang_up

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

# The event loop must run before these threads. But a thread that holds the interpreter lock must
# soon get the processor back (the decision page has the figures).
_NICENESS = 10
_INITIAL_ESTIMATE = 0.03  # seconds for one hash, before the first measurement
_WEIGHT_OF_NEWEST = 0.2

_log = logging.getLogger(__name__)


class HashingPool:
    """Runs slow computations on threads, a bounded number at a time.

    Attributes:
        threads: how many computations run at once.
        queue: how many more may wait.
        finished: how many have run since the start.
        refused: how many were refused because the queue was full.
        abandoned: how many were cancelled while they waited, and never ran.
    """

    def __init__(self, threads: int, queue: int = 64) -> None:
        """Create the pool; its threads start with the first work."""
        self.threads = threads
        self.queue = queue
        self.finished = 0
        self.refused = 0
        self.abandoned = 0
        self._admitted = 0
        self._average_seconds = _INITIAL_ESTIMATE
        self._closed = False
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, "hashing", initializer=_lower_priority)

    @property
    def running(self) -> int:
        """How many computations run now."""
        return min(self._admitted, self.threads)

    @property
    def waiting(self) -> int:
        """How many computations wait for a thread now."""
        return max(0, self._admitted - self.threads)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call the function on a thread of this pool, and return its result.

        A call that is cancelled while it waits leaves the queue and never runs; it is cancelled if
        the client hangs up. A call that is cancelled while it runs keeps its thread until it ends,
        because threads cannot be stopped.

        Raises:
            HashingBusy: the queue is full, or the pool is closed.
            HashingUnavailable: no thread could be started.
        """
        place = self.take()
        try:
            async with ended_by_hang_up(place.give_up):
                return await place.run(function, *args)
        finally:
            place.leave()

    def take(self) -> "Place":
        """Return a place for one computation. The caller must `leave` it.

        Raises:
            HashingBusy: the queue is full, or the pool is closed.
        """
        self._admit()
        return Place(self)

    async def close(self) -> None:
        """Refuse new work, finish the work that was admitted, and end the threads."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)

    def _admit(self) -> None:
        with self._lock:
            if self._closed or self._admitted >= self.threads + self.queue:
                self.refused += 1
                raise HashingBusy(retry_after=self._seconds_until_idle())
            self._admitted += 1

    def _seconds_until_idle(self) -> int:
        return max(1, math.ceil(self._admitted * self._average_seconds / self.threads))

    def submit(self, job: Future[T], function: Callable[[*Ts], T], *args: *Ts) -> None:
        """Let a thread complete the job, which has a place already, by calling the function.

        Raises:
            HashingUnavailable: no thread could be started; the job is cancelled.
        """
        job.add_done_callback(self._leave)
        try:
            self._executor.submit(lambda: self._complete(job, function, *args))
        except RuntimeError as error:  # the executor may still run what it could not start
            job.cancel()
            raise HashingUnavailable(retry_after=1) from error

    def free(self, *, abandoned: bool) -> None:
        """Free a place that no job was submitted for."""
        with self._lock:
            self._admitted -= 1
            self.abandoned += abandoned

    def _complete(self, job: Future[T], function: Callable[[*Ts], T], *args: *Ts) -> None:
        if not job.set_running_or_notify_cancel():
            return
        started = time.perf_counter()
        try:
            result = function(*args)
        except BaseException as error:  # noqa: BLE001 - it is the caller's to handle
            self._update_average(time.perf_counter() - started)
            job.set_exception(error)
        else:
            self._update_average(time.perf_counter() - started)
            job.set_result(result)

    def _update_average(self, seconds: float) -> None:
        with self._lock:
            self._average_seconds += _WEIGHT_OF_NEWEST * (seconds - self._average_seconds)

    def _leave(self, job: Future[Any]) -> None:
        with self._lock:
            self._admitted -= 1
            if job.cancelled():
                self.abandoned += 1
            else:
                self.finished += 1


class Place:
    """A place in the pool, for one computation."""

    def __init__(self, pool: HashingPool) -> None:
        """Hold a place that the pool has admitted."""
        self._pool = pool
        self._job: Future[Any] | None = None
        self._given_up = False
        self._left = False

    @property
    def has_begun(self) -> bool:
        """Whether the computation has begun."""
        job = self._job
        return job is not None and (job.running() or (job.done() and not job.cancelled()))

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call the function on a thread of the pool, once; see `HashingPool.run`."""
        job: Future[T] = Future()
        self._job = job
        self._pool.submit(job, function, *args)
        return await asyncio.wrap_future(job)

    def give_up(self) -> bool:
        """Keep the computation from beginning. Return False if it has begun."""
        self._given_up = self._job is None or self._job.cancel()
        return self._given_up

    def leave(self) -> None:
        """Free the place; if there is a computation, its end frees the place."""
        if self._job is None and not self._left:
            self._pool.free(abandoned=self._given_up)
        self._left = True


def _lower_priority() -> None:
    """Lower the priority of this thread: requests of signed-in users go before sign-ins.

    Only on Linux each thread has its own priority; elsewhere this would slow the whole process.
    """
    if sys.platform != "linux":
        return
    try:
        os.nice(_NICENESS)
    except OSError as error:
        details = {"error": str(error)}
        _log.debug("hashing.not_nicer", extra={"details": details})
