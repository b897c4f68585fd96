"""The current time. Tests replace the clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the current time."""

    def now(self) -> datetime:
        """Return the current time, aware UTC, in whole milliseconds; it never goes back."""

    def milliseconds(self) -> int:
        """Return the current time as whole milliseconds since 1970; faster than `now`."""


class SystemClock:
    """The wall clock of this machine; within one process it never goes back.

    When somebody sets the wall clock back, this clock ignores it and continues with the monotonic
    clock: what has expired stays expired. The wall clock is read at most every 10 milliseconds;
    between two reads, the monotonic clock tells how much time has passed.
    """

    def __init__(self) -> None:
        """Read the wall clock for the first time."""
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def now(self) -> datetime:
        """Return the current time, aware UTC."""
        return from_milliseconds(self.milliseconds())

    def milliseconds(self) -> int:
        """Return the current time as milliseconds since 1970."""
        monotonic = time.monotonic()
        passed = monotonic - self._monotonic
        if passed > _WALL_CLOCK_INTERVAL:
            self._wall = max(time.time(), self._wall + passed)
            self._monotonic = monotonic
            passed = 0.0
        return int((self._wall + passed) * 1000)


LEEWAY = timedelta(seconds=30)
"""How far the clocks of two machines may differ (security.md, section 3)."""


def is_recent(at: datetime, now: datetime, within: timedelta) -> bool:
    """Say whether something happened no longer ago than this.

    What lies further in the future than clocks may differ was written by a clock that was wrong; it
    is not recent.
    """
    return -LEEWAY <= now - at <= within


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the instant that is this many milliseconds after 1970 (aware UTC, exact)."""
    return EPOCH + timedelta(0, 0, 0, milliseconds)  # as a keyword it takes 50 % longer


def to_milliseconds(instant: datetime) -> int:
    """Return the milliseconds from 1970 to an aware instant, rounded down."""
    return (instant - EPOCH) // MILLISECOND


_WALL_CLOCK_INTERVAL = 0.01
"""Seconds between two reads of the wall clock; a clock set forward is noticed after this time."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def instant(at: datetime | None) -> str | None:
    """Return an instant as programs read it (RFC 3339, UTC, milliseconds), or None."""
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
