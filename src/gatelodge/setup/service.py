"""A link that makes the first administrator, and what happens when somebody comes with it."""

import asyncio
import contextlib
import hmac
from dataclasses import dataclass, replace
from datetime import timedelta

from gatelodge.accounts.refusals import EmailTaken, NoSuchUser, UsernameTaken
from gatelodge.accounts.service import ADMIN, USER, AccountService, NewUser
from gatelodge.accounts.store import User
from gatelodge.audit import Actor, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import (
    OneTimeToken,
    OneTimeTokenStore,
    digest_of,
    new_token,
)
from gatelodge.errors import StoreUnavailable
from gatelodge.setup.refusals import InvalidSetupLink

LIFE = timedelta(minutes=30)
NOBODY_YET = ""
"""The subject of the token: there is one for the whole house."""

_LOOKS = 10
_BETWEEN_LOOKS = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class SetupService:
    """Make the first administrator, never a second one (security.md, section 12)."""

    tokens: OneTimeTokenStore
    accounts: AccountService
    clock: Clock

    async def invite(self) -> str | None:
        """Return a new secret that makes the first administrator; None where there is one.

        The secrets handed out before are void from now on.
        """
        if await self.accounts.has_admin():
            return None
        secret, token = new_token("setup", NOBODY_YET, self.clock.now(), LIFE)
        await self.tokens.put(token)
        return secret

    async def check(self, secret: str) -> OneTimeToken:
        """Return what is kept of a secret that is good, without using it up.

        Raises:
            InvalidSetupLink: it is not the newest, too old, used, or there is an administrator.
        """
        token = await self.tokens.find("setup", NOBODY_YET)
        if token is None or not hmac.compare_digest(token.digest, digest_of(secret)):
            raise InvalidSetupLink
        if token.expires_at <= self.clock.now() or await self.accounts.has_admin():
            raise InvalidSetupLink
        return token

    async def make_admin(self, secret: str, wanted: NewUser, origin: Origin) -> User:
        """Make the first administrator and use the secret up; the form may come twice.

        The secret is used up between the last check and the first write. So what is wrong with
        the name, address or password can be corrected, and who comes too late leaves no user
        behind, whose name might be one that only an administrator may have.

        Raises:
            InvalidSetupLink: as for `check`, or somebody else used it at the same moment.
            Refusal: as for `AccountService.create`.
        """
        try:
            token = await self.check(secret)
            user = await self.accounts.prepare(replace(wanted, roles=(USER, ADMIN)))
            await self._use_up(token)
        except (InvalidSetupLink, UsernameTaken):
            made = await self._find_just_made(wanted, origin)
            if made is None:
                raise
            return made
        return await self._add(user, token, origin)

    async def _use_up(self, token: OneTimeToken) -> None:
        now = self.clock.now()
        if not await self.tokens.consume(token.purpose, token.subject, token.digest, now):
            raise InvalidSetupLink

    async def _add(self, user: User, token: OneTimeToken, origin: Origin) -> User:
        """Keep the administrator; where that fails, the secret is good once more."""
        try:
            return await self.accounts.add(user, "user.created", Actor(user.id, origin))
        except (UsernameTaken, EmailTaken, StoreUnavailable):
            await self.tokens.put(token)
            raise

    async def _find_just_made(self, wanted: NewUser, origin: Origin) -> User | None:
        """Return the administrator whom this very form made a moment ago, or None.

        Later the answer is one for all names: nobody learns who administers.
        """
        await self._wait_for_who_used_it_up()
        with contextlib.suppress(NoSuchUser):
            user = await self.accounts.get_by_username(wanted.username)
            if ADMIN in user.roles:
                return await self.accounts.find_just_made(wanted, origin)
        return None

    async def _wait_for_who_used_it_up(self) -> None:
        """Return once an administrator came of the secret, or it is good again, or neither."""
        for _ in range(_LOOKS):
            if await self.tokens.find("setup", NOBODY_YET) or await self.accounts.has_admin():
                return
            await asyncio.sleep(_BETWEEN_LOOKS.total_seconds())
