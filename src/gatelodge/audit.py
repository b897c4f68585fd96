"""The audit log: what happened, who did it, and to whom.

An event is stored together with the change that it describes: a method of a store that changes
something takes the event. So there is no change without its event, and no event without its change.
Every event is also written to the log.
"""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias, TypeVar

from gatelodge.clock import Clock
from gatelodge.errors import after_a_change
from gatelodge.ids import UserId, new_id
from gatelodge.tallies import Tally

EVENT_PREFIX = "evt"
MAX_TEXT = 256

T = TypeVar("T")

Outcome: TypeAlias = Literal["success", "refused", "failure"]
"""`success`: it was done. `refused`: the actor may not do it. `failure`: the proof was wrong."""

NOTHING: Mapping[str, str] = MappingProxyType({})

PERSONAL = ("email", "former", "name_hash", "username")
"""The details of events that say something of the user who is the target; see `blanked`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One audit line, named `thing.happened`.

    Attributes:
        id: an id that sorts by time; it is made of `at`.
        at: when the event happened, in whole milliseconds.
        name: what happened, such as `session.opened`.
        actor: who did it: a user's id, `command` for the command line, `server` for the server
            itself, `application` for the code of an application, or None if that is not known.
        target: the id of the user or thing that it was done to, or None.
        outcome: how it ended.
        address: the network address that the request came from.
        user_agent: the program that sent the request, as its header says.
        request_id: the request's id, as in the answer and the log.
        detail: further facts, by name; never a secret.
    """

    id: str
    at: datetime
    name: str
    actor: str | None = None
    target: str | None = None
    outcome: Outcome = "success"
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to list. All conditions must hold.

    Attributes:
        actor: who did it, as in `Event.actor`; None: anybody.
        target: to whom or what it was done; None: anything.
        about: a user's id: only events in which the user is the actor or the target; None: any.
        name: what happened, such as `session.opened`; None: anything.
        address: the network address that the request came from; None: any.
        since: only events of this instant or later, or None.
        until: only events before this instant, or None.
    """

    actor: str | None = None
    target: str | None = None
    about: str | None = None
    name: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events.

    Attributes:
        events: the events, the newest first. There may be fewer than asked for, or none, although
            there are more: a list stops after it has looked at a few thousand that do not match.
        before: below which id the next page goes on; None: there are no more events.
    """

    events: list[Event]
    before: str | None


@dataclass(frozen=True, slots=True)
class Blanked:
    """What came of blanking some of the events of a user.

    Attributes:
        events: how many events were looked at.
        changed: how many of them said something that is blank now.
        after: above which id it goes on; None: there are no more events of the user.
    """

    events: int
    changed: int
    after: str | None


def blanked(event: Event, user_id: UserId) -> Event:
    """Return an event without what it says of a user besides the id.

    If the user is the actor, or nobody knows who acted on the user, then network address and
    program become empty. If the user is the target, the details in `PERSONAL` do. What others did
    to the user keeps where they were, and what the user did to others keeps what it says of them.
    """
    details = event.detail
    if event.target == user_id:
        details = {name: "" if name in PERSONAL else value for name, value in details.items()}
    if event.actor == user_id or (event.actor is None and event.target == user_id):
        return replace(event, address="", user_agent="", detail=details)
    return replace(event, detail=details)


class EventStore(Protocol):
    """The stored events."""

    async def add(self, event: Event) -> None:
        """Store an event that no change of another store carries; it is durable when this returns.

        Nothing happens if an event of this id is stored already.
        """

    async def find(self, event_id: str) -> Event | None:
        """Return the event, or None if there is none of this id."""

    async def search(self, query: EventQuery, *, before: str | None, limit: int) -> EventPage:
        """Return up to `limit` events that match, the newest first.

        The time that it takes does not grow with the number of events: the list follows an index,
        and stops when it has looked at a few thousand events.

        Args:
            query: which events.
            before: `EventPage.before` of the page before; None: from the newest.
            limit: the maximum number of events.
        """

    async def list_since(self, after: str | None, *, limit: int) -> list[Event]:
        """Return up to `limit` events with ids above `after`, the oldest first; None: from any.

        An event is stored a little after its id was made, after a failure minutes later: so one may
        appear below an id that was listed already.
        """

    async def remove_before(self, before: datetime, *, limit: int) -> int:
        """Delete up to `limit` of the events that happened before an instant; return how many.

        Whoever is still to be told of an event is told all the same. So it may stay until then.
        """

    async def blank(self, user_id: UserId, *, after: str | None, limit: int) -> Blanked:
        """Blank what events say of a user besides the id, as `blanked` does; the events stay.

        Whoever waits to be told of such an event is told the blanked one.

        Args:
            user_id: the user's id.
            after: `Blanked.after` of the call before; None: from the oldest event.
            limit: the maximum number of events to look at.
        """


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, as events and sessions remember it.

    Attributes:
        address: the network address as text, or empty.
        user_agent: the program that sent the request, at most 256 characters.
        request_id: the request's id, as in the answer and the log.
    """

    address: str = ""
    user_agent: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and where the request comes from.

    Attributes:
        name: a user's id, `command` for the command line, `server` for the server itself,
            `application` for the code of an application, or None if that is not known.
        origin: where the request comes from.
        acts_as: the id of the user as whom `name` sees the application; None: as themselves.
            Events have it as the detail `as`.
    """

    name: str | None
    origin: Origin = Origin()
    acts_as: str | None = None

    @property
    def beside(self) -> Mapping[str, str]:
        """What every event by this actor says besides."""
        return {} if self.acts_as is None else {"as": self.acts_as}


COMMAND = Actor("command", Origin(user_agent="gatelodge command"))
APPLICATION = Actor("application", Origin(user_agent="gatelodge in an application"))
SERVER = Actor("server", Origin(user_agent="gatelodge server"))


def nobody_known(origin: Origin) -> Actor:
    """Return the actor of a request whose user is not known."""
    return Actor(None, origin)


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Makes events, stores them and writes them to the log.

    Attributes:
        events: the stored events.
        clock: tells the current time.
        tally: counts how often each event happens.
    """

    events: EventStore
    clock: Clock
    tally: Tally = field(default_factory=Tally)

    def event(
        self,
        name: str,
        by: Actor,
        *,
        target: str | None = None,
        outcome: Outcome = "success",
        detail: Mapping[str, str] = NOTHING,
    ) -> Event:
        """Return the event of a change that is about to be made, for the method that makes it.

        Args:
            name: what happens, such as `session.opened`.
            by: who does it.
            target: the id of the user or thing that it is done to, or None.
            outcome: how it ends.
            detail: further facts, by name; never a secret.
        """
        at = self.clock.now()
        return Event(
            id=new_id(EVENT_PREFIX, at),
            at=at,
            name=name,
            actor=by.name,
            target=target,
            outcome=outcome,
            address=by.origin.address,
            user_agent=by.origin.user_agent,
            request_id=by.origin.request_id,
            detail={**detail, **by.beside},
        )

    async def logged(self, event: Event, change: Awaitable[T]) -> T:
        """Await a change that stores this event, and log the event if something was changed.

        Args:
            event: the event, as it was given to the change.
            change: returns False or None if nothing was changed.
        """
        made = await change
        if made is not None and made is not False:
            self.log(event)
        return made

    async def record(self, event: Event) -> None:
        """Store an event of several changes that were made before, and log it.

        Raises:
            OutcomeUnknown: the event could not be stored; the changes were made all the same.
        """
        with after_a_change():
            await self.events.add(event)
        self.log(event)

    def log(self, event: Event) -> None:
        """Write an event that is stored to the log."""
        self.tally.count(event.at.date(), event.name)
        _write(
            event.name,
            event.outcome,
            event.actor,
            event.target,
            Origin(event.address, event.user_agent, event.request_id),
            event.detail,
        )

    def note(
        self,
        name: str,
        by: Actor,
        *,
        outcome: Outcome,
        target: str | None = None,
        detail: Mapping[str, str] = NOTHING,
    ) -> None:
        """Log an event that changed nothing, without storing it; arguments as for `event`."""
        self.tally.count(self.clock.now().date(), name)
        _write(name, outcome, by.name, target, by.origin, {**detail, **by.beside})


def _write(
    name: str,
    outcome: Outcome,
    actor: str | None,
    target: str | None,
    origin: Origin,
    detail: Mapping[str, str],
) -> None:
    """Write an event to the log."""
    details = {
        "outcome": outcome,
        "actor": actor,
        "target": target,
        "ip": origin.address,
        "user_agent": origin.user_agent,
        "request_id": origin.request_id,
        **detail,
    }
    logging.getLogger("gatelodge.audit").info(name, extra={"details": details})
