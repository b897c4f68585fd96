"""The record of failed tries and of tries in progress, and the port that stores both."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from gatelodge.audit import Event
from gatelodge.clock import from_milliseconds

LAPSES_AFTER = timedelta(seconds=60)
"""How long a reservation holds if nobody ends it, because its process has died.

A full queue of passwords is hashed in less time.
"""

KEPT_FOR_EACH = timedelta(days=1)
"""How long each failure in a row keeps the record."""

KEPT_AT_MOST = timedelta(days=30)

LONG_AGO = from_milliseconds(0)
"""An instant before all others: a key that is not blocked was blocked until then.

The time of the failure would not do. Another process may have read its clock a moment before, or
have a clock that is behind, and would find the key blocked.
"""

_NO_WAIT = timedelta(0)


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
        return min(self.first_wait * (1 << min(doublings, MAX_DOUBLINGS)), self.longest_wait)

    def tries_left(self, failures: int, streak: int) -> int:
        """Return how many more tries may fail before the key is blocked; at least 1."""
        beyond = failures - self.tries
        left = -beyond if beyond < 0 else self.doubles_after - beyond % self.doubles_after
        return max(1, min(left, self.hard_stop - streak)) if self.hard_stop else left


MAX_DOUBLINGS = 16
"""A wait doubles no more often than this; it is the longest wait long before."""


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

    def wait_at(self, limit: Limit, at: datetime) -> timedelta:
        """Return how long the key is still blocked; after the hard stop, always the longest wait.

        It is never longer than the longest wait, whatever another clock has written.
        """
        if limit.hard_stop and self.streak >= limit.hard_stop:
            return limit.longest_wait
        return min(max(self.blocked_until - at, _NO_WAIT), limit.longest_wait)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The right to make one try of a key; it lapses by itself after `LAPSES_AFTER`.

    Attributes:
        key: what a failure of the try counts for.
        id: tells it from the other reservations of the key; random.
    """

    key: str
    id: str = field(default_factory=partial(secrets.token_hex, 8))


def after_failure(before: Attempts | None, key: str, limit: Limit, at: datetime) -> Attempts:
    """Return the record of a key after one more failure."""
    failures = 1 + (before.failures_at(at) if before else 0)
    streak = 1 + (before.streak if before else 0)
    until = before.until if before and failures > 1 else at + limit.period
    blocked_until = before.blocked_until if before else LONG_AGO
    if limit.first_wait is None and failures >= limit.tries:
        blocked_until = until
    if wait := limit.wait_after(failures):
        blocked_until = at + wait
        until = blocked_until + max(wait, limit.period)  # failures after the wait still add up
    kept = min(
        KEPT_FOR_EACH * streak, KEPT_AT_MOST
    )  # else a few failures each day would never add up
    return Attempts(key, failures, streak, until, blocked_until, max(until, at + kept))


class AttemptStore(Protocol):
    """The stored failures and reservations.

    Every method is atomic, in all processes together; one that forgets several keys, for each key.

    A failure is durable when it has been counted. A reservation, and what `give_back` forgets, may
    be undone by a loss of power.
    """

    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        """Return the records of these keys, by key; keys without a failure are left out."""

    async def reserve(self, wanted: Reservation, limit: Limit, at: datetime) -> timedelta | None:
        """Reserve one try of a key. Return None if it may be made.

        Failures and reservations together are never more than the failures that the limit allows,
        however many callers and processes reserve at the same moment.

        Args:
            wanted: the reservation; its id is new. The caller ends it by `give_back` or
                `count_failure`.
            limit: the limit of the key.
            at: the current time.

        Returns:
            None; or how long the key is blocked, and then nothing is reserved. The time is zero if
            the key is not blocked, but as many tries are in progress as may still fail.
        """

    async def give_back(self, reservation: Reservation, *, forget: bool = False) -> None:
        """End a reservation without counting anything.

        Args:
            reservation: the reservation; nothing happens if it has lapsed or was ended.
            forget: whether the failures of the key are forgotten as well. Other reservations stay.
        """

    async def count_failure(
        self, key: str, limit: Limit, at: datetime, reservation: Reservation | None = None
    ) -> Attempts:
        """Count one more failure of a key, as `after_failure` does; return the new record.

        Failures that arrive at the same moment are all counted.

        Args:
            key: the key.
            limit: the limit of the key.
            at: the current time.
            reservation: the reservation that ends with this failure, or None.
        """

    async def forget(self, keys: Collection[str], event: Event | None = None) -> bool:
        """Delete the failures of these keys, and store the event with that, if there is one.

        Return whether there were any; otherwise no event is stored. After an error, there may be
        keys left. Then the event is stored if at least one key was forgotten.
        """

    async def remove_quiet(self, at: datetime) -> int:
        """Delete the records whose `forget_at` is not after this instant; return how many.

        Reservations that have lapsed are deleted too.
        """

    async def forget_all(self, event: Event) -> int:
        """Do the same for all keys. Return for how many keys there were any."""
