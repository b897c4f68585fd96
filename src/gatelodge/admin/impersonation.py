"""Administrators see the application as a user does, and answer for it."""

from dataclasses import dataclass

from gatelodge.accounts.reach import may_impersonate
from gatelodge.accounts.refusals import InvalidReason, NoSuchUser
from gatelodge.accounts.service import checked_reason
from gatelodge.accounts.store import Rights, RoleStore, User, UserStore
from gatelodge.admin.authority import Administrator
from gatelodge.admin.refusals import CannotImpersonate, OutOfReach
from gatelodge.admin.users import possible_id
from gatelodge.audit import Origin
from gatelodge.gate.principal import Principal
from gatelodge.marks import N_
from gatelodge.sessions.refusals import (
    ExpiredRefreshToken,
    InvalidRefreshToken,
    RefreshTokenReused,
)
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sessions.store import Session

NO_REASON = N_("Say why: the user can read it.")
_ONESELF = N_("You are this user already.")


@dataclass(frozen=True, slots=True)
class ImpersonationService:
    """Lets administrators see the application as a user does, and be themselves again.

    Attributes:
        users: the users.
        roles: the roles.
        sessions: opens and ends the sessions.
    """

    users: UserStore
    roles: RoleStore
    sessions: SessionService

    async def find(self, user_id: str, by: Administrator) -> User:
        """Return a user whom an administrator may impersonate now.

        Raises:
            NoSuchUser: nobody has this id.
            OutOfReach: the user may do something that the administrator may not, or holds a role
                that the administrator does not hold, or may impersonate others, too.
            CannotImpersonate: it is the administrator, or the user is disabled.
        """
        user = await self.users.find(possible_id(user_id))
        if user is None:
            raise NoSuchUser
        if user.id == by.actor.name:
            raise CannotImpersonate(_ONESELF)
        if not may_impersonate(by.rights, Rights.of(user.roles, await self.roles.list_roles())):
            raise OutOfReach
        if user.disabled_at is not None:
            raise CannotImpersonate
        return user

    async def begin(self, user_id: str, reason: str, by: Administrator, own: Session) -> SignedIn:
        """Open a session in which an administrator sees the application as a user does.

        Args:
            user_id: the user.
            reason: why, in the words of the administrator. The user can read it.
            by: the administrator.
            own: the session in which they ask for it.

        Raises:
            NoSuchUser, OutOfReach, CannotImpersonate: as for `find`.
            InvalidReason: there is none, or it is too long, or cannot be printed.
            InvalidToken: something was lost meanwhile, by the administrator or by the user.
        """
        user = await self.find(user_id, by)
        why = checked_reason(reason)
        if not why:
            raise InvalidReason(NO_REASON, field="reason")
        return await self.sessions.impersonate(user, own, why, by.actor.origin)

    async def resume(
        self, parked: str, origin: Origin, impersonated: Principal | None
    ) -> SignedIn | None:
        """Return an administrator's own session, by the refresh token that waited meanwhile.

        Args:
            parked: the refresh token.
            origin: where the request came from.
            impersonated: who was signed in by the other cookies, or None.

        Returns:
            The session with its next tokens; None: it has ended, or is somebody else's.
        """
        try:
            own = await self.sessions.refresh(parked, origin)
        except (InvalidRefreshToken, ExpiredRefreshToken, RefreshTokenReused):
            return None
        is_theirs = impersonated is None or impersonated.acting == own.user.id
        return own if is_theirs and own.session.impersonator is None else None
