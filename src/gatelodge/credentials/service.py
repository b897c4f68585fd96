"""Checks new passwords, and hashes and verifies passwords in the hashing pool."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from gatelodge.breached.lookup import BreachedPasswords
from gatelodge.credentials.attempts import AttemptGuard, Try
from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.credentials.passwords import (
    BREACHED,
    PasswordHasher,
    check_new_password,
    check_other_password,
    check_presented_password,
)
from gatelodge.credentials.refusals import RejectedPassword, UnusablePasswordHash


@dataclass(frozen=True, slots=True)
class Passwords:
    """Checks, hashes and verifies passwords without blocking the event loop.

    Attributes:
        hasher: makes and verifies hashes.
        pool: the threads for hashing.
        attempts: admits or refuses every try.
        minimum: the minimum number of code points of a new password.
        breached: the list of breached passwords.
        names: the names of this site, which are refused as passwords.
    """

    hasher: PasswordHasher
    pool: HashingPool
    attempts: AttemptGuard
    minimum: int
    breached: BreachedPasswords
    names: Collection[str] = ()

    def check_new(
        self, password: str, *, context: Collection[str], field: str = "password"
    ) -> None:
        """Refuse a new password that breaks the rules. Whether it is a breached one, `hash` sees.

        Args:
            password: the password as typed.
            context: further words that are refused as passwords, such as the user's names.
            field: the name of the field in the request.

        Raises:
            RejectedPassword: the password breaks a rule; the message says which.
        """
        context = (*self.names, *context)
        check_new_password(password, minimum=self.minimum, context=context, field=field)

    def check_other(self, new: str, current: str, *, field: str = "password") -> None:
        """Refuse a new password that is the current one.

        Args:
            new: the new password as typed; `check_new` comes first.
            current: the current password as typed, which was verified.
            field: the name of the field in the request.

        Raises:
            RejectedPassword: both are the same password.
        """
        check_other_password(new, current, field=field)

    async def check_other_than(
        self, stored: str | None, new: str, *, field: str = "password"
    ) -> None:
        """Refuse a new password that is the present one; nothing is counted.

        Args:
            stored: the hash of the present password, or None.
            new: the new password as typed; `check_new` comes first.
            field: the name of the field in the request.

        Raises:
            RejectedPassword: both are the same password.
            HashingBusy: the queue is full.
        """
        if stored is not None and await self.pool.run(self.hasher.verify, stored, new):
            check_other_password(new, new, field=field)

    def check_hash(self, stored: str, *, field: str = "password_hash") -> None:
        """Refuse a hash that was made elsewhere, and that nobody could sign in with.

        Args:
            stored: argon2id as a PHC string, or bcrypt.
            field: what to name in the refusal.

        Raises:
            UnusablePasswordHash: it is of another kind, too weak, or too expensive to check.
        """
        if not self.hasher.accepts(stored):
            raise UnusablePasswordHash(field=field)

    async def hash(self, password: str, *, field: str = "password") -> str:
        """Return the hash of a new password, as a PHC string; `check_new` comes first.

        The list of breached passwords is on the disk. So the thread that hashes reads it, and the
        event loop does not wait.

        Args:
            password: the password as typed.
            field: the name of the field in the request.

        Raises:
            RejectedPassword: it is on the list of breached passwords.
            HashingBusy: the queue is full.
        """
        return await self.pool.run(self._hash_new, password, field)

    def _hash_new(self, password: str, field: str) -> str:
        if self.breached.has(password):
            raise RejectedPassword(BREACHED, field=field)
        return self.hasher.hash(password)

    async def hash_again(self, password: str) -> str:
        """Return another hash of a password that a user has already, as a PHC string.

        Raises:
            HashingBusy: the queue is full.
        """
        return await self.pool.run(self.hasher.hash, password)

    async def is_breached(self, password: str) -> bool:
        """Say whether a password that was verified is on the list of breached passwords."""
        return self.breached.is_there() and await asyncio.to_thread(self.breached.has, password)

    async def verify(
        self, stored: str | None, password: str, counted: Try, *, field: str = "password"
    ) -> bool:
        """Say whether the password matches the stored hash.

        Without a stored hash, the answer is False and takes the same time.

        Args:
            stored: the stored hash, or None for a user that does not exist.
            password: the password as typed.
            counted: the try, with the keys that a failure counts for.
            field: the name of the field in the request.

        Raises:
            InvalidRequest: the password is too long or malformed.
            TooManyAttempts: too many tries have failed; the password was not checked.
            HashingBusy: the queue is full, or too many tries of one name or address are in
                progress.
            HashingUnavailable: the password could not be checked; no failure was counted.
        """
        check_presented_password(password, field=field)
        return await self.attempts.judge(counted, self.pool, self.hasher.verify, stored, password)
