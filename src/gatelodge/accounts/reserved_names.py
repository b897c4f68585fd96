"""Usernames that are kept for a day, because a sign-up with them must not tell what it found.

Where nobody is told that an e-mail address has an account, a sign-up with such an address gets the
answer of any other. So its username must be taken afterwards as well.
"""

from dataclasses import dataclass
from datetime import timedelta

from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore, digest_of

LIFE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reserved:
    """A sign-up that made no user.

    Attributes:
        email_key: the key of the address.
        password_hash: the hash of the password that was typed.
    """

    email_key: str
    password_hash: str


@dataclass(frozen=True, slots=True)
class ReservedNames:
    """Keeps usernames.

    Attributes:
        tokens: the records; each is a one-time token that nobody has the secret of.
        clock: what time it is.
    """

    tokens: OneTimeTokenStore
    clock: Clock

    async def is_reserved(self, username_key: str) -> bool:
        """Say whether a username is kept."""
        found = await self.tokens.find("reserved", username_key)
        return found is not None and found.expires_at > self.clock.now()

    async def reserve(self, username_key: str, sign_up: Reserved) -> bool:
        """Keep a username for a day. Of many who want one at once, exactly one gets True."""
        now = self.clock.now()
        kept = OneTimeToken(
            "reserved",
            username_key,
            digest_of(""),
            now + LIFE,
            facts={"email_key": sign_up.email_key, "password_hash": sign_up.password_hash},
        )
        return await self.tokens.put(kept, unless_after=now)

    async def find(self, username_key: str, *, within: timedelta) -> Reserved | None:
        """Return the sign-up that a username is kept for, if it is no older than this."""
        found = await self.tokens.find("reserved", username_key)
        if found is None or found.expires_at - LIFE < self.clock.now() - within:
            return None
        return Reserved(found.facts["email_key"], found.facts["password_hash"])
