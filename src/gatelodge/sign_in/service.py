"""Prove who somebody is, and open a session for them."""

import contextlib
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass, field

from gatelodge.accounts.names import username_key
from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import AuditLog, Origin
from gatelodge.errors import HashingBusy, InvalidCredentials, WrongPassword
from gatelodge.gate.principal import Records
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sessions.store import Delivery
from gatelodge.sign_in.hashing_pool import HashingPool
from gatelodge.sign_in.passwords import (
    PasswordHasher,
    check_new_password,
    check_presented_password,
)


@dataclass(frozen=True, slots=True)
class Passwords:
    """Check, hash and verify passwords, off the event loop.

    Attributes:
        minimum: fewest code points of a new password.
    """

    hasher: PasswordHasher
    pool: HashingPool
    minimum: int

    def check_new(
        self, password: str, *, context: Collection[str], field: str = "password"
    ) -> None:
        """Refuse a new password that breaks the rules, or says something of `context`.

        Raises:
            RejectedPassword: the message says why.
        """
        check_new_password(password, minimum=self.minimum, context=context, field=field)

    async def hash(self, password: str) -> str:
        """Return the PHC string of a password that was checked.

        Raises:
            HashingBusy: the queue is full.
        """
        return await self.pool.run(self.hasher.hash, password)

    async def verify(self, stored: str | None, password: str, *, field: str = "password") -> bool:
        """Say whether the password is the stored one; as slow when nothing is stored.

        Raises:
            InvalidRequest: no password looks like that.
            HashingBusy: the queue is full.
        """
        check_presented_password(password, field=field)
        return await self.pool.run(self.hasher.verify, stored, password)


@dataclass(frozen=True, slots=True)
class SignInService:
    """Sign users in by their password.

    Attributes:
        log_key: the key under which names that failed are logged, since a name may be
            a password that slipped into the wrong field (ASVS 16.2.5).
    """

    users: UserStore
    passwords: Passwords
    sessions: SessionService
    audit: AuditLog
    log_key: bytes = field(repr=False)

    async def sign_in(
        self,
        username: str,
        password: str,
        delivery: Delivery,
        origin: Origin,
        *,
        former: str | None = None,
    ) -> SignedIn:
        """Open a session for the user with this name and password.

        It takes the place of the one that the refresh token `former` is of (ASVS 7.2.4).

        Raises:
            InvalidCredentials: unknown user, wrong password or disabled user: at one speed.
            HashingBusy: too many are signing in.
        """
        user = await self.authenticate(username, password, origin)
        return await self.sessions.open(user, delivery, origin, former=former)

    async def change_password(
        self, caller: Records, current: str, new: str, origin: Origin
    ) -> SignedIn:
        """Put a new password in place of the current one; every other session ends.

        Raises:
            WrongPassword: the current one is not right, or was changed at the same moment.
            RejectedPassword: the new one breaks the rules.
            HashingBusy: too many are signing in.
        """
        user = caller.user
        if not await self.passwords.verify(user.password_hash, current, field="currentPassword"):
            self.audit.note("password.change_refused", actor=user.id, origin=origin)
            raise WrongPassword(field="currentPassword")
        self.passwords.check_new(new, context=(user.username, user.email), field="newPassword")
        hashed = await self.passwords.hash(new)
        changed = await self.users.change_password(user.id, user.password_hash, hashed)
        if changed is None:
            raise WrongPassword(field="currentPassword")
        await self.audit.record("password.changed", actor=user.id, target=user.id, origin=origin)
        return await self.sessions.continue_as(changed, caller.session, origin)

    async def authenticate(self, username: str, password: str, origin: Origin) -> User:
        """Return the enabled user with this name and password.

        Raises:
            InvalidCredentials: there is none.
        """
        user = await self.users.find_by_username(username_key(username))
        stored = user.password_hash if user else None
        right = await self.passwords.verify(stored, password)
        if not right or user is None or user.disabled_at is not None:
            self._note_failure(username, user, origin)
            raise InvalidCredentials
        await self._bring_hash_up_to_date(user, password)
        return user

    async def _bring_hash_up_to_date(self, user: User, password: str) -> None:
        """Hash again when the parameters have risen; another sign-in will do if none has time."""
        stored = user.password_hash
        if stored is None or not self.passwords.hasher.needs_rehash(stored):
            return
        with contextlib.suppress(HashingBusy):
            new = await self.passwords.hash(password)
            await self.users.replace_password_hash(user.id, stored, new)

    def _note_failure(self, username: str, user: User | None, origin: Origin) -> None:
        name = hmac.digest(self.log_key, username.encode(errors="replace"), hashlib.sha256)
        self.audit.note(
            "sign_in.failed",
            target=user.id if user else None,
            origin=origin,
            detail={"factor": "password", "name_hash": name.hex()[:16]},
        )
