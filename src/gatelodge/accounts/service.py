"""Sign-up, and what operators do with accounts."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from gatelodge.accounts.names import check_email, check_username, username_key
from gatelodge.accounts.refusals import (
    EmailTaken,
    LastAdmin,
    NoSuchUser,
    RoleNotGrantable,
    UnknownRole,
    UsernameTaken,
)
from gatelodge.accounts.roles import ADMIN, BUILT_IN, SEEDED_ROLES, USER
from gatelodge.accounts.store import RoleStore, User, UserStore
from gatelodge.audit import Actor, AuditLog, Origin, nobody_known
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.refusals import WrongPassword
from gatelodge.credentials.service import Passwords
from gatelodge.errors import AlreadyExists, OutcomeUnknown, Refusal, StoreUnavailable
from gatelodge.ids import USER_PREFIX, SessionId, UserId, new_id

SENT_TWICE_WITHIN = timedelta(minutes=2)
"""How long after a sign-up the same form counts as the same sign-up, not as another one."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """What somebody asks for who signs up: all as typed, nothing checked yet."""

    username: str
    email: str
    password: str
    roles: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class AccountService:
    """Make users and change what they may do."""

    users: UserStore
    roles: RoleStore
    passwords: Passwords
    attempts: AttemptGuard
    audit: AuditLog
    clock: Clock

    async def sign_up(self, wanted: NewUser, origin: Origin) -> User:
        """Make a user who signs up by themselves, and who gets no more than `user`.

        Raises:
            InvalidUsername, InvalidEmail, RejectedPassword: the first rule that is broken.
            TooManyAttempts: so many have come from this address lately.
            UsernameTaken, EmailTaken, UnknownRole, RoleNotGrantable: in this order.
            HashingBusy: too many sign-ups and sign-ins are waiting.
        """
        user = self._checked(wanted, reserved_allowed=False)
        await self.attempts.count_sign_up(origin)
        await self._refuse_taken(user)
        await self._refuse_unknown(user.roles)
        if set(user.roles) - {USER}:
            raise RoleNotGrantable(field="roles")
        user = replace(user, password_hash=await self.passwords.hash(wanted.password))
        return await self.add(user, "user.signed_up", Actor(user.id, origin))

    async def sign_up_once(self, wanted: NewUser, origin: Origin) -> User:
        """Make a user; a form that was sent twice makes one, and is answered alike both times.

        Raises:
            Refusal: as for `sign_up`.
        """
        try:
            return await self.sign_up(wanted, origin)
        except UsernameTaken:
            user = await self.find_just_made(wanted, origin)
            if user is None:
                raise
            return user

    async def create(self, wanted: NewUser, by: Actor) -> User:
        """Make a user as the operator says, with any role and with reserved names too.

        Raises:
            Refusal: as for a sign-up, but for the role.
        """
        return await self.add(await self.prepare(wanted), "user.created", by)

    async def prepare(self, wanted: NewUser) -> User:
        """Return the user that `create` would make, checked and with a hash, and not kept yet.

        Raises:
            Refusal: as for `create`.
        """
        user = self._checked(wanted, reserved_allowed=True)
        await self._refuse_taken(user)
        await self._refuse_unknown(user.roles)
        return replace(user, password_hash=await self.passwords.hash(wanted.password))

    async def add(self, user: User, event: str, by: Actor) -> User:
        """Keep a user who was prepared, and record the event.

        Raises:
            UsernameTaken, EmailTaken: somebody else took the name meanwhile.
        """
        await self.attempts.forgive(user.username_key)  # what failed while nobody had the name
        try:
            await self.users.add(user)
        except AlreadyExists as taken:
            kind = UsernameTaken if taken.field == "username" else EmailTaken
            raise kind(field=taken.field) from taken
        deleted = await self._take_deleted(user.id, user.roles)
        user = replace(user, roles=tuple(role for role in user.roles if role not in deleted))
        detail = {"roles": " ".join(user.roles)}
        await self.audit.record(event, by, target=user.id, detail=detail)
        return user

    async def get_by_username(self, username: str) -> User:
        """Return the user with this name, however it is written.

        Raises:
            NoSuchUser: nobody has it.
        """
        user = await self.users.find_by_username(username_key(username))
        if user is None:
            raise NoSuchUser
        return user

    async def list_users(self, *, after: UserId | None, limit: int) -> list[User]:
        """Return up to `limit` users whose ids follow `after`, the oldest first."""
        return await self.users.list_users(after=after, limit=limit)

    async def grant(self, user: User, role: str, by: Actor) -> bool:
        """Add one role. True when the user did not hold it before.

        Raises:
            UnknownRole: there is no such role.
        """
        await self._refuse_unknown([role])
        changed = await self.users.grant(user.id, role)
        if changed and await self._take_deleted(user.id, [role]):
            raise _unknown(role)
        await self._record_change(changed, "role.granted", user, by, role=role)
        return changed

    async def withdraw(self, user: User, role: str, by: Actor) -> bool:
        """Take one role away. True when the user held it before.

        Raises:
            UnknownRole: there is no such role, and the user does not hold this name.
            LastAdmin: nobody else could administer.
        """
        if role not in user.roles:
            await self._refuse_unknown([role])
        await self._refuse_last_admin(user, affects=role == ADMIN)
        changed = await self._withdraw(user, role)
        await self._record_change(changed, "role.withdrawn", user, by, role=role)
        return changed

    async def disable(self, user: User, by: Actor) -> bool:
        """Keep the user out from the next request on. True when the user was enabled before.

        Raises:
            LastAdmin: nobody else could administer.
        """
        await self._refuse_last_admin(user, affects=True)
        changed = await self.users.disable(user.id, self.clock.now())
        if changed and ADMIN in user.roles and not await self.users.anyone_holds(ADMIN):
            await self.users.enable(user.id)  # another one was disabled at the same moment
            raise LastAdmin
        await self._record_change(changed, "user.disabled", user, by)
        return changed

    async def enable(self, user: User, by: Actor) -> bool:
        """Let the user in again. True when the user was disabled before."""
        changed = await self.users.enable(user.id)
        await self._record_change(changed, "user.enabled", user, by)
        return changed

    async def delete(self, user: User, by: Actor) -> bool:
        """Forget the user; the names are free again. True unless the user is gone already.

        Raises:
            LastAdmin: nobody else could administer.
        """
        await self._step_down(user)
        changed = await self.users.remove(user.id)
        await self._record_change(changed, "user.deleted", user, by)
        return changed

    async def delete_own(
        self, user: User, session_id: SessionId, password: str, origin: Origin
    ) -> None:
        """Forget a user who asks for it and proves once more who they are.

        Args:
            user: who asks.
            session_id: the session they ask in; wrong passwords are counted for it.
            password: as typed.
            origin: where the request came from.

        Raises:
            WrongPassword: that is not the password.
            LastAdmin: nobody else could administer.
            TooManyAttempts: too many tries have failed in this session.
            HashingBusy: too many are signing in.
        """
        by = Actor(user.id, origin)
        counted = self.attempts.by_user(user.id, session_id, origin)
        if not await self.passwords.verify(user.password_hash, password, counted):
            self.audit.note("user.delete_refused", by, outcome="failure")
            raise WrongPassword(field="password")
        await self._step_down(user)
        if await self.users.remove(user.id):
            await self.audit.record("user.deleted", by, target=user.id)

    async def has_admin(self) -> bool:
        """Say whether somebody can administer."""
        return await self.users.anyone_holds(ADMIN)

    async def find_just_made(self, wanted: NewUser, origin: Origin) -> User | None:
        """Return the user whom this very form made a moment ago, or None.

        Name, address and password must be the same, and the user new: it is no way to guess
        passwords.
        """
        key = username_key(wanted.username)
        user = await self.users.find_by_username(key)
        if user is None or user.email_key != check_email(wanted.email)[1]:
            return None
        if self.clock.now() - user.created_at > SENT_TWICE_WITHIN or user.disabled_at is not None:
            return None
        counted = self.attempts.by_name(key, origin)
        if await self.passwords.verify(user.password_hash, wanted.password, counted):
            return user
        detail = {"factor": "password"}
        self.audit.note(
            "sign_in.failed", nobody_known(origin), target=user.id, outcome="failure", detail=detail
        )
        return None

    def _checked(self, wanted: NewUser, *, reserved_allowed: bool) -> User:
        """Return the user as they would be kept, without a password yet.

        Raises:
            Refusal: the first fault of username, address and password; `others` has the rest.
        """
        name, context = wanted.username, (wanted.username, wanted.email)
        faults = [
            fault
            for fault in (
                _fault_of(lambda: check_username(name, reserved_allowed=reserved_allowed)),
                _fault_of(lambda: check_email(wanted.email)),
                _fault_of(lambda: self.passwords.check_new(wanted.password, context=context)),
            )
            if fault is not None
        ]
        if faults:
            faults[0].others = tuple(faults[1:])
            raise faults[0]
        key, (email, email_key) = username_key(name), check_email(wanted.email)
        at = self.clock.now()
        return User(
            id=UserId(new_id(USER_PREFIX, at)),
            username=wanted.username,
            username_key=key,
            email=email,
            email_key=email_key,
            password_hash=None,
            roles=tuple(dict.fromkeys(wanted.roles)) or (USER,),
            created_at=at,
        )

    async def _refuse_taken(self, user: User) -> None:
        """Spare a hash when a name is taken already; the unique index decides in the end.

        The username is read last: so whoever takes both between the two reads is not told of
        as the owner of the e-mail address alone.
        """
        email_is_taken = await self.users.find_by_email(user.email_key) is not None
        if await self.users.find_by_username(user.username_key):
            raise UsernameTaken(field="username")
        if email_is_taken:
            raise EmailTaken(field="email")

    async def _refuse_unknown(self, roles: Collection[str]) -> None:
        known = {role.name for role in await self.roles.list_roles()}
        if lost := [role for role in SEEDED_ROLES if role.name in roles and role.name not in known]:
            await self.roles.ensure(lost)  # somebody emptied the database under a running server
            known |= {role.name for role in lost}
        for role in roles:
            if role not in known:
                raise _unknown(role)

    async def _take_deleted(self, user_id: UserId, granted: Collection[str]) -> set[str]:
        """Take back the roles that were deleted while the user was granted them; return them.

        The deletion takes a role from everybody who holds it. It may have finished before this
        user was granted the role.
        """
        deletable = set(granted) - BUILT_IN
        if not deletable:
            return deletable
        try:
            deleted = deletable - {role.name for role in await self.roles.list_roles()}
            for role in deleted:
                await self.users.withdraw(user_id, role)
        except StoreUnavailable as error:  # its message says that nothing was changed
            raise OutcomeUnknown(retry_after=error.retry_after) from error
        return deleted

    async def _refuse_last_admin(self, user: User, *, affects: bool) -> None:
        if not affects or ADMIN not in user.roles or user.disabled_at is not None:
            return
        if not await self.users.anyone_holds(ADMIN, besides=user.id):
            raise LastAdmin

    async def _step_down(self, user: User) -> None:
        """Take `admin` from a user who is about to go: of the last two, one cannot.

        A removal cannot be taken back when another one turns out to have come between; the loss
        of a role can.
        """
        await self._refuse_last_admin(user, affects=True)
        if ADMIN in user.roles and user.disabled_at is None:
            await self._withdraw(user, ADMIN)

    async def _withdraw(self, user: User, role: str) -> bool:
        changed = await self.users.withdraw(user.id, role)
        if changed and role == ADMIN and not await self.users.anyone_holds(ADMIN):
            await self.users.grant(user.id, role)  # another one lost it at the same moment
            raise LastAdmin
        return changed

    async def _record_change(
        self, changed: bool, event: str, user: User, by: Actor, *, role: str = ""
    ) -> None:
        if changed:
            detail = {"role": role} if role else {}
            await self.audit.record(event, by, target=user.id, detail=detail)


def _unknown(role: str) -> UnknownRole:
    return UnknownRole(f"Failed! Role {role} does not exist!", field="roles")


def _fault_of(check: Callable[[], object]) -> Refusal | None:
    try:
        check()
    except Refusal as refusal:
        return refusal
    return None
