"""What happened, and to whom.

An event is kept before the change it tells of is acknowledged, and is written to the log too.
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
        id: sorts by time.
        at: when.
        name: what, such as `session.opened`.
        actor: who did it: a user's id, `command` for the command line, `server` for what the
            server does by itself, or None: nobody known.
        target: whom or what it was done to, an id, or None.
        address: where the request came from.
        user_agent: what sent it.
        request_id: the request's id, as in the answer and the log.
        detail: what else is worth knowing; never a secret.
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
    """Events at rest."""

    async def add(self, event: Event) -> None:
        """Keep an event; it is durable once this returns."""

    async def list_events(self, *, before: str | None, limit: int) -> list[Event]:
        """Return up to `limit` events whose ids come before `before`, the newest first."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, as events and sessions remember it.

    Attributes:
        address: the network address, as text; nothing where there is none.
        user_agent: what sent it, at most 256 characters.
        request_id: the request's id, as in the answer and the log.
    """

    address: str = ""
    user_agent: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and where that comes from.

    Attributes:
        name: the id of a user, `command` for the command line, `server` for what the server does
            by itself, or None: nobody known.
        origin: where the request came from.
    """

    name: str | None
    origin: Origin = Origin()


COMMAND = Actor("command", Origin(user_agent="gatelodge command"))
SERVER = Actor("server", Origin(user_agent="gatelodge server"))


def nobody_known(origin: Origin) -> Actor:
    """Return the actor of a request of which nobody knows whose it is."""
    return Actor(None, origin)


Outcome: TypeAlias = Literal["success", "refused", "failure"]
"""It was done; they may not; what should prove who they are did not."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Record what happened."""

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
        """Keep an event of what was just done, and log it. Returns when it is durable.

        Args:
            name: what happened, such as `session.opened`.
            by: who did it.
            target: the id of whom or what it was done to, or None.
            outcome: what came of it.
            detail: what else is worth knowing; never a secret.

        Raises:
            OutcomeUnknown: it could not be kept; what it tells of was done all the same.
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
        except StoreUnavailable as error:  # which would say that nothing was changed
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
        """Log what changed nothing and is worth a line, without keeping it."""
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
