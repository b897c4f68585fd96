"""`Gatelodge.users`: the users, for the code of an application that has Gatelodge inside."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID, uuid5

from gatelodge import user
from gatelodge.accounts import store
from gatelodge.accounts.names import email_key, username_key
from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.roles import USER
from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import APPLICATION, Actor
from gatelodge.fastapi.refusals import refusing
from gatelodge.gate.conditions import text_of
from gatelodge.ids import UserId
from gatelodge.user import SUBJECT_NAMESPACE


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who has an account, whether they are signed in or not.

    Attributes:
        subject: the user's id, which never changes and is never used again.
        username: the username as typed at sign-up.
        name: what to call the user; may be empty.
        email: the user's e-mail address.
        email_verified: whether the user has shown that the address is theirs.
        roles: the roles that the user holds.
        disabled: whether the user may not sign in.
        created_at: when the account was made.
    """

    subject: str
    username: str
    name: str
    email: str
    email_verified: bool
    roles: frozenset[str]
    disabled: bool
    created_at: datetime

    @property
    def uuid(self) -> UUID:
        """The subject as a UUID; the same as `User.uuid`."""
        return uuid5(SUBJECT_NAMESPACE, self.subject)


class Users:
    """Finds, makes and changes users. Every change takes effect on their next request.

    All methods may raise `Refused`, an `HTTPException` that says why: the user does not exist, a
    name is taken, the last administrator would be gone, or the database does not answer. Each
    change is recorded with who made it: the user in `by`, or `application` without one.
    """

    def __init__(self, house: Callable[[], House]) -> None:
        """Ask this for the house at each call; it raises before the lifespan begins."""
        self._get = house

    async def get(self, subject: str) -> Account | None:
        """Return the user with this subject, or None."""
        with refusing():
            found = await self._get().stores.users.find(UserId(subject))
            return None if found is None else _account(found)

    async def find(
        self, *, username: str | None = None, email: str | None = None
    ) -> Account | None:
        """Return the user with this username or this e-mail address, or None.

        Raises:
            TypeError: not exactly one of the two is given.
        """
        users = self._get().stores.users
        with refusing():
            if username is not None and email is None:
                found = await users.find_by_username(username_key(username))
            elif email is not None and username is None:
                found = await users.find_by_email(email_key(email))
            else:
                raise TypeError("find() takes a username or an e-mail address.")
            return None if found is None else _account(found)

    async def create(
        self,
        username: str,
        email: str,
        password: str | None = None,
        *,
        password_hash: str | None = None,
        email_verified: bool = False,
        roles: Iterable[str | Enum] = (),
        by: user.User | None = None,
    ) -> Account:
        """Make a user. They hold the role `user`, and these roles.

        Args:
            username: the username.
            email: the e-mail address.
            password: the password.
            password_hash: in place of the password, the hash that another login has stored:
                argon2id as a PHC string, or bcrypt. The first sign-in replaces it by one of ours,
                unless it is stronger.
            email_verified: whether the user has shown elsewhere that the address is theirs.
            roles: further roles.
            by: who makes the user; None: the code of the application.

        Raises:
            TypeError: there is neither a password nor a hash, or both.
            Refused: a name is taken, or breaks a rule; the password breaks one; the hash is of
                another kind; there is no such role.
        """
        if (password is None) == (password_hash is None):
            raise TypeError("Give either a password or a password_hash.")
        held = (USER, *(text_of(role) for role in roles if text_of(role) != USER))
        wanted = NewUser(username, email, password or "", held, password_hash, email_verified)
        with refusing():
            return _account(await self._get().accounts.create(wanted, _actor(by)))

    async def grant(self, subject: str, role: str | Enum, *, by: user.User | None = None) -> bool:
        """Give a role to a user. True if they did not hold it before."""
        with refusing():
            return await self._get().accounts.grant(
                await self._of(subject), text_of(role), _actor(by)
            )

    async def revoke(self, subject: str, role: str | Enum, *, by: user.User | None = None) -> bool:
        """Take a role from a user. True if they held it before."""
        with refusing():
            return await self._get().accounts.withdraw(
                await self._of(subject), text_of(role), _actor(by)
            )

    async def disable(self, subject: str, *, by: user.User | None = None) -> bool:
        """Let a user sign in no more, and end all their sessions. True if they were enabled."""
        with refusing():
            return await self._get().accounts.disable(await self._of(subject), _actor(by))

    async def enable(self, subject: str, *, by: user.User | None = None) -> bool:
        """Let a user sign in again. True if they were disabled."""
        with refusing():
            return await self._get().accounts.enable(await self._of(subject), _actor(by))

    async def sign_out(self, subject: str, *, by: user.User | None = None) -> None:
        """End all sessions of a user."""
        with refusing():
            found = await self._of(subject)
            await self._get().sessions.sign_out_everywhere(found.id, _actor(by))

    async def delete(self, subject: str, *, by: user.User | None = None) -> bool:
        """Delete a user and their sessions. True if there was one."""
        with refusing():
            found = await self._get().stores.users.find(UserId(subject))
            return found is not None and await self._get().accounts.delete(found, _actor(by))

    async def _of(self, subject: str) -> store.User:
        found = await self._get().stores.users.find(UserId(subject))
        if found is None:
            raise NoSuchUser
        return found


def _actor(by: user.User | None) -> Actor:
    return APPLICATION if by is None else Actor(by.subject, APPLICATION.origin)


def _account(found: store.User) -> Account:
    return Account(
        subject=found.id,
        username=found.username,
        name=found.name,
        email=found.email,
        email_verified=found.email_verified_at is not None,
        roles=frozenset(found.roles),
        disabled=found.disabled_at is not None,
        created_at=found.created_at,
    )
