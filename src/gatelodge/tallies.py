"""How often each event happens on each day (UTC), for the overview of the administration.

Failed sign-ins are too many to be stored one by one. Each process counts in memory, and adds what
it has counted to the stored numbers every few seconds: no request waits for that, and a process
that dies loses the last seconds.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from gatelodge.clock import Clock
from gatelodge.errors import OutcomeUnknown, StoreUnavailable

ADDED_EVERY = timedelta(seconds=10)
"""How often a process adds what it has counted."""

KEPT = timedelta(days=400)
"""How long the numbers of a day are kept."""


class TallyStore(Protocol):
    """The stored numbers."""

    async def add(self, counts: Mapping[tuple[date, str], int]) -> None:
        """Add to the numbers of days and names. Of many that add at the same time, all count.

        A loss of power may undo it.

        Raises:
            StoreUnavailable: nothing was added.
            OutcomeUnknown: all of it was added, or some, or nothing.
        """

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


@dataclass(frozen=True, slots=True)
class TallyService:
    """Adds what this process has counted to the stored numbers, and forgets old days.

    Attributes:
        store: the stored numbers.
        tally: what this process counts.
        clock: tells the current time.
    """

    store: TallyStore
    tally: Tally
    clock: Clock

    async def add(self) -> None:
        """Add what was counted since the last call.

        If the database does not answer, the counts wait for the next call. Nothing is logged then:
        others say that the database does not answer.

        Raises:
            OutcomeUnknown: what was counted may be lost. It is not added again: nothing is counted
                twice.
        """
        counted = self.tally.take()
        if not counted:
            return
        try:
            await self.store.add(counted)
        except StoreUnavailable:
            self.tally.give_back(counted)

    async def list_days(self, first: date, last: date) -> dict[date, dict[str, int]]:
        """Return the numbers from the first to the last day, by name; days without are left out.

        What this process has counted is among them, and what others have counted up to ten seconds
        ago.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with suppress(OutcomeUnknown):
            await self.add()
        return await self.store.list_days(first, last)

    async def sweep(self) -> None:
        """Delete the numbers of days that are too long ago."""
        await self.store.remove_before((self.clock.now() - KEPT).date())
