"""The port through which the gate reads from the store who is signed in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatelodge.gate.principal import Principal
from gatelodge.ids import SessionId, UserId


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that signs somebody in: whom, and until when at the latest."""

    principal: Principal
    expires_at: datetime


class Lookup(Protocol):
    """Reads from the store who is signed in by a session."""

    async def find(self, user_id: UserId, session_id: SessionId) -> LiveSession | None:
        """Return the session and its user's principal, or None if the session is not live.

        A session is not live if it belongs to another user, was revoked, has expired, or has an
        older epoch than its user; also if the user is disabled or deleted.

        Raises:
            StoreUnavailable: the store does not answer now.
        """
