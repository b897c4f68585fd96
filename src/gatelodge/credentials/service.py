"""Check, hash and verify passwords."""

from collections.abc import Collection
from dataclasses import dataclass

from gatelodge.credentials.attempts import AttemptGuard, Try
from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.credentials.passwords import (
    PasswordHasher,
    check_new_password,
    check_presented_password,
)


@dataclass(frozen=True, slots=True)
class Passwords:
    """Check, hash and verify passwords, off the event loop.

    Attributes:
        attempts: lets every try in, or refuses it.
        minimum: fewest code points of a new password.
        names: of this site, which nobody may have for a password.
    """

    hasher: PasswordHasher
    pool: HashingPool
    attempts: AttemptGuard
    minimum: int
    names: Collection[str] = ()

    def check_new(
        self, password: str, *, context: Collection[str], field: str = "password"
    ) -> None:
        """Refuse a new password that breaks the rules, or says something of `context`.

        Raises:
            RejectedPassword: the message says why.
        """
        context = (*self.names, *context)
        check_new_password(password, minimum=self.minimum, context=context, field=field)

    async def hash(self, password: str) -> str:
        """Return the PHC string of a password that was checked.

        Raises:
            HashingBusy: the queue is full.
        """
        return await self.pool.run(self.hasher.hash, password)

    async def verify(
        self, stored: str | None, password: str, counted: Try, *, field: str = "password"
    ) -> bool:
        """Say whether the password is the stored one; as slow when nothing is stored.

        Raises:
            InvalidRequest: no password looks like that.
            TooManyAttempts: too many tries have failed; this one was not looked at.
            HashingBusy: the queue is full.
        """
        check_presented_password(password, field=field)
        with await self.attempts.begin(counted) as attempt:
            right = await self.pool.run(self.hasher.verify, stored, password)
            await (attempt.succeed() if right else attempt.fail())
        return right
