"""The port through which the gate asks who is signed in, where memory cannot tell."""

from typing import Protocol

from gatelodge.gate.principal import Principal
from gatelodge.ids import SessionId, UserId


class Lookup(Protocol):
    """Says who is signed in by a session, as the store has it now."""

    async def find(self, user_id: UserId, session_id: SessionId) -> Principal | None:
        """Return the user's principal, or None.

        None where the session is not this user's, was revoked, has expired or is of an older
        epoch, and where the user is disabled or gone.

        Raises:
            StoreUnavailable: the store does not answer now.
        """
