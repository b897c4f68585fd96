"""The audit log: what happened, who did it, and to whom.

An event is stored together with the change that it describes: a method of a store that changes
something takes the event. So there is no change without its event, and no event without its change.
Every event is also written to the log.
"""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias, TypeVar

from gatelodge.clock import Clock
from gatelodge.errors import after_a_change
from gatelodge.ids import new_id

EVENT_PREFIX = "evt"
MAX_TEXT = 256

T = TypeVar("T")

Outcome: TypeAlias = Literal["success", "refused", "failure"]
"""`success`: it was done. `refused`: the actor may not do it. `failure`: the proof was wrong."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """One audit line, named `thing.happened`.

    Attributes:
        id: an id that sorts by time.
        at: when the event happened.
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


class EventStore(Protocol):
    """The stored events."""

    async def add(self, event: Event) -> None:
        """Store an event that no change of another store carries; it is durable when this returns.

        Nothing happens if an event of this id is stored already.
        """

    async def list_events(self, *, before: str | None, limit: int) -> list[Event]:
        """Return up to `limit` events, the newest first; only ids below `before`, unless None."""


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
    """

    name: str | None
    origin: Origin = Origin()


COMMAND = Actor("command", Origin(user_agent="gatelodge command"))
APPLICATION = Actor("application", Origin(user_agent="gatelodge in an application"))
SERVER = Actor("server", Origin(user_agent="gatelodge server"))


def nobody_known(origin: Origin) -> Actor:
    """Return the actor of a request whose user is not known."""
    return Actor(None, origin)


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Makes events, stores them and writes them to the log."""

    events: EventStore
    clock: Clock

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
            detail=dict(detail),
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
        origin = Origin(event.address, event.user_agent, event.request_id)
        by = Actor(event.actor, origin)
        self.note(event.name, by, target=event.target, outcome=event.outcome, detail=event.detail)

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
        details = {
            "outcome": outcome,
            "actor": by.name,
            "target": target,
            "ip": by.origin.address,
            "user_agent": by.origin.user_agent,
            "request_id": by.origin.request_id,
            **detail,
        }
        logging.getLogger("gatelodge.audit").info(name, extra={"details": details})
