"""Sessions in which somebody sees the application as another user does, and until when they stand.

Such a session stands on a session of the impersonator's own. It is asked at every check, as roles
are: whoever signs out, is disabled or loses the permission loses what they see at the next request.
"""

from dataclasses import dataclass
from datetime import timedelta

from gatelodge.accounts.reach import may_impersonate
from gatelodge.accounts.store import Rights
from gatelodge.clock import Clock, from_milliseconds, to_milliseconds
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.gate.principal import Impersonation
from gatelodge.sessions.store import Session, SessionStore

IMPERSONATION_LIFE = timedelta(minutes=30)
"""How long such a session lasts. A refresh does not extend it."""

NEVER_PROVED = from_milliseconds(0)
"""When the user of such a session last proved who they are: so long ago that it never counts."""


@dataclass(frozen=True, slots=True)
class Impersonations:
    """Says whether sessions of impersonators still stand.

    Attributes:
        sessions: the sessions.
        policy: who must have a second factor.
        clock: tells the current time.
    """

    sessions: SessionStore
    policy: SecondFactorPolicy
    clock: Clock

    async def find(self, session: Session, rights: Rights) -> Impersonation | None:
        """Return who acts in a session of an impersonator, or None if it does not stand.

        It stands while the impersonator's own session is live and not held back, and while they may
        impersonate a user with these rights.

        Args:
            session: the session; it has an impersonator.
            rights: what its user may do now.
        """
        found = None
        if session.begun_in is not None:
            found = await self.sessions.find_with_rights(session.begun_in)
        if found is None:
            return None
        own, person, their_rights = found
        if person.id != session.impersonator or not own.is_live(person, self.clock.now()):
            return None
        if own.impersonator is not None or self.policy.holds_back(their_rights.roles, own.methods):
            return None
        if not may_impersonate(their_rights, rights):
            return None
        until = min(session.expires_at, own.expires_at)
        reason = session.reason or ""
        return Impersonation(person.id, own.id, person.username, reason, to_milliseconds(until))
