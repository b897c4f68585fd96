"""The life of signing keys: made here, rotated here, found by every process.

A key's life: published at once, it signs after every cached JWKS has run out, retires when its
successor signs, and is gone when the last token it signed has expired. Processes learn of each
other's rotations from the store, long before a new key signs.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.audit import SERVER, Actor, AuditLog
from gatelodge.clock import Clock
from gatelodge.errors import AlreadyExists, ConfigurationError, StoreUnavailable
from gatelodge.ids import new_id
from gatelodge.master_key import MasterKey
from gatelodge.tokens.jwk import EDDSA, VerificationKey
from gatelodge.tokens.key_ring import SEALED_FOR, KeyRing
from gatelodge.tokens.refusals import NoSuchKey
from gatelodge.tokens.store import SigningKey, SigningKeyStore

KEY_PREFIX = "key"
JWKS_MAX_AGE = timedelta(seconds=300)
"""How long a client may keep the key set that it was given."""

PUBLISH_LEAD = JWKS_MAX_AGE + timedelta(seconds=5)
"""How long a key is published before it signs: until every copy of the set before it has run out,
and every server has heard of it."""

LEEWAY = timedelta(seconds=30)
SIGNING_KEY_LIFE = timedelta(days=90)

_STEP_EVERY = timedelta(seconds=10)
_RETRY_EVERY = timedelta(seconds=1)


@dataclass(slots=True, eq=False)
class SigningKeys:
    """Make, rotate and find the keys that sign access tokens.

    Call `ensure` once at the start, and run `keep_in_step` for as long as the process serves.

    Attributes:
        store: the keys at rest.
        master_key: what private parts are sealed under.
        audit: where every key's coming and going is recorded.
        clock: what time it is.
        access_token_life: how long a token lives; a retired key verifies that much longer.
        signing_key_life: how long a key signs before the next one is made.
        step_every: how often `keep_in_step` looks.
        ring: the keys in memory.
    """

    store: SigningKeyStore
    master_key: MasterKey
    audit: AuditLog
    clock: Clock
    access_token_life: timedelta
    signing_key_life: timedelta = SIGNING_KEY_LIFE
    step_every: timedelta = _STEP_EVERY
    ring: KeyRing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin with nothing in memory."""
        self.ring = KeyRing(self.store, self.master_key, self.clock)

    async def ensure(self, by: Actor = SERVER) -> None:
        """Bring memory and store to where they must be now.

        Makes the first key when none signs, the next one when the current one is old, and
        retires what a rotation that was cut short left behind.

        Raises:
            StoreUnavailable: the store does not answer.
            ConfigurationError: the keys were sealed under another master key.
        """
        await self.ring.reload()
        now = self.clock.now()
        current = self.ring.signing_key()
        if current is None:
            await self._add(now, by)
        elif now - current.record.not_before >= self.signing_key_life:
            await self.rotate(by)
        await self._retire_superseded(by)

    async def keep_in_step(self) -> None:
        """Run `ensure` from time to time, until cancelled; soon again while no key is known."""
        while True:
            pause = self.step_every if self.ring.records else _RETRY_EVERY
            await asyncio.sleep(pause.total_seconds())
            try:
                await self.ensure()
            except StoreUnavailable:
                logging.getLogger("gatelodge.tokens").warning("signing_keys.unreachable")
            except Exception:
                logging.getLogger("gatelodge.tokens").exception("signing_keys.unreadable")

    async def rotate(self, by: Actor) -> SigningKey:
        """Publish the next key now; it signs once every cached JWKS has run out.

        While such a key waits for its hour, asking again returns that key, so that several
        servers or a command given twice make one rotation.
        """
        await self.ring.reload()
        pending = self.ring.pending()
        if pending is not None:
            return pending
        now = self.clock.now()
        nobody_signs = self.ring.signing_key() is None
        await self._add(now if nobody_signs else now + PUBLISH_LEAD, by)
        await self._retire_superseded(by)
        return self.ring.records[-1]

    async def drop(self, kid: str, by: Actor) -> None:
        """Let a key verify nothing from now on: the switch for a private key that leaked.

        If it was the one that signs, its successor is added first, and signs at once: at no moment
        is there none. This process obeys at once, the others as soon as the feed tells them.

        Raises:
            NoSuchKey: no key has this id.
            StoreUnavailable: the store does not answer; the key is as it was.
        """
        await self.ring.reload()
        if all(key.kid != kid for key in self.ring.records):
            raise NoSuchKey(f"There is no signing key {kid[:64]}.")
        now = self.clock.now()
        current = self.ring.signing_key()
        if current is not None and current.record.kid == kid:
            await self._add(now, by)
        await self._retire(kid, now, now, by)
        await self.ensure(by)

    async def list_keys(self) -> list[SigningKey]:
        """Return every key that is kept, the oldest first."""
        return await self.store.list_keys()

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key that checks tokens with this kid, or None; see `KeyRing.find`.

        Raises:
            StoreUnavailable: memory is too old to trust, and the store does not answer.
        """
        return await self.ring.find(kid)

    def signing_key(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the kid and the private key that sign now.

        Raises:
            StoreUnavailable: they could not be read yet.
            ConfigurationError: there is none, since `ensure` was not called.
        """
        held = self.ring.signing_key()
        if held is not None:
            return held.record.kid, held.private_key
        if not self.ring.is_known:
            raise StoreUnavailable(retry_after=1)
        raise ConfigurationError("There is no signing key yet.")

    async def _add(self, not_before: datetime, by: Actor) -> None:
        """Make the key that follows the last one, unless another server makes it first."""
        newest = self.ring.records[-1:]
        number = newest[0].number + 1 if newest else 1
        key = self._make(number, not_before)
        with suppress(AlreadyExists):
            await self.store.add(key)
            await self._record("signing_key.added", key.kid, by, signs_from=not_before)
        await self.ring.reload()

    def _make(self, number: int, not_before: datetime) -> SigningKey:
        now = self.clock.now()
        kid = new_id(KEY_PREFIX, now)
        private_key = Ed25519PrivateKey.generate()
        return SigningKey(
            number=number,
            kid=kid,
            algorithm=EDDSA,
            public_key=private_key.public_key().public_bytes_raw(),
            sealed_private_key=self.master_key.seal(
                SEALED_FOR, private_key.private_bytes_raw(), kid.encode()
            ),
            created_at=now,
            not_before=not_before,
        )

    async def _retire_superseded(self, by: Actor) -> None:
        """Let each key retire at the moment the one after it signs."""
        superseded = [
            (older, newer.not_before)
            for older, newer in pairwise(self.ring.records)
            if older.retires_at is None
        ]
        for older, at in superseded:
            await self._retire(older.kid, at, at + self.access_token_life + LEEWAY, by)
        if superseded:
            await self.ring.reload()

    async def _retire(self, kid: str, retires_at: datetime, gone_at: datetime, by: Actor) -> None:
        if await self.store.retire(kid, retires_at=retires_at, gone_at=gone_at):
            await self._record(
                "signing_key.retired", kid, by, signs_until=retires_at, verifies_until=gone_at
            )

    async def _record(self, event: str, kid: str, by: Actor, **times: datetime) -> None:
        detail = {name: at.isoformat() for name, at in times.items()}
        await self.audit.record(event, by, target=kid, detail=detail)
