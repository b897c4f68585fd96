"""The clock of a test: it stands still until the test moves it."""

import time
from datetime import datetime, timedelta

from gatelodge.clock import Clock, from_milliseconds

_MILLISECOND = timedelta(milliseconds=1)


class StillClock(Clock):
    """Says the time at which it was made, and what the test has added."""

    def __init__(self) -> None:
        """Begin now, at a whole second, as tokens tell the time: so limits can be met exactly."""
        self._milliseconds = int(time.time()) * 1000

    def now(self) -> datetime:
        """Return the current time, aware UTC."""
        return from_milliseconds(self._milliseconds)

    def milliseconds(self) -> int:
        """Return the same as milliseconds since 1970."""
        return self._milliseconds

    def travel(self, by: timedelta) -> datetime:
        """Move on, and return the new time.

        Raises:
            ValueError: the time would go back; no part of the server is made for that.
        """
        if by < timedelta(0):
            raise ValueError("The clock of a test can only move forward.")
        self._milliseconds += by // _MILLISECOND
        return self.now()
