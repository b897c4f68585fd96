"""Sign-ups that wait: the user is made when the letter to the address is answered.

Where nobody is told that an e-mail address has an account, a sign-up makes no user, whether the
address is known or not. It keeps the username for a day, and all that is needed to make the user.
So nothing that somebody does next tells the two apart.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Self

from gatelodge.accounts.names import username_key
from gatelodge.accounts.roles import USER
from gatelodge.accounts.store import User
from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore, digest_of
from gatelodge.errors import after_a_change
from gatelodge.ids import USER_PREFIX, UserId, new_id

_PREFIX = "sgn"
LIFE = timedelta(days=1)
"""How long a username is kept."""


@dataclass(frozen=True, slots=True)
class PendingSignUp:
    """A sign-up whose letter was not answered yet. It is checked, and no user.

    Attributes:
        id: an id of its own; the user will have another one.
        username: the username, as typed.
        email: the address, as typed.
        email_key: the key by which addresses are compared.
        password_hash: the hash of the password. Its salt tells this sign-up from all others.
        name: the name for display.
        language: the tag of the user's language, or None.
    """

    id: str
    username: str
    email: str
    email_key: str
    password_hash: str = field(repr=False)
    name: str = ""
    language: str | None = None

    @property
    def username_key(self) -> str:
        """The key by which usernames are compared."""
        return username_key(self.username)

    @classmethod
    def from_user(cls, user: User, password_hash: str) -> Self:
        """Return a new sign-up of somebody who was checked, and is not stored."""
        return cls(
            new_id(_PREFIX, user.created_at),
            user.username,
            user.email,
            user.email_key,
            password_hash,
            user.name,
            user.language,
        )

    def to_user(self, at: datetime) -> User:
        """Return the user, with a new id and a verified address."""
        return User(
            id=UserId(new_id(USER_PREFIX, at)),
            username=self.username,
            username_key=self.username_key,
            email=self.email,
            email_key=self.email_key,
            password_hash=self.password_hash,
            roles=(USER,),
            created_at=at,
            email_verified_at=at,
            language=self.language,
            name=self.name,
        )

    def made(self, user: User) -> bool:
        """Say whether a user is the one of this sign-up, and not changed since."""
        names = (user.username_key, user.email_key)
        same = names == (self.username_key, self.email_key)
        return same and user.password_hash == self.password_hash

    def facts(self) -> dict[str, str]:
        """Return what a one-time token keeps of it; see `of`."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> Self:
        """Return the sign-up that a one-time token keeps."""
        return cls(**facts)


@dataclass(frozen=True, slots=True)
class PendingSignUps:
    """Keeps sign-ups, and their usernames.

    Attributes:
        tokens: the records; each is a one-time token that nobody has the secret of.
        clock: what time it is.
    """

    tokens: OneTimeTokenStore
    clock: Clock

    async def add(self, sign_up: PendingSignUp) -> bool:
        """Keep a sign-up for a day. False if another one keeps its username.

        Of many who want one username at once, exactly one gets True.
        """
        now = self.clock.now()
        kept = OneTimeToken(
            "reserved",
            sign_up.username_key,
            digest_of(sign_up.id),
            now + LIFE,
            facts=sign_up.facts(),
        )
        if not await self.tokens.put(kept, unless_after=now):
            return False
        facts = {"username_key": sign_up.username_key, "id": sign_up.id}
        newest = OneTimeToken(
            "newest", sign_up.email_key, digest_of(sign_up.id), kept.expires_at, facts=facts
        )
        with after_a_change():
            await self.tokens.put(newest)
        return True

    async def find(self, key: str, *, within: timedelta = LIFE) -> PendingSignUp | None:
        """Return the sign-up that keeps the username with this key, or None.

        Args:
            key: the key of the username.
            within: how old the sign-up may be.
        """
        found = await self.tokens.find("reserved", key)
        if found is None or found.expires_at - LIFE + within <= self.clock.now():
            return None
        return PendingSignUp.of(found.facts)

    async def find_newest(self, email_key: str) -> PendingSignUp | None:
        """Return the newest sign-up with this address, or None."""
        newest = await self.tokens.find("newest", email_key)
        sign_up = None if newest is None else await self.find(newest.facts["username_key"])
        return sign_up if newest and sign_up and sign_up.id == newest.facts["id"] else None

    async def remove(self, sign_up: PendingSignUp) -> None:
        """Let go of a sign-up whose user was made. Others, of the same names, stay."""
        now, digest = self.clock.now(), digest_of(sign_up.id)
        await self.tokens.consume("reserved", sign_up.username_key, digest, now)
        await self.tokens.consume("newest", sign_up.email_key, digest, now)
