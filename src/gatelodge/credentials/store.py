"""The record of failed tries, and the port that stores it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

_ONE_DAY = timedelta(days=1)
_MAX_DAYS = 30


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tries may fail, and how long a key is blocked after that.

    Attributes:
        tries: the number of failures within the period that blocks the key; 0: no limit, and
            nothing is counted.
        period: the time in which failures are counted together; it starts with the first failure.
        first_wait: how long the key is blocked at first. None: it is blocked until the period
            ends, and no longer.
        longest_wait: the longest time that a key is blocked.
        doubles_after: after how many further failures the wait doubles.
        hard_stop: the number of consecutive failures that blocks the key until a success or a
            reset; 0: no number does.
    """

    tries: int
    period: timedelta = timedelta(minutes=5)
    first_wait: timedelta | None = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(hours=1)
    doubles_after: int = 1
    hard_stop: int = 0

    def wait_after(self, failures: int) -> timedelta | None:
        """Return how long this failure blocks the key, or None if it adds no new wait."""
        doublings, further = divmod(failures - self.tries, self.doubles_after)
        if doublings < 0 or further or self.first_wait is None:
            return None
        return min(self.first_wait * (1 << min(doublings, 16)), self.longest_wait)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The failures of one name, address or other key.

    Attributes:
        key: what the failures are counted for.
        failures: the number of failures in the current period.
        streak: the number of failures since the last success.
        until: when the current period ends; the next failure after that starts a new one.
        blocked_until: until when all tries are refused.
        forget_at: when the record is not needed any more.
    """

    key: str
    failures: int
    streak: int
    until: datetime
    blocked_until: datetime
    forget_at: datetime

    def failures_at(self, at: datetime) -> int:
        """Return the failures that count at this instant; 0 after the period."""
        return self.failures if at < self.until else 0


def after_failure(before: Attempts | None, key: str, limit: Limit, at: datetime) -> Attempts:
    """Return the record of a key after one more failure."""
    failures = 1 + (before.failures_at(at) if before else 0)
    streak = 1 + (before.streak if before else 0)
    until = before.until if before and failures > 1 else at + limit.period
    blocked_until = before.blocked_until if before else at
    if limit.first_wait is None and failures >= limit.tries:
        blocked_until = until
    if wait := limit.wait_after(failures):
        blocked_until = at + wait
        until = blocked_until + max(wait, limit.period)  # failures after the wait still add up
    kept = _ONE_DAY * min(streak, _MAX_DAYS)  # else a few failures each day would never add up
    return Attempts(key, failures, streak, until, blocked_until, max(until, at + kept))


class AttemptStore(Protocol):
    """The stored failures. Every method is atomic; changes are durable when it returns."""

    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        """Return the records of these keys, by key; keys without a record are left out."""

    async def count_failure(self, key: str, limit: Limit, at: datetime) -> Attempts:
        """Count one more failure of a key, as `after_failure` does; return the new record.

        Failures that arrive at the same moment are all counted.
        """

    async def forget(self, key: str) -> bool:
        """Delete the record of a key. Return whether there was one."""

    async def remove_quiet(self, at: datetime) -> int:
        """Delete the records whose `forget_at` is not after this instant; return how many."""
