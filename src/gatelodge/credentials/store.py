"""The record of failed tries, and the port that keeps it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

_A_DAY = timedelta(days=1)
_MAX_DAYS = 30


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tries may fail, and how long one waits after that.

    Attributes:
        tries: that may fail within the period; 0: any number, nothing is counted.
        period: from the first of them on.
        first_wait: after the last of them; further failures double it... None: one waits until the
            period is over, and that is all.
        longest_wait: ...up to this.
        again: how many further failures double it.
        full_stop: so many failures without a success between them end it; 0: none does.
    """

    tries: int
    period: timedelta = timedelta(minutes=5)
    first_wait: timedelta | None = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(hours=1)
    again: int = 1
    full_stop: int = 0

    def wait_after(self, failures: int) -> timedelta | None:
        """Return how long to wait after so many failures, where that does not end by itself."""
        doubled, since = divmod(failures - self.tries, self.again)
        if doubled < 0 or since or self.first_wait is None:
            return None
        return min(self.first_wait * (1 << min(doubled, 16)), self.longest_wait)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What failed lately for one name, address or other key.

    Attributes:
        key: what they are counted for.
        failures: lately, which ends at `until`.
        streak: failures since the last success, however long ago.
        until: from when on the next failure is a first one again.
        blocked_until: before that, nothing is tried.
        forget_at: when the record is of no more use.
    """

    key: str
    failures: int
    streak: int
    until: datetime
    blocked_until: datetime
    forget_at: datetime

    def lately(self, at: datetime) -> int:
        """Return how many failures count at an instant."""
        return self.failures if at < self.until else 0


def after_failure(before: Attempts | None, key: str, limit: Limit, at: datetime) -> Attempts:
    """Return what is kept of a key when one more try has failed."""
    failures = 1 + (before.lately(at) if before else 0)
    streak = 1 + (before.streak if before else 0)
    until = before.until if before and failures > 1 else at + limit.period
    blocked_until = before.blocked_until if before else at
    if limit.first_wait is None and failures >= limit.tries:
        blocked_until = until
    if wait := limit.wait_after(failures):
        blocked_until = at + wait
        until = blocked_until + max(wait, limit.period)  # who waits it out does not begin anew
    kept = _A_DAY * min(streak, _MAX_DAYS)  # a few each day would else never add up
    return Attempts(key, failures, streak, until, blocked_until, max(until, at + kept))


class AttemptStore(Protocol):
    """Failed tries at rest. Every method is atomic and, once it returns, durable."""

    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        """Return what is kept of each of these keys, where something is."""

    async def count_failure(self, key: str, limit: Limit, at: datetime) -> Attempts:
        """Count one more failure of a key, as `after_failure` says; return what is kept now.

        Of many that arrive together each is counted.
        """

    async def forget(self, key: str) -> bool:
        """Forget the failures of a key. True when there were any."""

    async def remove_quiet(self, at: datetime) -> int:
        """Forget the records that are of no more use at an instant; say how many."""
