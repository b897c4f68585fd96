"""Sign-up, and what operators do with accounts."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gatelodge.accounts.kept import KeptAddresses
from gatelodge.accounts.names import (
    check_email,
    check_name,
    check_username,
    is_one_line,
    username_key,
)
from gatelodge.accounts.pending import PendingSignUp, PendingSignUps
from gatelodge.accounts.refusals import (
    EmailTaken,
    InvalidReason,
    LastAdmin,
    NoPassword,
    NoSuchUser,
    RoleNotGrantable,
    SignUpClosed,
    UnknownRole,
    UsernameFixed,
    UsernameTaken,
)
from gatelodge.accounts.roles import ADMIN, BUILT_IN, SEEDED_ROLES, USER
from gatelodge.accounts.store import SET_PASSWORD, RoleStore, User, UserStore
from gatelodge.audit import SERVER, Actor, AuditLog, Event, Origin, nobody_known
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.factors import Factors, second_factors
from gatelodge.credentials.own_proof import OwnProof, OwnProofCheck
from gatelodge.credentials.refusals import InvalidPasskey
from gatelodge.credentials.service import Passwords
from gatelodge.errors import AlreadyExists, LastHolder, Refusal, after_a_change
from gatelodge.ids import USER_PREFIX, UserId, new_id
from gatelodge.tasks import look_for
from gatelodge.tokens.refusals import InvalidToken

MAX_REASON = 256
"""How many characters a reason has at most."""

SENT_TWICE_WITHIN = timedelta(minutes=2)
"""How long after a sign-up the same form counts as the same sign-up, sent twice."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """The values for a new user, as typed. Nothing is checked yet.

    Attributes:
        username: the username.
        email: the e-mail address.
        password: the password; empty if there is a hash, or the user sets one later.
        roles: the roles.
        password_hash: a hash that was made elsewhere, in place of the password.
        email_verified: whether the user has shown elsewhere that the address is theirs.
        language: the tag of the user's language, if known.
        name: the name for display.
        sets_password: whether the user sets a password later, and has none until then.
        reserved_allowed: whether an operator who makes the user may choose a reserved username.
    """

    username: str
    email: str
    password: str = field(default="", repr=False)
    roles: Sequence[str] = ()
    password_hash: str | None = field(default=None, repr=False)
    email_verified: bool = False
    language: str | None = None
    name: str = ""
    sets_password: bool = False
    reserved_allowed: bool = True


@dataclass(frozen=True, slots=True)
class NewNames:
    """What a user wants to be called, as typed. Nothing is checked yet.

    Attributes:
        name: the name for display; empty: none; None: as it is.
        username: the username; None: as it is.
    """

    name: str | None = None
    username: str | None = None


async def _no_farewell(_user: User) -> None:
    """Do nothing before a user is deleted."""


@dataclass(frozen=True, slots=True)
class AccountService:
    """Creates, changes and deletes users.

    Attributes:
        users: the users.
        roles: the roles.
        passwords: the password rules and password hashing.
        attempts: limits sign-ups; forgets failed tries.
        audit: records the changes.
        clock: what time it is.
        pending: the sign-ups whose letters were not answered yet.
        kept: the former addresses that are kept for their users.
        own_proof: says whether a user has shown who asks for a change.
        hides_emails: whether sign-ups wait there, so that nobody is told which addresses have
            accounts.
        sign_up_open: whether people can make themselves an account.
        username_change: whether users may change their usernames.
        farewell: is called with each user who is about to be deleted.
    """

    users: UserStore
    roles: RoleStore
    passwords: Passwords
    attempts: AttemptGuard
    audit: AuditLog
    clock: Clock
    pending: PendingSignUps
    kept: KeptAddresses
    own_proof: OwnProofCheck
    hides_emails: bool = False
    sign_up_open: bool = True
    username_change: bool = False
    farewell: Callable[[User], Awaitable[None]] = _no_farewell

    async def sign_up(self, wanted: NewUser, origin: Origin) -> User:
        """Create a user who signs up. The only role that they may ask for is `user`.

        Raises:
            SignUpClosed: nobody may sign up.
            InvalidUsername, InvalidEmail, RejectedPassword: the first rule that is broken.
            TooManyAttempts: too many sign-ups came from this network address lately.
            UsernameTaken, EmailTaken, UnknownRole, RoleNotGrantable: in this order.
            HashingBusy: too many sign-ups and sign-ins are waiting.
        """
        user = await self._allow_sign_up(wanted, origin)
        user = replace(user, password_hash=await self.passwords.hash(wanted.password))
        return await self.add(user, "user.signed_up", Actor(user.id, origin))

    async def check_sign_up(self, wanted: NewUser, origin: Origin) -> None:
        """Refuse a sign-up whose values cannot be had. It is counted as a sign-up.

        Raises:
            SignUpClosed, InvalidUsername, InvalidEmail: as for `sign_up`.
            UsernameTaken, EmailTaken, TooManyAttempts: likewise.
        """
        await self._allow_sign_up(wanted, origin)

    async def sign_up_with(
        self, wanted: NewUser, user_id: UserId, factors: Factors, origin: Origin
    ) -> User:
        """Create a user who signs up with factors in place of a password, all in one write.

        It is not counted: `check_sign_up` was asked before.

        Args:
            wanted: the values for the user; `sets_password` is true.
            user_id: the id that the user gets.
            factors: the factors.
            origin: where the request came from.

        Raises:
            InvalidPasskey: some user has the passkey.
            Refusal: as for `sign_up`, but never `TooManyAttempts`.
        """
        if not self.sign_up_open:
            raise SignUpClosed
        user = self._checked(wanted, reserved_allowed=False)
        await self._refuse_taken(user)
        user = replace(user, id=user_id, factors=factors)
        return await self.add(user, "user.signed_up", Actor(user.id, origin))

    async def sign_up_once(self, wanted: NewUser, origin: Origin) -> User:
        """Create a user. If the same form was sent a moment ago, return the user that it created.

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

    async def begin_sign_up(
        self, wanted: NewUser, origin: Origin, *, once: bool = False
    ) -> PendingSignUp:
        """Keep a sign-up until the letter to its address is answered. Nobody looks the address up.

        Args:
            wanted: the values for the user.
            origin: where the request came from.
            once: whether the same form, sent a moment later, gets the same sign-up.

        Raises:
            Refusal: as for `sign_up`, but never `EmailTaken`.
        """
        try:
            return await self._begin_sign_up(wanted, origin)
        except UsernameTaken:
            begun = await self._find_just_begun(wanted, origin) if once else None
            if begun is None:
                raise
            return begun

    async def _begin_sign_up(self, wanted: NewUser, origin: Origin) -> PendingSignUp:
        user = await self._allow_sign_up(wanted, origin)
        sign_up = PendingSignUp.from_user(user, await self.passwords.hash(wanted.password))
        if not await self.pending.add(sign_up):
            raise UsernameTaken(field="username")
        return sign_up

    async def _allow_sign_up(self, wanted: NewUser, origin: Origin) -> User:
        """Return the user who signs up, without a password hash; see `sign_up` for refusals."""
        if not self.sign_up_open:
            raise SignUpClosed
        user = self._checked(wanted, reserved_allowed=False)
        await self.attempts.count_sign_up(origin)
        if self.hides_emails:
            await self._refuse_taken_username(user.username_key)
        else:
            await self._refuse_taken(user)
        await self.refuse_unknown(user.roles)
        if set(user.roles) - {USER}:
            raise RoleNotGrantable(field="roles")
        return user

    async def _find_just_begun(self, wanted: NewUser, origin: Origin) -> PendingSignUp | None:
        """Return the sign-up that the same form began a moment ago, or None.

        As for `find_just_made`, a wrong password counts as a failed try.

        Raises:
            TooManyAttempts, HashingBusy: as for `find_just_made`.
        """
        key = username_key(wanted.username)
        begun = await self.pending.find(key, within=SENT_TWICE_WITHIN)
        if begun is None or begun.email_key != check_email(wanted.email)[1]:
            return None
        counted = self.attempts.by_name(key, origin)
        if await self.passwords.verify(begun.password_hash, wanted.password, counted):
            return begun
        self._note_wrong_password(None, origin)
        return None

    async def finish_sign_up(self, sign_up: PendingSignUp, origin: Origin) -> User:
        """Create the user of a sign-up whose letter was answered. The address is verified.

        The unique names decide: however many answers come at once, there is one user, and all of
        them get it.

        Raises:
            SignUpClosed: nobody may sign up any more.
            UsernameTaken, EmailTaken: somebody else has got the name meanwhile.
        """
        if not self.sign_up_open:
            raise SignUpClosed
        kept = await self.pending.find(sign_up.username_key)
        if kept is not None and kept.id != sign_up.id:
            raise UsernameTaken(field="username")
        if await self.users.find_by_email(sign_up.email_key) is None:
            await self._refuse_kept(sign_up.email_key)
        user = sign_up.to_user(self.clock.now())
        try:
            user = await self.add(user, "user.signed_up", Actor(user.id, origin))
        except (UsernameTaken, EmailTaken):
            made = await self._find_finished(sign_up)
            if made is None:
                raise
            user = made
        with after_a_change():
            await self.pending.remove(sign_up)
        return user

    async def _find_finished(self, sign_up: PendingSignUp) -> User | None:
        """Return the user that another answer to the letter of this sign-up made, or None.

        MongoDB claims the names before it stores the user. So a name that is taken and leads to
        nobody is looked up again for a second.
        """

        async def holder() -> User | None:
            user = await self.users.find_by_username(sign_up.username_key)
            return user or await self.users.find_by_email(sign_up.email_key)

        user = await look_for(holder)
        return user if user is not None and sign_up.made(user) else None

    async def create(self, wanted: NewUser, by: Actor) -> User:
        """Create a user for the operator, who may choose any role and reserved usernames.

        Raises:
            InvalidUsername, InvalidEmail, RejectedPassword: the first rule that is broken.
            UsernameTaken, EmailTaken, UnknownRole: in this order.
            HashingBusy: too many passwords wait to be hashed.
        """
        return await self.add(await self.prepare(wanted), "user.created", by)

    async def prepare(self, wanted: NewUser) -> User:
        """Check the values and hash the password; return the user without storing it.

        Raises:
            Refusal: as for `create`.
        """
        user = self._checked(wanted, reserved_allowed=wanted.reserved_allowed)
        await self._refuse_taken(user)
        await self.refuse_unknown(user.roles)
        if wanted.password_hash is not None or wanted.sets_password:
            return replace(user, password_hash=wanted.password_hash)
        return replace(user, password_hash=await self.passwords.hash(wanted.password))

    async def prepare_invited(self, wanted: NewUser) -> User:
        """Do the same for somebody who was invited, and who may not have a reserved username.

        Roles that were deleted since the invitation are left out.

        Raises:
            InvalidUsername, InvalidEmail, RejectedPassword, InvalidName: the first rule that is
                broken.
            UsernameTaken, EmailTaken: in this order.
            HashingBusy: too many passwords wait to be hashed.
        """
        user = self._checked(wanted, reserved_allowed=False)
        await self._refuse_pending_username(user.username_key)
        await self._refuse_taken(user)
        known = {role.name for role in await self.roles.list_roles()}
        held = tuple(role for role in user.roles if role in known) or (USER,)
        hashed = await self.passwords.hash(wanted.password)
        return replace(user, roles=held, password_hash=hashed)

    async def add(self, user: User, event: str, by: Actor) -> User:
        """Store a user that `prepare` returned, and record the event.

        Return the user as stored: without the roles that were deleted meanwhile.

        Args:
            user: the user.
            event: the name of the event, such as `user.created`.
            by: who creates the user.

        Raises:
            UsernameTaken, EmailTaken: another user got the name meanwhile.
        """
        await self.attempts.forgive(user.username_key)  # failures from before this user
        detail = {"roles": " ".join(user.roles)}
        made = self.audit.event(event, by, target=user.id, detail=detail)
        try:
            await self.users.add(user, made)
        except AlreadyExists as taken:
            if taken.field == "credential_id":
                raise InvalidPasskey("some user has it") from taken
            kind = UsernameTaken if taken.field == "username" else EmailTaken
            raise kind(field=taken.field) from taken
        self.audit.log(made)
        deleted = await self._take_deleted(user.id, user.roles)
        return replace(user, roles=tuple(role for role in user.roles if role not in deleted))

    async def set_password(self, user: User, password: str, by: Actor) -> bool:
        """Set a new password for a user. Every session of the user ends.

        The failed tries for the user's name are forgotten: they were for the old password. True if
        the user still exists.

        Raises:
            RejectedPassword: the password breaks the rules for passwords.
            HashingBusy: too many passwords wait to be hashed.
        """
        self.passwords.check_new(password, context=(user.username, user.email))
        hashed = await self.passwords.hash(password)
        await self.attempts.forgive(user.username_key)
        event = self._change_of(user, "password.changed", by)
        return await self.audit.logged(event, self.users.set_password(user.id, hashed, event))

    async def get_by_username(self, username: str) -> User:
        """Return the user with this username; upper and lower case make no difference.

        Raises:
            NoSuchUser: there is none.
        """
        user = await self.users.find_by_username(username_key(username))
        if user is None:
            raise NoSuchUser
        return user

    async def list_users(self, *, after: UserId | None, limit: int) -> list[User]:
        """Return up to `limit` users whose ids follow `after`, the oldest first."""
        return await self.users.list_users(after=after, limit=limit)

    async def grant(self, user: User, role: str, by: Actor) -> bool:
        """Grant a role to a user. True if the user did not hold it before.

        Raises:
            UnknownRole: there is no such role.
        """
        await self.refuse_unknown([role])
        event = self._change_of(user, "role.granted", by, role=role)
        changed = await self.audit.logged(event, self.users.grant(user.id, role, event))
        if changed and await self._take_deleted(user.id, [role]):
            raise _unknown(role)
        return changed

    async def withdraw(self, user: User, role: str, by: Actor) -> bool:
        """Take a role from a user. True if the user held it before.

        Raises:
            UnknownRole: there is no such role, and the user does not hold this name.
            LastAdmin: the role is `admin`, and no other enabled user holds it.
        """
        if role not in user.roles:
            await self.refuse_unknown([role])
        event = self._change_of(user, "role.withdrawn", by, role=role)
        needed = ADMIN if role == ADMIN else None
        change = self.users.withdraw(user.id, role, event, unless_last=needed)
        with _last_admin_stays():
            return await self.audit.logged(event, change)

    async def disable(self, user: User, by: Actor, *, reason: str = "") -> bool:
        """Disable a user, from the next request on. True if the user was enabled before.

        Args:
            user: the user.
            by: who disables the user.
            reason: why, for administrators; empty: no reason is given.

        Raises:
            InvalidReason: the reason is too long, or cannot be printed.
            LastAdmin: the user holds `admin`, and no other enabled user does.
        """
        why = checked_reason(reason)
        detail = {"reason": why} if why else {}
        event = self.audit.event("user.disabled", by, target=user.id, detail=detail)
        change = self.users.disable(
            user.id, self.clock.now(), event, reason=why or None, unless_last=ADMIN
        )
        with _last_admin_stays():
            return await self.audit.logged(event, change)

    async def enable(self, user: User, by: Actor) -> bool:
        """Enable a user again. True if the user was disabled before."""
        event = self._change_of(user, "user.enabled", by)
        return await self.audit.logged(event, self.users.enable(user.id, event))

    async def verify_email(self, user: User, by: Actor) -> bool:
        """Let the address of a user count as verified. True if it did not before.

        Raises:
            NoSuchUser: the user was deleted, or is disabled.
        """
        while user.email_verified_at is None:
            event = self._change_of(user, "user.email_verified", by)
            change = self.users.set_email(
                user,
                event,
                email=user.email,
                email_key=user.email_key,
                verified_at=self.clock.now(),
            )
            if await self.audit.logged(event, change):
                return True
            now = await self.users.find(user.id)
            if now is None or now.disabled_at is not None:
                raise NoSuchUser
            user = now
        return False

    async def verify_for_owner(self, user: User, by: Actor) -> User | None:
        """Verify an address, void the password and end every session, in one write.

        It is for the owner of an address with which a stranger may have signed up: the stranger
        knows the password, and may hold a session. With factors, the address is not verified; see
        `UserStore.reset_password`. Return the changed user; None if the user was
        disabled, deleted or signed out everywhere since, or has another password or address.
        """
        detail = {"password": "none"}
        event = self.audit.event("password.reset", by, target=user.id, detail=detail)
        change = self.users.reset_password(user, None, event, at=self.clock.now())
        return await self.audit.logged(event, change)

    async def delete(self, user: User, by: Actor) -> bool:
        """Delete a user and their sessions; both names are free again.

        False if the user was deleted already.

        Raises:
            LastAdmin: the user holds `admin`, and no other enabled user does.
        """
        await self.farewell(user)
        event = self._change_of(user, "user.deleted", by)
        with _last_admin_stays():
            return await self.audit.logged(
                event, self.users.remove(user.id, event, unless_last=ADMIN)
            )

    async def require_new_password(self, user: User, by: Actor) -> bool:
        """Have a user set a new password before the next sign-in; every session ends.

        The present password signs nobody in any more, and neither does anything else before there
        is a new one. True if the user did not have to set one before.

        Raises:
            NoPassword: the user has none.
        """
        if user.password_hash is None:
            raise NoPassword
        event = self._change_of(user, "password.required", by)
        change = self.users.require(user.id, SET_PASSWORD, event)
        return await self.audit.logged(event, change)

    async def check_names(
        self, user: User, wanted: NewNames, *, reserved_allowed: bool = True
    ) -> None:
        """Check the names that an operator gives a user.

        Args:
            user: the user.
            wanted: the new names.
            reserved_allowed: whether the username may be a reserved one.

        Raises:
            InvalidName, InvalidUsername: a name breaks the rules.
            UsernameTaken: another user has the username.
        """
        _check_names(user, wanted, reserved_allowed=reserved_allowed)
        key = user.username_key if wanted.username is None else username_key(wanted.username)
        if key != user.username_key:
            await self._refuse_taken_username(key)

    async def rename(
        self, user: User, wanted: NewNames, by: Actor, *, reserved_allowed: bool = True
    ) -> User:
        """Change what a user is called, for an operator; disabled users too. Return the user.

        The setting that lets users keep their usernames does not hold for operators.

        Args:
            user: the user.
            wanted: the new names.
            by: who renames the user.
            reserved_allowed: whether the username may be a reserved one.

        Raises:
            InvalidName, InvalidUsername, UsernameTaken: as for `check_names`.
            NoSuchUser: the user was deleted.
        """
        await self.check_names(user, wanted, reserved_allowed=reserved_allowed)
        if wanted.username is not None and username_key(wanted.username) != user.username_key:
            await self.attempts.forgive(username_key(wanted.username))
        while True:
            changed = await self._rename(user, wanted, by, disabled_too=True)
            if changed is not None:
                return changed
            now = await self.users.find(user.id)
            if now is None:
                raise NoSuchUser
            user = now

    async def rename_own(
        self, user: User, proof: OwnProof, wanted: NewNames, origin: Origin
    ) -> User:
        """Change what the user who asks for it is called; return the user as stored.

        Another username needs the proof (ASVS 7.5.1), and counts as a sign-up from this address:
        the answer shows which usernames are taken.

        Args:
            user: who asks.
            proof: what shows that it is the user.
            wanted: the new names.
            origin: where the request came from.

        Raises:
            InvalidName, InvalidUsername: a name breaks the rules.
            UsernameFixed: usernames cannot be changed here.
            ReauthenticationRequired, WrongPassword: the proof is too old, or wrong.
            TooManyAttempts: too many tries have failed in this session, or too many sign-ups came
                from this address.
            UsernameTaken: another user has the username.
            InvalidToken: the user was disabled, deleted or signed out everywhere meanwhile.
            HashingBusy: too many passwords wait to be hashed.
        """
        _check_names(user, wanted)
        by = Actor(user.id, origin)
        if wanted.username is not None and wanted.username != user.username:
            await self._allow_username(user, proof, wanted.username, by)
        while True:
            changed = await self._rename(user, wanted, by)
            if changed is not None:
                return changed
            now = await self.users.find(user.id)
            if now is None or now.disabled_at is not None or now.epoch != user.epoch:
                raise InvalidToken
            user = now

    async def _allow_username(self, user: User, proof: OwnProof, username: str, by: Actor) -> None:
        """Refuse another username of a user, or forget the failures of whoever had it before."""
        if not self.username_change:
            raise UsernameFixed
        await self.own_proof.require(user.id, user.password_hash, proof, by, "user.rename_refused")
        key = username_key(username)
        if key == user.username_key:
            return
        await self.attempts.count_sign_up(by.origin)
        await self._refuse_taken_username(key)
        await self.attempts.forgive(key)

    async def _rename(
        self, user: User, wanted: NewNames, by: Actor, *, disabled_too: bool = False
    ) -> User | None:
        """Store the names that differ. None if the user is not as it was read any more."""
        name = user.name if wanted.name is None else check_name(wanted.name)
        username = user.username if wanted.username is None else wanted.username
        if (name, username) == (user.name, user.username):
            return user
        detail = {"changed": "name" if name != user.name else ""}
        if username != user.username:
            detail["changed"] = f"{detail['changed']} username".strip()
            detail |= {"username": username, "former": user.username}
        event = self.audit.event("user.renamed", by, target=user.id, detail=detail)
        change = self.users.rename(
            user,
            event,
            name=name,
            username=username,
            username_key=username_key(username),
            disabled_too=disabled_too,
        )
        try:
            return await self.audit.logged(event, change)
        except AlreadyExists as taken:
            raise UsernameTaken(field="username") from taken

    async def delete_own(self, user: User, proof: OwnProof, origin: Origin) -> None:
        """Delete the user who asks for it.

        Args:
            user: who asks.
            proof: what shows that it is the user.
            origin: where the request came from.

        Raises:
            ReauthenticationRequired, WrongPassword: the proof is too old, or wrong.
            LastAdmin: the user holds `admin`, and no other enabled user does.
            TooManyAttempts: too many tries have failed in this session.
            HashingBusy: too many passwords wait to be hashed.
        """
        by = Actor(user.id, origin)
        await self.own_proof.require(user.id, user.password_hash, proof, by, "user.delete_refused")
        await self.delete(user, by)

    async def has_admin(self) -> bool:
        """Return whether an enabled user holds the role `admin`."""
        return await self.users.anyone_holds(ADMIN)

    async def find_just_made(self, wanted: NewUser, origin: Origin) -> User | None:
        """Return the user that the same form created a moment ago, or None.

        The user must be younger than two minutes and have no second factor, and username, e-mail
        address and password must be the same. A wrong password counts as a failed try, so nobody
        can guess passwords here.

        Raises:
            TooManyAttempts: too many tries have failed for this name, or from this address.
            HashingBusy: too many passwords wait to be hashed.
        """
        key = username_key(wanted.username)
        user = await self.users.find_by_username(key)
        if user is None or user.email_key != check_email(wanted.email)[1]:
            return None
        if self.clock.now() - user.created_at > SENT_TWICE_WITHIN or user.disabled_at is not None:
            return None
        if second_factors(user.factors):  # a second factor is asked for at the sign-in only
            return None
        counted = self.attempts.by_name(key, origin)
        if await self.passwords.verify(user.password_hash, wanted.password, counted):
            return user
        self._note_wrong_password(user, origin)
        return None

    def _note_wrong_password(self, user: User | None, origin: Origin) -> None:
        target, detail = user.id if user else None, {"factor": "password"}
        self.audit.note(
            "sign_in.failed", nobody_known(origin), target=target, outcome="failure", detail=detail
        )

    async def refuse_unknown(self, roles: Collection[str]) -> None:
        """Check that all of these roles exist.

        Raises:
            UnknownRole: the first one that does not.
        """
        known = {role.name for role in await self.roles.list_roles()}
        if lost := [role for role in SEEDED_ROLES if role.name in roles and role.name not in known]:
            await self.roles.ensure(lost)  # the database was emptied while the server ran
            known |= {role.name for role in lost}
        for role in roles:
            if role not in known:
                raise _unknown(role)

    def _checked(self, wanted: NewUser, *, reserved_allowed: bool) -> User:
        """Check the values; return the user without a password hash.

        Raises:
            InvalidUsername, InvalidEmail, RejectedPassword, InvalidName: the first rule that is
                broken. Its attribute `others` has the refusals of the other values.
        """
        name = wanted.username
        faults = [
            fault
            for fault in (
                _fault_of(lambda: check_username(name, reserved_allowed=reserved_allowed)),
                _fault_of(lambda: check_email(wanted.email)),
                _fault_of(lambda: self._check_password(wanted)),
                _fault_of(lambda: check_name(wanted.name)),
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
            email_verified_at=at if wanted.email_verified else None,
            language=wanted.language,
            name=check_name(wanted.name),
        )

    def _check_password(self, wanted: NewUser) -> None:
        """Refuse a new password that breaks the rules, or a hash that cannot be checked."""
        if wanted.password_hash is not None:
            self.passwords.check_hash(wanted.password_hash)
        elif not wanted.sets_password:
            context = (wanted.username, wanted.email)
            self.passwords.check_new(wanted.password, context=context)

    async def _refuse_taken(self, user: User) -> None:
        """Refuse a taken name before the password is hashed, which saves work.

        The store decides in the end. The username is read last: if another sign-up takes both names
        between the two reads, the refusal names the username, as `sign_up` promises.
        """
        email_is_taken = await self.users.find_by_email(user.email_key) is not None
        if await self.users.find_by_username(user.username_key):
            raise UsernameTaken(field="username")
        if email_is_taken:
            raise EmailTaken(field="email")
        await self._refuse_kept(user.email_key)

    async def _refuse_kept(self, email_key: str) -> None:
        """Refuse an address that is kept for its former owner, after a look for a present one."""
        if await self.kept.find(email_key) is not None:
            raise EmailTaken(field="email")

    async def find_email_holder(self, email_key: str) -> UserId | None:
        """Return the id of the user who has an address or whom it is kept for, or None.

        An address is kept before it is given up. So whoever looks for its user first, and then
        whether it is kept, misses neither.
        """
        user = await self.users.find_by_email(email_key)
        return await self.kept.find(email_key) if user is None else user.id

    async def _refuse_taken_username(self, key: str) -> None:
        """Refuse a username that a user has, or that a sign-up keeps.

        What a sign-up keeps becomes a user's. So it is looked up first: a name that changes hands
        between the two reads is seen by one of them.
        """
        await self._refuse_pending_username(key)
        if await self.users.find_by_username(key):
            raise UsernameTaken(field="username")

    async def _refuse_pending_username(self, key: str) -> None:
        """Refuse a username that a sign-up keeps. Look for a user of this name afterwards."""
        if self.hides_emails and await self.pending.find(key) is not None:
            raise UsernameTaken(field="username")

    async def _take_deleted(self, user_id: UserId, granted: Collection[str]) -> set[str]:
        """Take back the roles that were deleted while the user was granted them; return them.

        The deletion takes a role from everybody who holds it. It may have finished before this
        user was granted the role.
        """
        deletable = set(granted) - BUILT_IN
        if not deletable:
            return deletable
        with after_a_change():
            deleted = deletable - {role.name for role in await self.roles.list_roles()}
            for role in sorted(deleted):
                detail = {"role": role}
                event = self.audit.event("role.withdrawn", SERVER, target=user_id, detail=detail)
                await self.audit.logged(event, self.users.withdraw(user_id, role, event))
        return deleted

    def _change_of(self, user: User, name: str, by: Actor, *, role: str = "") -> Event:
        detail = {"role": role} if role else {}
        return self.audit.event(name, by, target=user.id, detail=detail)


@contextmanager
def _last_admin_stays() -> Iterator[None]:
    """Turn `LastHolder` of a store into the refusal."""
    try:
        yield
    except LastHolder as error:
        raise LastAdmin from error


def checked_reason(text: str) -> str:
    """Check why something is done; return it as it is kept.

    Raises:
        InvalidReason: it is too long, or cannot be printed.
    """
    reason = text.strip()
    if len(reason) > MAX_REASON or not is_one_line(reason):
        raise InvalidReason(field="reason")
    return reason


def _check_names(user: User, wanted: NewNames, *, reserved_allowed: bool = False) -> None:
    """Check both names.

    A user may keep a reserved username that the operator gave them, in another spelling too.

    Raises:
        InvalidName, InvalidUsername: the first rule that is broken; `others` has the other refusal.
    """
    name, username = wanted.name or "", wanted.username
    faults = [_fault_of(lambda: check_name(name))]
    if username is not None and username != user.username:
        allowed = reserved_allowed or username_key(username) == user.username_key
        faults.append(_fault_of(lambda: check_username(username, reserved_allowed=allowed)))
    found = [fault for fault in faults if fault is not None]
    if found:
        found[0].others = tuple(found[1:])
        raise found[0]


def _unknown(role: str) -> UnknownRole:
    return UnknownRole(f"Failed! Role {role} does not exist!", field="roles")


def _fault_of(check: Callable[[], object]) -> Refusal | None:
    try:
        check()
    except Refusal as refusal:
        return refusal
    return None
