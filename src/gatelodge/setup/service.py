"""The setup link: makes its secret, checks it, and makes the first administrator with it."""

import hmac
from dataclasses import dataclass, replace
from datetime import timedelta

from gatelodge.accounts.refusals import EmailTaken, UsernameTaken
from gatelodge.accounts.roles import ADMIN, USER
from gatelodge.accounts.service import SENT_TWICE_WITHIN, AccountService, NewUser
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
from gatelodge.setup.refusals import AdministratorExists, ExpiredSetupLink, InvalidSetupLink
from gatelodge.tasks import look_for

LIFE = timedelta(minutes=30)
NO_SUBJECT = ""
"""The subject of the token: the setup token belongs to no user."""

_USED = "used"
"""The subject of the token that was used last. It opens nothing, and tells a form sent twice."""


@dataclass(frozen=True, slots=True)
class SetupService:
    """Makes the first administrator, and never a second one (security.md, section 12)."""

    tokens: OneTimeTokenStore
    accounts: AccountService
    clock: Clock

    async def invite(self, *, unless_within: timedelta = timedelta(0)) -> str | None:
        """Return a new secret for the setup link, or None if there is an administrator.

        Older secrets stop working.

        Args:
            unless_within: how young the newest secret must be so that there is no other one.
        """
        if await self.accounts.has_admin():
            return None
        now = self.clock.now()
        secret, token = new_token("setup", NO_SUBJECT, now, LIFE)
        newest_allowed = now + LIFE - unless_within if unless_within else None
        stored = await self.tokens.put(token, unless_after=newest_allowed)
        return secret if stored else None

    async def check(self, secret: str) -> OneTimeToken:
        """Return the record of a valid secret, without using it up.

        Raises:
            InvalidSetupLink: the secret is not the newest one, or was used.
            ExpiredSetupLink: it is the newest one, and has expired.
            AdministratorExists: it is the newest one, and somebody else became administrator.
        """
        token = await self.tokens.find("setup", NO_SUBJECT)
        if token is None or not hmac.compare_digest(token.digest, digest_of(secret)):
            raise InvalidSetupLink
        if await self.accounts.has_admin():
            raise AdministratorExists
        if token.expires_at <= self.clock.now():
            raise ExpiredSetupLink
        return token

    async def make_admin(self, secret: str, wanted: NewUser, origin: Origin) -> User:
        """Make the first administrator, and use the secret up.

        The secret is used up after all checks and before the first write. So a wrong name, address
        or password can be corrected, and a request that comes too late leaves no user behind. If a
        browser posts the same form twice, both requests get the same administrator. For anybody
        without the secret no user is looked up, so that nobody learns who is an administrator.

        Args:
            secret: the secret from the link.
            wanted: the username, e-mail address and password, as typed.
            origin: where the request comes from.

        Raises:
            InvalidSetupLink: as for `check`, or another request used the secret first.
            Refusal: as for `AccountService.create`.
        """
        try:
            token = await self.check(secret)
            user = await self.accounts.prepare(replace(wanted, roles=(USER, ADMIN)))
            await self._use_up(token)
        except (InvalidSetupLink, UsernameTaken):
            made = await self._find_just_made(secret, wanted, origin)
            if made is None:
                raise
            return made
        return await self._add(user, token, origin)

    async def _use_up(self, token: OneTimeToken) -> None:
        now = self.clock.now()
        await self.tokens.put(replace(token, subject=_USED, expires_at=now + SENT_TWICE_WITHIN))
        if not await self.tokens.consume(token.purpose, token.subject, token.digest, now):
            raise InvalidSetupLink

    async def _add(self, user: User, token: OneTimeToken, origin: Origin) -> User:
        """Store the administrator. If that fails, store the secret again: it still works then."""
        try:
            return await self.accounts.add(user, "user.created", Actor(user.id, origin))
        except (UsernameTaken, EmailTaken, StoreUnavailable):
            await self.tokens.put(token)
            raise

    async def _find_just_made(self, secret: str, wanted: NewUser, origin: Origin) -> User | None:
        """Return the administrator that the same form made with this secret just now, or None."""
        used = await self.tokens.find("setup", _USED)
        if used is None or not hmac.compare_digest(used.digest, digest_of(secret)):
            return None
        if used.expires_at <= self.clock.now():
            return None
        await self._wait_for_other_request()
        made = await self.accounts.find_just_made(wanted, origin)
        return made if made is not None and ADMIN in made.roles else None

    async def _wait_for_other_request(self) -> None:
        """Wait up to a second until the other request has made the administrator or failed."""

        async def is_over() -> bool | None:
            failed = await self.tokens.find("setup", NO_SUBJECT) is not None
            return failed or await self.accounts.has_admin() or None

        await look_for(is_over)
