"""The records of users and roles, and the ports that store them."""

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gatelodge.accounts.search import Count, UserQuery
from gatelodge.audit import Event
from gatelodge.credentials.factors import Factors
from gatelodge.ids import SessionId, UserId

SET_PASSWORD = "set_password"  # noqa: S105 - what a user has to do
"""In `User.must`: the user has to set a new password before anything else."""


@dataclass(frozen=True, slots=True)
class User:
    """One who can sign in, a person or a service.

    Attributes:
        id: stable, random, never reused; the `sub` of tokens.
        username: the username as typed; it is shown.
        username_key: the key by which usernames are compared; unique.
        email: the e-mail address as typed, with its domain in lower case.
        email_key: the key by which e-mail addresses are compared; unique.
        password_hash: a PHC string (argon2id), an imported bcrypt hash, or None if the user has no
            password.
        roles: names of roles, each once, in the order they were granted.
        epoch: a number that rises to end every session opened so far.
        continued: the one session that went on when the epoch last rose, or None.
        created_at: when the user was created.
        name: the user's name for display, as typed; at most 100 characters, may be empty.
        language: the tag of the language that the user chose (BCP 47), or None.
        email_verified_at: when the e-mail address was verified, or None.
        disabled_at: since when the user is disabled, or None.
        disabled_reason: why the user is disabled, for administrators, or None.
        must: what the user has to do at the next sign-in: `SET_PASSWORD`, or nothing.
        last_sign_in_at: when the user last signed in, or None.
        factors: what the user has besides a password to prove who they are.
    """

    id: UserId
    username: str
    username_key: str
    email: str
    email_key: str
    password_hash: str | None = field(repr=False)
    roles: tuple[str, ...]
    created_at: datetime
    epoch: int = 0
    continued: SessionId | None = None
    name: str = ""
    language: str | None = None
    email_verified_at: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    must: tuple[str, ...] = ()
    last_sign_in_at: datetime | None = None
    factors: Factors = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions.

    Attributes:
        name: the name in lower case, as rules and records use it.
        description: one line for people.
        permissions: what holders may do, such as `users:suspend`.
    """

    name: str
    description: str
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do, by the roles that the user holds and that exist.

    A user may still hold the name of a deleted role. Such a name gives nothing.

    Attributes:
        roles: names of roles, in the order they were granted.
        permissions: all permissions of these roles.
    """

    roles: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()

    @staticmethod
    def of(held: Iterable[str], roles: Iterable[Role]) -> "Rights":
        """Return the rights of a user who holds these names of roles.

        Args:
            held: the names of roles that the user holds, in order.
            roles: at least those of these roles that exist.
        """
        return rights_among(roles)(tuple(held))


def rights_among(roles: Iterable[Role]) -> Callable[[tuple[str, ...]], Rights]:
    """Return a function that tells the rights of a user by the names of roles that the user holds.

    It works out each combination of roles once: the users of a list hold few.

    Args:
        roles: at least those of the roles of these users that exist.
    """
    known = {role.name: role.permissions for role in roles}

    @functools.cache
    def rights_of(held: tuple[str, ...]) -> Rights:
        names = tuple(name for name in held if name in known)
        return Rights(names, frozenset(each for name in names for each in known[name]))

    return rights_of


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of users.

    Attributes:
        users: the users. There may be fewer than asked for, or none, although there are more: a
            list stops after it has looked at a few thousand users that do not match.
        after: where the next page goes on: a text of the store; None: there are no more users.
    """

    users: list[User]
    after: str | None


class UserStore(Protocol):
    """The stored users. Every method is atomic; changes are durable when it returns.

    A method that takes an event stores it with its change: both, or neither. If nothing is changed,
    no event is stored.

    Some methods take `unless_last`, the name of a role that somebody must hold. They raise
    `LastHolder` and change nothing if the user is the last enabled one who holds the role. However
    many callers do this at the same moment, one holder stays.
    """

    async def add(self, user: User, event: Event) -> None:
        """Store a new user.

        Of several callers with the same username key, e-mail key or passkey, exactly one succeeds.

        Raises:
            AlreadyExists: a name or a passkey is taken. Then `field` is `username` (also if both
                names are taken), `email` or `credential_id`.
        """

    async def find(self, user_id: UserId) -> User | None:
        """Return the user, or None if there is none."""

    async def find_many(self, user_ids: Collection[UserId]) -> dict[UserId, User]:
        """Return those of these users who exist, by their ids: one read for a page of a list.

        Args:
            user_ids: a few hundred at most.
        """

    async def find_by_username(self, username_key: str) -> User | None:
        """Return the user whose username has this key, or None."""

    async def find_by_email(self, email_key: str) -> User | None:
        """Return the user whose e-mail address has this key, or None."""

    async def list_users(self, *, after: UserId | None, limit: int) -> list[User]:
        """Return up to `limit` users whose ids follow `after`, in order of id (oldest first)."""

    async def search(self, query: UserQuery, *, after: str | None, limit: int) -> UserPage:
        """Return up to `limit` users that match, in the order of the query.

        The time that it takes does not grow with the number of users: the list follows an index,
        and stops when it has looked at a few thousand users. Whoever follows `UserPage.after` to
        the end sees each matching user once whose place in the order did not change meanwhile,
        however many others come, go and change.

        Args:
            query: which users, and in which order.
            after: `UserPage.after` of the page before, of the same query; None: from the start.
            limit: the maximum number of users.

        Raises:
            ValueError: `after` is no text of this store for such a query.
        """

    async def count_users(self) -> Count:
        """Return how many users there are. Where counting takes long, it may be an estimate."""

    async def count_matching(self, query: UserQuery, *, limit: int) -> Count:
        """Return how many users match; not exact, and at least this many, from `limit` on.

        It looks at a few thousand users at most, and is not exact if there are more to look at.
        """

    async def count_created(self, bounds: Sequence[datetime]) -> list[int]:
        """Return how many users were created between each two neighbours of `bounds`.

        Args:
            bounds: instants in ascending order, n + 1 for n numbers; each number counts from its
                first instant, up to and without its second.
        """

    async def replace_password_hash(self, user_id: UserId, old: str, new: str) -> bool:
        """Replace the password hash with a new hash of the same password.

        True if the stored hash was `old`; otherwise nothing changes.
        """

    async def change_password(
        self, user: User, new: str, event: Event, *, continued: SessionId | None
    ) -> User | None:
        """Replace the password hash with that of a new password, and raise the epoch.

        The user does not have to set a password any more. Return the changed user. None if the hash
        or the epoch is not as in `user` any more, or if the user is disabled or deleted: then
        nothing changes.

        Args:
            user: the user as read before.
            new: the new hash.
            event: stored with the change.
            continued: the session that signs the user in after the change too; None: all end.
        """

    async def set_password(self, user_id: UserId, new: str, event: Event) -> bool:
        """Replace the password hash, whatever it was, and raise the epoch: every session ends.

        The user does not have to set a password any more. True if the user exists; a disabled user
        stays disabled.
        """

    async def rename(
        self,
        user: User,
        event: Event,
        *,
        name: str,
        username: str,
        username_key: str,
        disabled_too: bool = False,
    ) -> User | None:
        """Replace the name and the username; the former username is free again.

        Return the changed user. None if the name, the username or the epoch is not as in `user` any
        more, or if the user is disabled (unless `disabled_too`) or deleted: then nothing changes.
        Of several callers with the same username key, exactly one succeeds.

        Args:
            user: the user as read before.
            event: stored with the change.
            name: the new name for display.
            username: the new username as typed.
            username_key: its key.
            disabled_too: whether a disabled user is renamed too.

        Raises:
            AlreadyExists: the username is taken (`field` is `username`); nothing was changed.
        """

    async def reset_password(
        self, user: User, new: str | None, event: Event, *, at: datetime
    ) -> User | None:
        """Replace the password hash, raise the epoch, and verify the e-mail address.

        It is for a user who has shown that the address is theirs. With factors, an address that was
        not verified stays so: they may be of somebody who signed up with the address of another,
        and who could still sign in by a passkey. With a new hash, the user does not have to set a
        password any more. Return the changed user. None if the epoch or the address is not as in
        `user` any more, or if the user is disabled or deleted: then nothing changes.

        Args:
            user: the user as read before.
            new: the new hash; None: the user has no password any more.
            event: stored with the change.
            at: since when the address counts as verified, if it was not.
        """

    async def set_email(
        self,
        user: User,
        event: Event,
        *,
        email: str,
        email_key: str,
        verified_at: datetime | None,
        disabled_too: bool = False,
    ) -> User | None:
        """Replace the e-mail address, and when it was verified; the former address is free again.

        Return the changed user. None if the address or the epoch is not as in `user` any more, or
        if the user is disabled (unless `disabled_too`) or deleted: then nothing changes. Of several
        callers with the same e-mail key, exactly one succeeds.

        Args:
            user: the user as read before.
            event: stored with the change.
            email: the address as typed; it may be the present one.
            email_key: its key.
            verified_at: when it was verified, or None.
            disabled_too: whether a disabled user gets it too.

        Raises:
            AlreadyExists: another user has the address (`field` is `email`); nothing was changed.
        """

    async def grant(self, user_id: UserId, role: str, event: Event) -> bool:
        """Grant a role. True if the user exists and did not hold it before."""

    async def withdraw(
        self, user_id: UserId, role: str, event: Event, *, unless_last: str | None = None
    ) -> bool:
        """Take a role from the user. True if the user held it before."""

    async def disable(
        self,
        user_id: UserId,
        at: datetime,
        event: Event,
        *,
        reason: str | None = None,
        unless_last: str | None = None,
    ) -> bool:
        """Disable the user, and raise the epoch. True if the user was enabled before.

        Args:
            user_id: the user.
            at: since when the user is disabled.
            event: stored with the change.
            reason: why, for administrators; None: no reason is kept.
            unless_last: see the class.
        """

    async def enable(self, user_id: UserId, event: Event) -> bool:
        """Enable the user, and delete the reason. True if the user was disabled before."""

    async def require(self, user_id: UserId, what: str, event: Event) -> bool:
        """Let the user have to do something at the next sign-in, and raise the epoch.

        True if the user exists and did not have to do it before.

        Args:
            user_id: the user; a disabled one too.
            what: what the user has to do, as in `User.must`.
            event: stored with the change.
        """

    async def raise_epoch(self, user_id: UserId, event: Event) -> bool:
        """Raise the epoch, which ends every session opened so far. True if the user exists."""

    async def remove(
        self, user_id: UserId, event: Event, *, unless_last: str | None = None
    ) -> bool:
        """Delete the user and all their sessions; both names are free again.

        True if the user existed.
        """

    async def anyone_holds(self, role: str) -> bool:
        """Return whether an enabled user holds the role."""

    async def list_holders(self, role: str, *, limit: int) -> list[UserId]:
        """Return up to `limit` users who hold the role, in no order. Disabled users count too."""


class RoleStore(Protocol):
    """The stored roles. Every method is atomic; changes are durable when it returns.

    A method that takes an event stores it with its change: both, or neither.

    Some methods take `within`: all permissions that the role may have before the change. They
    change nothing if it has another one. None: it may have any.
    """

    async def ensure(self, roles: Collection[Role]) -> None:
        """Store those of these roles whose names do not exist yet.

        Several callers may do this at the same time.
        """

    async def add(self, role: Role, event: Event) -> None:
        """Store a new role.

        Raises:
            AlreadyExists: there is a role of this name (then `field` is `name`). Of several callers
                with the same name, exactly one succeeds.
        """

    async def find(self, name: str) -> Role | None:
        """Return the role, or None if there is none of this name."""

    async def list_roles(self) -> list[Role]:
        """Return every role, in order of name."""

    async def describe(
        self, name: str, description: str, event: Event, *, within: Collection[str] | None = None
    ) -> bool:
        """Replace the description. True if the role exists, and had another one before."""

    async def permit(
        self,
        name: str,
        permission: str,
        event: Event,
        *,
        limit: int,
        within: Collection[str] | None = None,
    ) -> bool:
        """Add a permission to a role, after those that it has.

        True if the role exists, did not have the permission, and had fewer than `limit`
        permissions. Of many changes of one role at the same time, none is lost.
        """

    async def forbid(
        self, name: str, permission: str, event: Event, *, within: Collection[str] | None = None
    ) -> bool:
        """Take a permission from a role. True if the role exists and had it."""

    async def remove(
        self,
        name: str,
        event: Event,
        *,
        unless_held: bool = False,
        within: Collection[str] | None = None,
    ) -> Role | None:
        """Delete a role and return it as it was, or None if there is none of this name.

        Of many callers, exactly one gets the role. Users keep the name of the role.

        Args:
            name: the name of the role.
            event: stored with the change.
            unless_held: whether the role stays if anybody holds it, disabled users too.
            within: see the class.

        Raises:
            StillHeld: somebody holds the role; nothing was changed. Somebody who is granted the
                role while it is deleted may hold its name all the same.
        """
