"""A link that makes the first administrator, and what happens when somebody comes with it."""

import contextlib
import hmac
from dataclasses import dataclass
from datetime import timedelta

from gatelodge.accounts.one_time_tokens import (
    OneTimeToken,
    OneTimeTokenStore,
    digest_of,
    new_token,
)
from gatelodge.accounts.service import ADMIN, SENT_TWICE_WITHIN, AccountService, NewUser
from gatelodge.accounts.store import User
from gatelodge.audit import Origin
from gatelodge.clock import Clock
from gatelodge.errors import InvalidSetupLink, NoSuchUser

LIFE = timedelta(minutes=30)
NOBODY_YET = ""
"""The subject of the token: there is one for the whole house."""


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

        The user comes first and gets the role with the secret: what is wrong with the name,
        address or password can be corrected, and a second click finds what the first one made.

        Raises:
            InvalidSetupLink: as for `check`, or somebody else used it at the same moment.
            Refusal: as for `AccountService.create`.
        """
        token = await self._check_unless_made(secret, wanted)
        user = await self.accounts.create_once(wanted, origin)
        now = self.clock.now()
        if token and await self.tokens.consume("setup", NOBODY_YET, token.digest, now):
            await self.accounts.grant(user, ADMIN, origin)
        user = await self.accounts.get_by_username(user.username)
        if ADMIN not in user.roles:
            raise InvalidSetupLink
        return user

    async def _check_unless_made(self, secret: str, wanted: NewUser) -> OneTimeToken | None:
        """Return what is kept of the secret; None where it has just made an administrator so named.

        Later the answer is one for all names: nobody learns who administers.
        """
        try:
            return await self.check(secret)
        except InvalidSetupLink:
            with contextlib.suppress(NoSuchUser):
                user = await self.accounts.get_by_username(wanted.username)
                is_new = self.clock.now() - user.created_at <= SENT_TWICE_WITHIN
                if is_new and ADMIN in user.roles:
                    return None
            raise
