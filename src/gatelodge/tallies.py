"""How often each event happens on each day (UTC), for the overview of the administration.

Failed sign-ins are too many to be stored one by one. Each process counts in memory, and adds what
it has counted to the stored numbers every few seconds: no request waits for that, and a process
that dies loses the last seconds.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol


class TallyStore(Protocol):
    """The stored numbers."""

    async def add(self, counts: Mapping[tuple[date, str], int]) -> None:
        """Add to the numbers of days and names. Of many that add at the same time, all count."""

    async def list_days(self, first: date, last: date) -> dict[date, dict[str, int]]:
        """Return the numbers from the first to the last day, by name; days without are left out."""

    async def remove_before(self, first: date) -> None:
        """Delete the numbers of all days before this one."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts in memory."""

    counts: Counter[tuple[date, str]] = field(default_factory=Counter)

    def count(self, day: date, name: str) -> None:
        """Count something of this name once."""
        self.counts[day, name] += 1

    def take(self) -> Counter[tuple[date, str]]:
        """Return what was counted since the last call."""
        taken = Counter(self.counts)
        self.counts.clear()
        return taken

    def give_back(self, counts: Mapping[tuple[date, str], int]) -> None:
        """Count again what could not be stored."""
        self.counts.update(counts)
