"""Signing keys for administrators: which sign and verify, the next one, and one that leaked."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from gatelodge.admin.authority import Administrator
from gatelodge.clock import Clock
from gatelodge.tokens.key_ring import is_gone
from gatelodge.tokens.keys import SigningKeys
from gatelodge.tokens.refusals import NoSuchKey
from gatelodge.tokens.store import SigningKey

GONE_SHOWN = 20
"""How many of the keys that verify nothing any more are shown."""

KeyState: TypeAlias = Literal["published", "signing", "retired", "gone"]
"""`published`: it does not sign yet. `retired`: it signs no more, and still verifies. `gone`: it
verifies nothing any more."""


@dataclass(frozen=True, slots=True)
class SeenKey:
    """A signing key, as an administrator sees it: without the private key.

    Attributes:
        key: the key.
        state: what it does at this moment.
    """

    key: SigningKey
    state: KeyState


@dataclass(frozen=True, slots=True)
class Retired:
    """What it means that a key was dropped.

    Attributes:
        key: the key, which signs and verifies nothing any more.
        was: what it did before.
        signs_now: the key that signs from now on.
        ends_from: the tokens that are invalid now were issued at this instant or later; None: there
            are none.
        ends_until: they were issued until this instant; None, likewise.
    """

    key: SigningKey
    was: KeyState
    signs_now: SigningKey | None
    ends_from: datetime | None
    ends_until: datetime | None


@dataclass(frozen=True, slots=True)
class KeyAdministration:
    """Shows, rotates and drops signing keys for administrators.

    Attributes:
        keys: the keys, as for the commands.
        clock: tells the current time.
    """

    keys: SigningKeys
    clock: Clock

    async def list_keys(self) -> list[SeenKey]:
        """Return the keys, the newest first; of those that are gone, the newest `GONE_SHOWN`."""
        seen = [self._seen(key) for key in reversed(await self.keys.list_keys())]
        gone = [each for each in seen if each.state == "gone"][GONE_SHOWN:]
        return [each for each in seen if each not in gone]

    async def get(self, kid: str) -> SeenKey:
        """Return the key with this id.

        Raises:
            NoSuchKey: there is none.
        """
        for key in await self.keys.list_keys():
            if key.kid == kid:
                return self._seen(key)
        raise NoSuchKey

    async def rotate(self, by: Administrator) -> tuple[SeenKey, bool]:
        """Publish the next key, and return it, and whether it is new.

        It signs when all caches know it. If a published key does not sign yet, it is that one.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        known = {key.kid for key in await self.keys.list_keys()}
        key = await self.keys.rotate(by.actor)
        return self._seen(key), key.kid not in known

    async def retire(self, kid: str, by: Administrator) -> Retired:
        """Stop using a key at once, and say what that made invalid.

        Raises:
            NoSuchKey: no key has this id.
            StoreUnavailable: the store does not answer; the key is unchanged.
        """
        before = await self.get(kid)
        await self.keys.drop(kid, by.actor)
        signing = (each for each in await self.list_keys() if each.state == "signing")
        since, until = self._signed(before)
        return Retired(
            (await self.get(kid)).key,
            before.state,
            next((each.key for each in signing), None),
            since,
            until,
        )

    def _seen(self, key: SigningKey) -> SeenKey:
        now = self.clock.now()
        if is_gone(key, now):
            return SeenKey(key, "gone")
        if key.retires_at is not None and key.retires_at <= now:
            return SeenKey(key, "retired")
        return SeenKey(key, "published" if key.not_before > now else "signing")

    def _signed(self, seen: SeenKey) -> tuple[datetime | None, datetime | None]:
        """Return between which instants the tokens were issued that a key still verifies."""
        key, now = seen.key, self.clock.now()
        until = {"signing": now, "retired": key.retires_at}.get(seen.state)
        since = max(key.not_before, now - timedelta(seconds=key.token_life))
        return (since, until) if until is not None and since < until else (None, None)
