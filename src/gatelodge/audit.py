"""The audit log: what happened, who did it, and to whom.

Most events are stored in the database before the change that they describe is acknowledged. Every
event is also written to the log.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

from gatelodge.clock import Clock
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.ids import new_id

EVENT_PREFIX = "evt"
MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class Event:
    """One audit line, named `thing.happened`.

    Attributes:
        id: an id that sorts by time.
        at: when the event happened.
        name: what happened, such as `session.opened`.
        actor: who did it: a user's id, `command` for the command line, `server` for the server
            itself, or None if that is not known.
        target: the id of the user or thing that it was done to, or None.
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
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


class EventStore(Protocol):
    """The stored events."""

    async def add(self, event: Event) -> None:
        """Store an event; it is durable when this returns."""

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
        name: a user's id, `command` for the command line, `server` for the server itself, or None
            if that is not known.
        origin: where the request comes from.
    """

    name: str | None
    origin: Origin = Origin()


COMMAND = Actor("command", Origin(user_agent="gatelodge command"))
SERVER = Actor("server", Origin(user_agent="gatelodge server"))


def nobody_known(origin: Origin) -> Actor:
    """Return the actor of a request whose user is not known."""
    return Actor(None, origin)


Outcome: TypeAlias = Literal["success", "refused", "failure"]
"""`success`: it was done. `refused`: the actor may not do it. `failure`: the proof was wrong."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Stores events and writes them to the log."""

    events: EventStore
    clock: Clock

    async def record(
        self,
        name: str,
        by: Actor,
        *,
        target: str | None = None,
        outcome: Outcome = "success",
        detail: Mapping[str, str] = NOTHING,
    ) -> None:
        """Store an event for a change that was just made, and log it.

        The event is durable when this returns.

        Args:
            name: what happened, such as `session.opened`.
            by: who did it.
            target: the id of the user or thing that it was done to, or None.
            outcome: how it ended.
            detail: further facts, by name; never a secret.

        Raises:
            OutcomeUnknown: the event could not be stored; the change was made all the same.
        """
        at = self.clock.now()
        event = Event(
            id=new_id(EVENT_PREFIX, at),
            at=at,
            name=name,
            actor=by.name,
            target=target,
            address=by.origin.address,
            user_agent=by.origin.user_agent,
            request_id=by.origin.request_id,
            detail=dict(detail),
        )
        try:
            await self.events.add(event)
        except StoreUnavailable as error:  # its message would say that nothing was changed
            raise OutcomeUnknown(retry_after=error.retry_after) from error
        self.note(name, by, target=target, outcome=outcome, detail=detail)

    def note(
        self,
        name: str,
        by: Actor,
        *,
        outcome: Outcome,
        target: str | None = None,
        detail: Mapping[str, str] = NOTHING,
    ) -> None:
        """Log an event that changed nothing, without storing it; arguments as for `record`."""
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
