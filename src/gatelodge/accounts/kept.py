"""Former e-mail addresses, which are kept for their users for a while.

The letter to a former address has a link that takes the change back. Whoever made the change could
take the freed address with another account, and so make the link useless. So nobody else gets it.
"""

from dataclasses import dataclass
from datetime import timedelta

from gatelodge.accounts.store import User, UserStore
from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore, digest_of
from gatelodge.ids import UserId


@dataclass(frozen=True, slots=True)
class KeptAddresses:
    """Keeps former addresses.

    Attributes:
        tokens: the records; each is a one-time token that nobody has the secret of.
        users: the users; what was kept for one who was deleted is kept no more.
        clock: what time it is.
    """

    tokens: OneTimeTokenStore
    users: UserStore
    clock: Clock

    async def keep(self, user: User, life: timedelta) -> None:
        """Keep the present address of a user who is about to give it up.

        If the user does not give it up after all, the record does no harm: they have the address.
        """
        kept = OneTimeToken(
            "kept",
            user.email_key,
            digest_of(user.id),
            self.clock.now() + life,
            facts={"user": user.id},
        )
        await self.tokens.put(kept)

    async def find(self, email_key: str) -> UserId | None:
        """Return the id of the user whom an address is kept for, or None."""
        kept = await self.tokens.find("kept", email_key)
        if kept is None or kept.expires_at <= self.clock.now():
            return None
        user = await self.users.find(UserId(kept.facts["user"]))
        return None if user is None else user.id

    async def let_go(self, email_key: str, user_id: UserId) -> None:
        """Stop keeping an address for a user."""
        await self.tokens.consume("kept", email_key, digest_of(user_id), self.clock.now())
