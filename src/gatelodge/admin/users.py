"""What administrators do with users: find them, make them, change them, and end what they hold."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from gatelodge.accounts.names import check_email
from gatelodge.accounts.permissions import SESSIONS_END, USERS_DELETE, USERS_WRITE
from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.roles import USER
from gatelodge.accounts.search import Count, UserQuery
from gatelodge.accounts.service import AccountService, NewNames, NewUser
from gatelodge.accounts.store import Rights, RoleStore, User, UserStore, rights_among
from gatelodge.admin.authority import Administrator
from gatelodge.admin.refusals import NoSuchInvitation, NotYourself, OutOfReach
from gatelodge.clock import Clock
from gatelodge.credentials.factors import Factors, counting
from gatelodge.credentials.second_factors import SecondFactors
from gatelodge.errors import InvalidRequest, Refusal, Unavailable
from gatelodge.gate.refusals import Forbidden
from gatelodge.ids import USER_PREFIX, UserId, is_id
from gatelodge.proofs.invitations import Invitation, Invitations
from gatelodge.proofs.reset import PasswordReset
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sessions.service import SessionService
from gatelodge.turns import in_turns

COUNTED = 2_000
"""Up to how many users who match are counted; beyond, the number is "at least"."""

BULK_LIMIT = 200
"""On how many users one request acts at most."""

INVITATIONS_LISTED = 1000
"""How many open invitations are listed at most."""

BulkAct: TypeAlias = Literal[
    "disable",
    "enable",
    "sign_out",
    "grant",
    "withdraw",
    "require_new_password",
    "delete",
    "reset_factors",
]


@dataclass(frozen=True, slots=True)
class ActRule:
    """What an act on many users needs, as the route of the same act on one user does.

    Attributes:
        permission: the permission.
        proved: whether it needs a proof of at most 5 minutes.
    """

    permission: str
    proved: bool = False


BULK_ACTS: Mapping[BulkAct, ActRule] = {
    "disable": ActRule(USERS_WRITE),
    "enable": ActRule(USERS_WRITE),
    "sign_out": ActRule(SESSIONS_END),
    "grant": ActRule(USERS_WRITE, proved=True),
    "withdraw": ActRule(USERS_WRITE, proved=True),
    "require_new_password": ActRule(USERS_WRITE, proved=True),
    "delete": ActRule(USERS_DELETE, proved=True),
    "reset_factors": ActRule(USERS_WRITE, proved=True),
}


@dataclass(frozen=True, slots=True)
class SeenUser:
    """A user as an administrator sees them.

    Attributes:
        user: the record.
        rights: what the user may do now.
        factors: the factors that count now.
        reached: whether the administrator may act on the user.
    """

    user: User
    rights: Rights
    factors: Factors
    reached: bool


@dataclass(frozen=True, slots=True)
class SeenUsers:
    """A page of users.

    Attributes:
        users: the users. There may be fewer than asked for although there are more.
        after: where the next page goes on; None: there are no more users.
    """

    users: list[SeenUser]
    after: str | None


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What an administrator changes of a user, as typed. None: as it is.

    Attributes:
        name: the name for display; empty: none.
        username: the username.
        email: the e-mail address.
        email_verified: whether the address counts as verified. None: another address does not, and
            the present one as it did.
    """

    name: str | None = None
    username: str | None = None
    email: str | None = None
    email_verified: bool | None = None

    @property
    def of_address(self) -> bool:
        """Whether the e-mail address changes, or what it counts as."""
        return self.email is not None or self.email_verified is not None

    @property
    def needs_proof(self) -> bool:
        """Whether the change needs a proof of at most 5 minutes: all but the name for display."""
        return self.username is not None or self.of_address


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an act on one of many users.

    Attributes:
        user_id: the id, as asked for.
        changed: whether something was changed; false if it was so already.
        refusal: why nothing was done, or None.
    """

    user_id: str
    changed: bool = False
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class UserAdministration:
    """Lets administrators see users, and act on those whom they reach.

    Every act looks the user up first: an id that nobody has is refused as such, and then whoever
    is out of reach. Lists show everybody: whoever may see users sees all of them.

    Attributes:
        users: the users.
        roles: the roles.
        accounts: makes, changes and deletes users.
        sessions: ends sessions.
        invitations: invites people.
        password_reset: sends the letters with which passwords are set.
        verification: changes e-mail addresses.
        second_factors: removes factors.
        clock: what time it is.
    """

    users: UserStore
    roles: RoleStore
    accounts: AccountService
    sessions: SessionService
    invitations: Invitations
    password_reset: PasswordReset
    verification: AddressVerification
    second_factors: SecondFactors
    clock: Clock

    async def search(
        self, query: UserQuery, by: Administrator, *, after: str | None, limit: int
    ) -> SeenUsers:
        """Return up to `limit` users that match, in the order of the query.

        Raises:
            InvalidRequest: `after` is not where a page of this query ended.
        """
        try:
            page = await self.users.search(query, after=after, limit=limit)
        except ValueError as error:
            raise InvalidRequest(
                'The parameter "cursor" is not the "next" of such a list.', field="cursor"
            ) from error
        rights, now = rights_among(await self.roles.list_roles()), self.clock.now()
        seen = await in_turns(lambda each: _seen(each, rights(each.roles), by, now), page.users)
        return SeenUsers(seen, page.after)

    async def count(self, query: UserQuery) -> Count:
        """Return how many users match; where there are many, at least how many."""
        if query.is_for_all:
            return await self.users.count_users()
        return await self.users.count_matching(query, limit=COUNTED)

    async def get(self, user_id: str, by: Administrator) -> SeenUser:
        """Return a user, whether the administrator may act on them or not.

        Raises:
            NoSuchUser: nobody has this id.
        """
        user = await self.users.find(possible_id(user_id))
        if user is None:
            raise NoSuchUser
        rights = Rights.of(user.roles, await self.roles.list_roles())
        return _seen(user, rights, by, self.clock.now())

    async def list_by_ids(self, user_ids: Sequence[str], by: Administrator) -> list[SeenUser]:
        """Return those of these users who exist, each once, in the order of the ids.

        Args:
            user_ids: the ids, at most `BULK_LIMIT`.
            by: who asks.
        """
        ids = [UserId(each) for each in dict.fromkeys(user_ids) if is_id(USER_PREFIX, each)]
        found = await self.users.find_many(ids)
        rights, now = rights_among(await self.roles.list_roles()), self.clock.now()
        users = [found[each] for each in ids if each in found]
        return [_seen(each, rights(each.roles), by, now) for each in users]

    async def create(self, wanted: NewUser, by: Administrator, *, invite: bool = False) -> User:
        """Create a user.

        Args:
            wanted: the values. Only holders of `admin` may choose reserved usernames.
            by: who creates the user.
            invite: whether the user gets a letter in which they set the password, and has none
                until then.

        Raises:
            UnknownRole, RoleNotGrantable: a role does not exist, or may not be given.
            NoMail: the server sends no letters, and `invite` is true.
            Refusal: as for `AccountService.create`.
        """
        await self._require_grantable(wanted.roles, by)
        wanted = replace(wanted, reserved_allowed=by.holds_admin)
        service = self.invitations if invite else self.accounts
        return await service.create(wanted, by.actor)

    async def invite(self, email: str, roles: Sequence[str], by: Administrator) -> Invitation:
        """Have a letter sent that lets its reader make an account; return the invitation.

        An earlier invitation of the same address is void.

        Raises:
            UnknownRole, RoleNotGrantable: a role does not exist, or may not be given; or one of an
                earlier invitation may not be taken.
            Refusal: as for `Invitations.invite`.
        """
        await self._require_grantable(roles, by)
        former = await self.invitations.find_for(email)
        if former is not None:
            await self._require_takable(former.roles, by)
        return await self.invitations.invite(email, roles, by.actor)

    async def list_invitations(self) -> list[Invitation]:
        """Return the invitations that can be accepted, in order of address."""
        return await self.invitations.list_open(limit=INVITATIONS_LISTED)

    async def withdraw_invitation(self, invitation_id: str, by: Administrator) -> Invitation:
        """Make an invitation void, and return it.

        Raises:
            NoSuchInvitation: there is none of this id, or it was accepted or withdrawn just now.
            RoleNotGrantable: it gives a role that the administrator may not take.
            InvitationInUse: somebody is accepting it.
        """
        found = await self.invitations.find(invitation_id)
        if found is None:
            raise NoSuchInvitation
        await self._require_takable(found.roles, by)
        if not await self.invitations.withdraw(found.email, by.actor):
            raise NoSuchInvitation
        return found

    async def edit(self, user_id: str, changes: UserChanges, by: Administrator) -> User:
        """Change what a user is called, and their address; return the user as stored.

        Everything is checked before anything is changed. Then names and address are one write each.
        Whoever has the mailbox of a user can become the user. So somebody who does not hold `admin`
        gives an address only to users whose roles they could all give.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
            InvalidName, InvalidUsername, InvalidEmail: a value breaks the rules. Only holders of
                `admin` may choose reserved usernames.
            UsernameTaken, EmailTaken: another user has it.
        """
        user = await self._reached(user_id, by)
        names = NewNames(changes.name, changes.username)
        reserved = by.holds_admin
        email = user.email if changes.email is None else changes.email
        if changes.of_address:
            await self._require_mailbox(user, by)
            await self.verification.check_for(user, email)
        user = await self.accounts.rename(user, names, by.actor, reserved_allowed=reserved)
        if changes.of_address:
            same = check_email(email)[1] == user.email_key
            was = same and user.email_verified_at is not None
            verified = was if changes.email_verified is None else changes.email_verified
            user = await self.verification.set_for(user, email, by.actor, verified=verified)
        return user

    async def send_password_letter(self, user_id: str, by: Administrator) -> None:
        """Have a letter sent to a user with which they set a new password.

        Whoever was created without one, and has not signed in yet, gets the letter with which new
        users set theirs, within 7 days.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
            UserDisabled: the user is disabled.
            NoMail: the server sends no letters.
        """
        user = await self._reached(user_id, by)
        is_new = user.password_hash is None and user.last_sign_in_at is None
        if is_new:
            await self.invitations.send_again(user, by.actor)
        else:
            await self.password_reset.ask_for(user, by.actor)

    async def require_new_password(self, user_id: str, by: Administrator) -> bool:
        """Have a user set a new password before the next sign-in; every session ends.

        True if the user did not have to before.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
            NoPassword: the user has none.
        """
        user = await self._reached(user_id, by)
        return await self.accounts.require_new_password(user, by.actor)

    async def grant(self, user_id: str, role: str, by: Administrator) -> bool:
        """Grant a role to a user. True if the user did not hold it before.

        Raises:
            NoSuchUser, OutOfReach: nobody has this id, or they may do more than the administrator.
            UnknownRole, RoleNotGrantable: the role does not exist, or may not be given.
        """
        user = await self._reached(user_id, by)
        await self._require_grantable([role], by)
        return await self.accounts.grant(user, role, by.actor)

    async def withdraw(self, user_id: str, role: str, by: Administrator) -> bool:
        """Take a role from a user. True if the user held it before.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
            RoleNotGrantable: the role may not be taken.
            UnknownRole: there is no such role, and the user does not hold this name.
            LastAdmin: the role is `admin`, and no other enabled user holds it.
        """
        user = await self._reached(user_id, by)
        if role not in user.roles:
            await self.accounts.refuse_unknown([role])
        await self._require_takable([role], by)
        return await self.accounts.withdraw(user, role, by.actor)

    async def disable(self, user_id: str, reason: str, by: Administrator) -> bool:
        """Disable a user, from the next request on. True if the user was enabled before.

        Args:
            user_id: the user.
            reason: why, for administrators; empty: no reason is given.
            by: who acts.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
            NotYourself: it is the administrator.
            InvalidReason: the reason is too long, or cannot be printed.
            LastAdmin: the user holds `admin`, and no other enabled user does.
        """
        user = await self._reached_other(user_id, by)
        return await self.accounts.disable(user, by.actor, reason=reason)

    async def enable(self, user_id: str, by: Administrator) -> bool:
        """Enable a user again. True if the user was disabled before.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
        """
        user = await self._reached(user_id, by)
        return await self.accounts.enable(user, by.actor)

    async def sign_out(self, user_id: str, by: Administrator) -> bool:
        """End every session of a user. True if the user still exists.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
        """
        user = await self._reached(user_id, by)
        return await self.sessions.sign_out_everywhere(user.id, by.actor)

    async def reset_factors(self, user_id: str, by: Administrator) -> bool:
        """Remove all factors of a user, and end every session. True if there were any.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
        """
        user = await self._reached(user_id, by)
        return await self.second_factors.reset(user.id, user.factors, by.actor)

    async def delete(self, user_id: str, by: Administrator) -> bool:
        """Delete a user. False if somebody else did so just now.

        Raises:
            NoSuchUser, OutOfReach: as for `grant`.
            NotYourself: it is the administrator.
            LastAdmin: the user holds `admin`, and no other enabled user does.
        """
        user = await self._reached_other(user_id, by)
        return await self.accounts.delete(user, by.actor)

    async def act_on_many(
        self,
        act: BulkAct,
        user_ids: Sequence[str],
        by: Administrator,
        *,
        role: str = "",
        reason: str = "",
    ) -> list[Done]:
        """Do the same with several users, one after the other; return what became of each.

        A refusal stops nothing, except that the database cannot be reached: then the users who are
        left are reported likewise. A user who is named twice is acted on once.

        Args:
            act: what is done.
            user_ids: the users, at most `BULK_LIMIT`.
            by: who acts.
            role: of `grant` and `withdraw`: the role.
            reason: of `disable`: why.

        Raises:
            Forbidden: the administrator lacks the permission of the act.
        """
        if BULK_ACTS[act].permission not in by.rights.permissions:
            raise Forbidden(caller=by.actor.name or "")
        acts: Mapping[BulkAct, Callable[[str], Awaitable[bool]]] = {
            "disable": lambda each: self.disable(each, reason, by),
            "enable": lambda each: self.enable(each, by),
            "sign_out": lambda each: self.sign_out(each, by),
            "grant": lambda each: self.grant(each, role, by),
            "withdraw": lambda each: self.withdraw(each, role, by),
            "require_new_password": lambda each: self.require_new_password(each, by),
            "delete": lambda each: self.delete(each, by),
            "reset_factors": lambda each: self.reset_factors(each, by),
        }
        away: Unavailable | None = None
        report: list[Done] = []
        for each in dict.fromkeys(user_ids):
            try:
                if away is not None:
                    raise away
                report.append(Done(each, await acts[act](each)))
            except Refusal as refusal:
                away = refusal if isinstance(refusal, Unavailable) else None
                report.append(Done(each, refusal=refusal))
        return report

    async def _reached(self, user_id: str, by: Administrator) -> User:
        """Return a user on whom the administrator may act.

        Raises:
            NoSuchUser: nobody has this id.
            OutOfReach: they may do more than the administrator.
        """
        seen = await self.get(user_id, by)
        by.require_reach(seen.rights)
        return seen.user

    async def _require_mailbox(self, user: User, by: Administrator) -> None:
        """Refuse to decide whose mailbox is the user's, unless all of their roles can be given.

        Raises:
            OutOfReach: a role of the user may not be given.
        """
        if by.holds_admin or user.id == by.actor.name:
            return
        for role in await self.roles.list_roles():
            if role.name in user.roles and not by.may_grant(role):
                raise OutOfReach

    async def _reached_other(self, user_id: str, by: Administrator) -> User:
        """Return a user as `_reached` does, for an act that nobody does to themselves.

        Raises:
            NotYourself: it is the administrator.
            NoSuchUser, OutOfReach: as for `_reached`.
        """
        if user_id == by.actor.name:
            raise NotYourself
        return await self._reached(user_id, by)

    async def _require_grantable(self, names: Sequence[str], by: Administrator) -> None:
        """Refuse roles that the administrator may not give; none at all means `user`.

        Raises:
            UnknownRole: a role does not exist.
            RoleNotGrantable: a role may not be given.
        """
        wanted = names or (USER,)
        await self.accounts.refuse_unknown(wanted)
        for role in await self.roles.list_roles():
            if role.name in wanted:
                by.require_grantable(role)

    async def _require_takable(self, names: Sequence[str], by: Administrator) -> None:
        """Refuse roles that the administrator may not take away.

        A name whose role was deleted gives nothing, so it may be taken away by everybody.

        Raises:
            RoleNotGrantable: a role may not be taken.
        """
        for role in await self.roles.list_roles():
            if role.name in names:
                by.require_takable(role)


def _seen(user: User, rights: Rights, by: Administrator, now: datetime) -> SeenUser:
    factors = tuple(counting(user.factors, user.epoch, now))
    return SeenUser(user, rights, factors, by.reaches(rights))


def possible_id(user_id: str) -> UserId:
    """Return the id, if a user can have it: no other text reaches a database.

    Raises:
        NoSuchUser: nobody can.
    """
    if not is_id(USER_PREFIX, user_id):
        raise NoSuchUser
    return UserId(user_id)
