"""A clock that stands still until a test moves it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gatelodge.clock import to_milliseconds

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class FakeClock:
    """Says the time that the test set."""

    instant: datetime = NOON

    def now(self) -> datetime:
        """Return the set instant."""
        return self.instant

    def milliseconds(self) -> int:
        """Return the same as milliseconds since 1970."""
        return to_milliseconds(self.instant)

    def advance(self, by: timedelta) -> datetime:
        """Move on, and return the new instant."""
        self.instant += by
        return self.instant
