"""The time now: the seam that a test replaces."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """Return this instant: aware UTC, whole milliseconds, never before an earlier answer."""

    def milliseconds(self) -> int:
        """Return the same as whole milliseconds since 1970, for where each microsecond counts."""


class SystemClock:
    """The machine's wall clock, which within one process never steps back.

    When somebody sets the wall clock back, time goes on at the pace of the monotonic
    clock instead, so that what has expired stays expired. The wall clock itself is read
    only now and then; in between, the monotonic clock says how much time has passed.
    """

    def __init__(self) -> None:
        """Start from the wall clock."""
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def now(self) -> datetime:
        """Return this instant."""
        return from_milliseconds(self.milliseconds())

    def milliseconds(self) -> int:
        """Return this instant as milliseconds since 1970."""
        monotonic = time.monotonic()
        passed = monotonic - self._monotonic
        if passed > _WALL_CLOCK_EVERY:
            self._wall = max(time.time(), self._wall + passed)
            self._monotonic = monotonic
            passed = 0.0
        return int((self._wall + passed) * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the instant that many milliseconds after 1970, exactly."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_milliseconds(instant: datetime) -> int:
    """Return the whole milliseconds from 1970 to an aware instant."""
    return (instant - _EPOCH) // _MILLISECOND


_WALL_CLOCK_EVERY = 0.01
"""Seconds: so soon a clock that was set forward is noticed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
