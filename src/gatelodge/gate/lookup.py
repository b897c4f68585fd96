"""The port through which the gate reads from the store who is signed in."""

from typing import Protocol

from gatelodge.gate.principal import Principal
from gatelodge.ids import SessionId, UserId


class Lookup(Protocol):
    """Reads from the store who is signed in by a session."""

    async def find(self, user_id: UserId, session_id: SessionId) -> Principal | None:
        """Return the principal of a session's user, or None if the session is not live.

        Its `until` is the end of the session.

        A session is not live if it belongs to another user, was revoked, has expired, or has an
        older epoch than its user; also if the user is disabled or deleted. A session of an
        impersonator is not live either when they may not impersonate this user any more, or when
        their own session is not live.

        Raises:
            StoreUnavailable: the store does not answer now.
        """

    async def has_second_factor(self, session_id: SessionId) -> bool:
        """Return whether the user of a session has a second factor now.

        Raises:
            StoreUnavailable: the store does not answer now.
        """
