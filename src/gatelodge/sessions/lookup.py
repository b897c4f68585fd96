"""The gate's port `Lookup`: read from the store who is signed in by a session."""

import functools
from dataclasses import dataclass, replace

from gatelodge.accounts.store import Rights, User
from gatelodge.clock import Clock, to_milliseconds
from gatelodge.credentials.factors import second_factors
from gatelodge.credentials.own_proof import OwnProof
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.gate.principal import Impersonation, Principal
from gatelodge.ids import SessionId, UserId
from gatelodge.methods import kept_once, level_of
from gatelodge.sessions.impersonation import Impersonations
from gatelodge.sessions.store import Session, SessionStore
from gatelodge.tokens.refusals import InvalidToken


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a principal, for a route that shows or changes them."""

    user: User
    session: Session

    def proof(self, password: str | None = None) -> OwnProof:
        """Return what the caller shows to be the user: the session, and a password if one came."""
        return OwnProof(
            self.session.id,
            self.session.authenticated_at,
            password,
            level_of(self.session.methods),
            bool(second_factors(self.user.factors)),
        )


@dataclass(frozen=True, slots=True)
class SessionLookup:
    """Implements `Lookup` with the sessions and users of a store.

    Attributes:
        sessions: the sessions.
        clock: tells the current time.
        policy: who must have a second factor.
        with_profile: whether principals know name and e-mail address. An application asks for them
            at every request. A server of its own does not, and saves the memory.
    """

    sessions: SessionStore
    clock: Clock
    policy: SecondFactorPolicy
    with_profile: bool = False

    async def find(self, user_id: UserId, session_id: SessionId) -> Principal | None:
        """Return the principal of a session's user, or None if the session is not live."""
        found = await self.sessions.find_with_rights(session_id)
        if found is None:
            return None
        session, user, rights = found
        if user.id != user_id or not session.is_live(user, self.clock.now()):
            return None
        impersonation = None
        if session.impersonator is not None:
            impersonation = await self._impersonations.find(session, rights)
            if impersonation is None:
                return None
        principal = principal_of(user, session, rights, self.policy, impersonation)
        return _with_profile(principal, user) if self.with_profile else principal

    async def has_second_factor(self, session_id: SessionId) -> bool:
        """Return whether the user of a session has a second factor now."""
        found = await self.sessions.find_with_user(session_id)
        return found is not None and bool(second_factors(found[1].factors))

    async def records_of(self, principal: Principal) -> Records:
        """Return the current records of a principal.

        Raises:
            InvalidToken: the session or its user ended meanwhile.
        """
        found = await self.sessions.find_with_user(principal.session_id)
        if found is None:
            raise InvalidToken
        session, user = found
        if user.id != principal.subject or not session.is_live(user, self.clock.now()):
            raise InvalidToken
        if session.impersonator and await self.find(user.id, session.id) is None:
            raise InvalidToken
        return Records(user, session)

    @property
    def _impersonations(self) -> Impersonations:
        return Impersonations(self.sessions, self.policy, self.clock)


def principal_of(
    user: User,
    session: Session,
    rights: Rights,
    policy: SecondFactorPolicy,
    impersonation: Impersonation | None = None,
) -> Principal:
    """Return the principal of a user, their session and their rights.

    Args:
        user: the user.
        session: the session.
        rights: what the user may do.
        policy: who must have a second factor. Whoever impersonates the user must have proved their
            own; the user's is not asked for.
        impersonation: who acts in the place of the user; None: the user.
    """
    rights = _kept_once(rights)
    ends_at = to_milliseconds(session.expires_at)
    return Principal(
        user.id,
        user.username,
        rights.roles,
        rights.permissions,
        session.id,
        until=ends_at if impersonation is None else impersonation.until,
        authenticated_at=to_milliseconds(session.authenticated_at) // 1000,
        methods=kept_once(session.methods),
        held_back=impersonation is None and policy.holds_back(rights.roles, session.methods),
        impersonation=impersonation,
    )


def _with_profile(principal: Principal, user: User) -> Principal:
    return replace(
        principal,
        name=user.name,
        email=user.email,
        email_verified=user.email_verified_at is not None,
    )


@functools.lru_cache(maxsize=1024)
def _kept_once(rights: Rights) -> Rights:
    """Return the same object for all users who have the same rights: it saves memory."""
    return rights
