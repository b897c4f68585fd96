"""How both adapters look for events: which indexes they follow, and how far.

Every field in `FIELDS` has an index, in which the events of one value are sorted by their ids. A
search follows one of them, or two for `EventQuery.about`, from the newest event on, and checks the
other conditions on each event that it meets. It meets no more than `EXAMINED` in each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from gatelodge.audit import EVENT_PREFIX, Event, EventPage, EventQuery
from gatelodge.ids import UserId, first_id

EXAMINED = 5_000
"""How many events a search looks at in an index, before it returns what it has found."""

FEW = 200
"""So many events are looked at so fast that no better index is looked for."""

FIELDS = ("target", "actor", "address", "name")
"""The fields that have an index; those of whose values there are more come first."""

Walk: TypeAlias = tuple[str, str]
"""A field that has an index, and its value."""

Lead: TypeAlias = tuple[Walk, ...]
"""Walks that together meet every event that a search may find."""

_LAST_ID = f"{EVENT_PREFIX}_~"


@dataclass(frozen=True, slots=True)
class Span:
    """A range of ids.

    Attributes:
        first: the least id in it.
        end: the least id above it.
    """

    first: str
    end: str

    @classmethod
    def of(cls, query: EventQuery, before: str | None) -> Self:
        """Return the ids that a search may find; an id is made of the event's instant."""
        first = "" if query.since is None else first_id(EVENT_PREFIX, query.since)
        until = _LAST_ID if query.until is None else first_id(EVENT_PREFIX, query.until)
        return cls(first, min(until, _LAST_ID if before is None else before))

    def above(self, floor: str) -> "Span":
        """Return the part of the range from an id on."""
        return Span(max(self.first, floor), self.end)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the walks of a lead go.

    Attributes:
        floor: the id at which they stop, because the next one would be too many; or empty.
        met: how many events they meet until then.
        lead: the walks.
    """

    floor: str
    met: int
    lead: Lead

    @classmethod
    def of(cls, lead: Lead, walked: Sequence[tuple[int, str]]) -> Self:
        """Return how far a lead goes.

        Args:
            lead: the walks.
            walked: for each of them, how many events it meets, `EXAMINED` at most, and the id of
                the last one.
        """
        floors = [last for met, last in walked if met == EXAMINED]
        return cls(max(floors, default=""), sum(met for met, _ in walked), lead)

    @property
    def is_short(self) -> bool:
        """Whether the walks meet so few events that no other lead can be much better."""
        return not self.floor and self.met <= FEW


def leads_of(query: EventQuery) -> list[Lead]:
    """Return the leads that a search can choose from; none if only the time is given.

    Those that usually meet fewer events come first.
    """
    leads: list[Lead] = [((field, value),) for field, value in conditions_of(query)]
    if query.about is not None:
        leads.insert(0, (("target", query.about), ("actor", query.about)))
    return leads


def conditions_of(query: EventQuery) -> list[Walk]:
    """Return the fields that a search names, with their values."""
    named = [(field, getattr(query, field)) for field in FIELDS]
    return [(field, value) for field, value in named if value is not None]


def farthest(reaches: Iterable[Reach]) -> Reach:
    """Return the lead that reaches farthest back, and of several the one that meets fewest."""
    return min(reaches, key=lambda each: (each.floor, each.met))


def page_of(found: Iterable[Event], limit: int, floor: str) -> EventPage:
    """Return a page.

    Args:
        found: what each walk has found down to `floor`, one more than `limit` if there is; an event
            may come twice.
        limit: the maximum number of events.
        floor: the id at which the walks stopped, or empty.
    """
    newest = sorted({event.id: event for event in found}.values(), key=_id_of, reverse=True)
    if len(newest) > limit:
        return EventPage(newest[:limit], newest[limit - 1].id)
    return EventPage(newest, floor or None)


def about(user_id: UserId) -> Lead:
    """Return the walks that meet every event in which a user is the actor or the target."""
    return leads_of(EventQuery(about=user_id))[0]


def oldest_of(found: Iterable[Event], limit: int) -> tuple[list[Event], str | None]:
    """Return up to `limit` events, the oldest first, and above which id there are more.

    Args:
        found: what each walk upwards has found, one more than `limit` if there is.
        limit: the maximum number of events.
    """
    oldest = sorted({event.id: event for event in found}.values(), key=_id_of)
    return oldest[:limit], oldest[limit - 1].id if len(oldest) > limit else None


def _id_of(event: Event) -> str:
    return event.id
