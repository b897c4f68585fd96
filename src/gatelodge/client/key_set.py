"""The issuer's public keys, as it published them last (RFC 7517, section 5)."""

import logging
from collections.abc import Mapping
from contextlib import suppress

from gatelodge import strict_json
from gatelodge.client.flights import Flight, Flights
from gatelodge.client.issuer import Issuer
from gatelodge.client.refusals import IssuerUnavailable
from gatelodge.clock import Clock
from gatelodge.tokens.jwk import PRIVATE_MEMBERS, InvalidKey, VerificationKey, read_jwk

PATH = "/.well-known/jwks.json"

MAX_KEYS = 32

MIN_AGE_MS, USUAL_AGE_MS, MAX_AGE_MS = 60_000, 300_000, 3_600_000
"""How long keys are fresh: as `Cache-Control` says, within these bounds. The longer it is, the
longer a leaked key counts that the issuer has dropped."""

MAX_STALE_MS = 24 * 3_600_000
"""How old keys may become while the issuer does not answer. No access token lives longer than a
day, so older keys verify nothing but what was signed with a stolen key."""

UNKNOWN_PAUSE_MS = 60_000
"""An unknown kid asks for the keys if nobody has for a minute. The issuer publishes a key five
minutes before it signs, so a kid that is still unknown is nearly always forged."""

RETRY_PAUSE_MS = 30_000
FIRST_RETRY_PAUSE_MS = 1000
"""The pauses after a failure: while older keys still serve, and while there are none."""

_log = logging.getLogger("gatelodge.client")


class KeySet:
    """The keys that verify tokens, fetched when they are needed and kept.

    Shortly before the keys are no longer fresh, they are fetched in the background. If the issuer
    does not answer, the older keys go on serving for a day. Then nobody is let in any more.

    Attributes:
        version: a number that rises whenever the keys have changed. A token that was verified
            under another version is verified again.
        settled_until: milliseconds since 1970; before, `keep_fresh` has nothing to do.
    """

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        """Start without keys."""
        self.version = 0
        self.settled_until = 0
        self._issuer = issuer
        self._clock = clock
        self._keys: Mapping[str, VerificationKey] = {}
        self._loaded_at = -MAX_STALE_MS
        self._age = 0
        self._ended_at = -MAX_STALE_MS
        self._failed = False
        self._loads: Flights[None] = Flights()

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this kid, or None if the issuer does not publish it.

        Raises:
            IssuerUnavailable: the keys are too old, or the kid is unknown, and the issuer does not
                answer.
        """
        await self.keep_fresh()
        if kid not in self._keys:
            await self._look_for_unknown()
        return self._keys.get(kid)

    async def keep_fresh(self) -> None:
        """Fetch the keys if they have to be, or begin to.

        Raises:
            IssuerUnavailable: the keys are too old, and the issuer does not answer.
        """
        now = self._clock.milliseconds()
        if now < self.settled_until:
            return
        if self._is_too_old(now):
            await self._load_unless_just_failed(now)
        elif self._failed or now < self._loaded_at + self._age:
            self._join_load(now)
        else:
            with suppress(IssuerUnavailable):  # the older keys serve on
                await self._join_load(now).outcome()

    async def aclose(self) -> None:
        """Give up the load that is going on, if there is one."""
        await self._loads.end()

    def _is_too_old(self, now: int) -> bool:
        return now - self._loaded_at >= MAX_STALE_MS

    async def _look_for_unknown(self) -> None:
        now = self._clock.milliseconds()
        if self._loads.find(PATH) is not None or now - self._ended_at >= UNKNOWN_PAUSE_MS:
            await self._join_load(now).outcome()
        elif self._failed:
            raise IssuerUnavailable(retry_after=1)

    async def _load_unless_just_failed(self, now: int) -> None:
        just_failed = self._failed and now - self._ended_at < FIRST_RETRY_PAUSE_MS
        if just_failed and self._loads.find(PATH) is None:
            raise IssuerUnavailable(retry_after=1)
        await self._join_load(now).outcome()

    def _join_load(self, now: int) -> Flight[None]:
        return self._loads.find(PATH) or self._loads.start(PATH, self._load, now)

    async def _load(self) -> None:
        began_at = self._clock.milliseconds()
        failed = True
        try:
            await self._fetch(began_at)
            failed = False
        finally:
            self._settle(failed=failed)

    async def _fetch(self, began_at: int) -> None:
        reply = await self._issuer.get(PATH)
        try:
            keys = read_key_set(reply.content())
        except ValueError as error:
            _log.warning("The keys of %s: %s", self._issuer.address, error)
            raise IssuerUnavailable(retry_after=1) from error
        if keys != self._keys:
            self._keys = keys
            self.version += 1
        self._loaded_at = began_at
        age = USUAL_AGE_MS if reply.max_age is None else int(reply.max_age.total_seconds()) * 1000
        self._age = min(max(age, MIN_AGE_MS), MAX_AGE_MS)

    def _settle(self, *, failed: bool) -> None:
        now = self._clock.milliseconds()
        self._ended_at, self._failed = now, failed
        if failed:
            self.settled_until = min(now + RETRY_PAUSE_MS, self._loaded_at + MAX_STALE_MS)
        else:
            self.settled_until = self._loaded_at + self._age * 4 // 5


def read_key_set(raw: bytes) -> dict[str, VerificationKey]:
    """Return the keys of a JWK set that verify tokens, by their kid.

    Keys of other kinds or for other uses are left out. A set that contradicts itself is refused as
    a whole, and so is one with a private key in it: its issuer is not to be trusted.

    Raises:
        ValueError: the set is malformed, has a kid twice, a private member, too many keys, or no
            key that verifies tokens.
    """
    value = strict_json.parse(raw)
    jwks = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(jwks, list) or len(jwks) > MAX_KEYS:
        raise ValueError("the answer is not a set of keys, or has too many")
    objects = [jwk for jwk in jwks if isinstance(jwk, dict)]
    kids = [str(jwk["kid"]) for jwk in objects if "kid" in jwk]
    if len(objects) != len(jwks) or len(set(kids)) != len(kids):
        raise ValueError("a key is no object, or two have the same kid")
    if any(PRIVATE_MEMBERS.intersection(jwk) for jwk in objects):
        raise ValueError("a key comes with its private part")
    keys = {key.kid: key for key in map(_key_or_none, objects) if key is not None}
    if not keys:
        raise ValueError("no key of the set verifies tokens")
    return keys


def _key_or_none(jwk: object) -> VerificationKey | None:
    try:
        return read_jwk(jwk)
    except InvalidKey:
        return None
