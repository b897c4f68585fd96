"""What one password hash costs alone. The rest of a sign-in is what the server adds."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.settings import Settings

DEFAULT_THREADS = Settings(hash_threads=0, workers=1).hash_threads_per_worker
"""The default number of hashing threads of a server with one worker."""

_HASHER = PasswordHasher()
_STORED = _HASHER.hash("correct horse battery")


@dataclass(frozen=True, slots=True)
class HashTime:
    """The seconds that one hash takes: CPU time, and time by the clock."""

    cpu: float
    wall: float


def hash_time(times: int) -> HashTime:
    """Return the median time of `times` hashes on this thread."""
    taken = [_one() for _ in range(times)]
    return HashTime(median(one.cpu for one in taken), median(one.wall for one in taken))


def hashes_per_second(threads: int, times: int) -> float:
    """Return how many hashes per second so many threads finish while nothing else runs.

    Where cores share memory and caches, it is less than `threads` times the rate of one thread.
    """
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: _one(), range(threads)))
        began = time.perf_counter()
        list(pool.map(lambda _: _one(), range(times)))
        return times / (time.perf_counter() - began)


def _one() -> HashTime:
    cpu, wall = time.thread_time(), time.perf_counter()
    _HASHER.verify(_STORED, "correct horse battery")
    return HashTime(time.thread_time() - cpu, time.perf_counter() - wall)
