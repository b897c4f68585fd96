"""What the gate asks the store: who is signed in by a session, as things stand now."""

import functools
from dataclasses import dataclass

from gatelodge.accounts.store import User
from gatelodge.clock import Clock
from gatelodge.gate.principal import Principal
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.store import Session, SessionStore
from gatelodge.tokens.refusals import InvalidToken


@dataclass(frozen=True, slots=True)
class Records:
    """The records behind a principal, for a door that shows or changes them."""

    user: User
    session: Session


@dataclass(frozen=True, slots=True)
class SessionLookup:
    """The gate's `Lookup` over the sessions and users of a store."""

    sessions: SessionStore
    clock: Clock

    async def find(self, user_id: UserId, session_id: SessionId) -> Principal | None:
        """Return who is signed in by this session, or None where it is not live."""
        records = await self._find_records(user_id, session_id)
        return None if records is None else principal_of(records.user, records.session)

    async def records_of(self, principal: Principal) -> Records:
        """Return the records behind a principal, as they stand now.

        Raises:
            InvalidToken: the session or its user ended meanwhile.
        """
        records = await self._find_records(principal.subject, principal.session_id)
        if records is None:
            raise InvalidToken
        return records

    async def _find_records(self, user_id: UserId, session_id: SessionId) -> Records | None:
        found = await self.sessions.find_with_user(session_id)
        if found is None:
            return None
        session, user = found
        if user.id != user_id or not session.is_live(user, self.clock.now()):
            return None
        return Records(user, session)


def principal_of(user: User, session: Session) -> Principal:
    """Return the principal that these two records make."""
    return Principal(user.id, user.username, _kept_once(user.roles), session.id, session.expires_at)


@functools.lru_cache(maxsize=256)
def _kept_once(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Return one and the same tuple for the many users who hold the same roles."""
    return roles
