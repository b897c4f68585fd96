"""The signing keys: made here, rotated here, held in memory by every process.

A key's life: published at once, it signs after every cached JWKS has run out, retires when its
successor signs, and is gone when the last token it signed has expired. Processes learn of each
other's rotations from the store, long before a new key signs.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.audit import SERVER, Actor, AuditLog
from gatelodge.clock import Clock, from_milliseconds
from gatelodge.errors import AlreadyExists, ConfigurationError, StoreUnavailable
from gatelodge.ids import new_id
from gatelodge.master_key import MasterKey
from gatelodge.tokens.jwk import EDDSA, VerificationKey, public_jwk, read_jwk
from gatelodge.tokens.store import SigningKey, SigningKeyStore

KEY_PREFIX = "key"
JWKS_MAX_AGE = timedelta(seconds=300)
LEEWAY = timedelta(seconds=30)
SIGNING_KEY_LIFE = timedelta(days=90)

_STEP_EVERY = timedelta(seconds=10)
_TOO_OLD = timedelta(seconds=30)
_SOONEST_RELOAD = timedelta(seconds=1)
_SEALED_FOR = "signing-keys"
_LONG_AGO = from_milliseconds(0)


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
    """

    store: SigningKeyStore
    master_key: MasterKey
    audit: AuditLog
    clock: Clock
    access_token_life: timedelta
    signing_key_life: timedelta = SIGNING_KEY_LIFE
    step_every: timedelta = _STEP_EVERY
    _snapshot: "_Snapshot" = field(init=False, repr=False)
    _tried_at: datetime = field(init=False, repr=False, default=_LONG_AGO)
    _reloading: asyncio.Lock = field(init=False, repr=False, default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Begin with nothing in memory."""
        self._snapshot = _Snapshot((), {}, _LONG_AGO)

    async def ensure(self, by: Actor = SERVER) -> None:
        """Bring memory and store to where they must be now.

        Makes the first key when none signs, the next one when the current one is old, and
        retires what a rotation that was cut short left behind.

        Raises:
            ConfigurationError: the keys were sealed under another master key.
        """
        await self.reload()
        now = self.clock.now()
        current = self._snapshot.signing(now)
        if current is None:
            await self._add(now, by)
        elif now - current.not_before >= self.signing_key_life:
            await self.rotate(by)
        await self._retire_superseded(by)

    async def keep_in_step(self) -> None:
        """Run `ensure` from time to time, until cancelled; soon again while no key is known."""
        while True:
            pause = self.step_every if self._snapshot.records else _SOONEST_RELOAD
            await asyncio.sleep(pause.total_seconds())
            try:
                await self.ensure()
            except StoreUnavailable:
                logging.getLogger("gatelodge.tokens").warning("signing_keys.unreachable")
            except Exception:
                logging.getLogger("gatelodge.tokens").exception("signing_keys.unreadable")

    async def reload(self) -> None:
        """Take the keys into memory as they are kept now."""
        async with self._reloading:
            await self._load()

    def invalidate(self) -> None:
        """Have the store asked before the next token counts: a key was added or retired."""
        other = (*self._snapshot.records,)  # equal, and not the same: see `version`
        self._snapshot = replace(self._snapshot, records=other, loaded_at=_LONG_AGO)
        self._tried_at = _LONG_AGO

    async def rotate(self, by: Actor) -> SigningKey:
        """Publish the next key now; it signs once every cached JWKS has run out.

        While such a key waits for its hour, asking again returns that key, so that several
        servers or a command given twice make one rotation.
        """
        await self.reload()
        now = self.clock.now()
        pending = self._snapshot.pending(now)
        if pending is not None:
            return pending
        nobody_signs = self._snapshot.signing(now) is None
        await self._add(now if nobody_signs else now + JWKS_MAX_AGE, by)
        await self._retire_superseded(by)
        return self._snapshot.records[-1]

    async def drop(self, kid: str, by: Actor) -> bool:
        """Let a key verify nothing from now on: the switch for a private key that leaked.

        If it was the one that signs, a new one signs at once. This process obeys at once, the
        others as soon as the feed tells them, within half a minute in any case. True when there
        was such a key.
        """
        now = self.clock.now()
        await self._retire(kid, now, now, by)
        await self.ensure(by)
        return any(key.kid == kid for key in self._snapshot.records)

    async def list_keys(self) -> list[SigningKey]:
        """Return every key that is kept, the oldest first."""
        return await self.store.list_keys()

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key that checks tokens with this kid, or None.

        From memory, as long as memory is fresh. For an unknown kid the store is asked, since
        another server may have made it, but at most once a second, so forged ones cost nothing.

        Raises:
            StoreUnavailable: memory is too old to trust, and the store does not answer.
        """
        age = self.clock.now() - self._snapshot.loaded_at
        if age >= _TOO_OLD or self.verification_key(kid) is None:
            await self._reload_unless_tried_just_now()
        return self.verification_key(kid)

    def signing_key(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the kid and the private key that sign now.

        Raises:
            StoreUnavailable: they could not be read yet.
            ConfigurationError: there is none, since `ensure` was not called.
        """
        record = self._snapshot.signing(self.clock.now())
        if record is None:
            if self._tried_at > self._snapshot.loaded_at:
                raise StoreUnavailable
            raise ConfigurationError("There is no signing key yet.")
        return record.kid, self._snapshot.held[record.kid].private_key

    @property
    def version(self) -> object:
        """The keys as they were last read: another object as soon as any of them changed."""
        return self._snapshot.records

    def verification_key(self, kid: str) -> VerificationKey | None:
        """Return the key of this name if memory holds it and it is not gone, else None."""
        held = self._snapshot.held.get(kid)
        if held is None or _is_gone(held.record, self.clock.now()):
            return None
        return held.verification_key

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK set of every key that verifies, now or soon; public parts only."""
        now = self.clock.now()
        held = self._snapshot.held.values()
        return {"keys": [key.jwk for key in held if not _is_gone(key.record, now)]}

    async def _load(self) -> None:
        """Read the store, one reader at a time: an older answer never replaces a newer one."""
        now = self._tried_at = self.clock.now()
        before = self._snapshot
        records = tuple(await self.store.list_keys())
        doubted = self._snapshot is not before  # what was read may be from before the change
        if records == self._snapshot.records:
            records = self._snapshot.records
        held = {key.kid: self._hold(key) for key in records if not _is_gone(key, now)}
        self._snapshot = _Snapshot(records, held, _LONG_AGO if doubted else now)

    def _hold(self, record: SigningKey) -> "_HeldKey":
        """Return a key ready for use, opened once in the life of the process."""
        held = self._snapshot.held.get(record.kid)
        if held is None:
            return self._open(record)
        return _HeldKey(record, held.private_key, held.verification_key, held.jwk)

    def _open(self, record: SigningKey) -> "_HeldKey":
        """Unseal a key's private part, and see that the public part belongs to it.

        Without that, whoever can write to the database could have their own key trusted.
        """
        raw = self.master_key.unseal(_SEALED_FOR, record.sealed_private_key, record.kid.encode())
        private_key = Ed25519PrivateKey.from_private_bytes(raw)
        public_key = private_key.public_key().public_bytes_raw()
        if public_key != record.public_key:
            raise ConfigurationError(f"The signing key {record.kid} was tampered with.")
        jwk = public_jwk(record.kid, public_key)
        return _HeldKey(record, private_key, read_jwk(jwk), jwk)

    async def _add(self, not_before: datetime, by: Actor) -> None:
        """Make the key that follows the last one, unless another server makes it first."""
        newest = self._snapshot.records[-1:]
        number = newest[0].number + 1 if newest else 1
        key = self._make(number, not_before)
        with suppress(AlreadyExists):
            await self.store.add(key)
            await self._record("signing_key.added", key.kid, by, signs_from=not_before)
        await self.reload()

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
                _SEALED_FOR, private_key.private_bytes_raw(), kid.encode()
            ),
            created_at=now,
            not_before=not_before,
        )

    async def _retire_superseded(self, by: Actor) -> None:
        """Let each key retire at the moment the one after it signs."""
        superseded = [
            (older, newer.not_before)
            for older, newer in pairwise(self._snapshot.records)
            if older.retires_at is None
        ]
        for older, at in superseded:
            await self._retire(older.kid, at, at + self.access_token_life + LEEWAY, by)
        if superseded:
            await self.reload()

    async def _retire(self, kid: str, retires_at: datetime, gone_at: datetime, by: Actor) -> None:
        if await self.store.retire(kid, retires_at=retires_at, gone_at=gone_at):
            await self._record(
                "signing_key.retired", kid, by, signs_until=retires_at, verifies_until=gone_at
            )

    async def _record(self, event: str, kid: str, by: Actor, **times: datetime) -> None:
        detail = {name: at.isoformat() for name, at in times.items()}
        await self.audit.record(event, by, target=kid, detail=detail)

    async def _reload_unless_tried_just_now(self) -> None:
        """Ask the store, one caller for all, and not again within a second."""
        async with self._reloading:
            now = self.clock.now()
            if now - self._tried_at >= _SOONEST_RELOAD:
                await self._load()
            elif now - self._snapshot.loaded_at >= _TOO_OLD:
                raise StoreUnavailable


@dataclass(frozen=True, slots=True)
class _HeldKey:
    """A key as memory holds it."""

    record: SigningKey
    private_key: Ed25519PrivateKey = field(repr=False)
    verification_key: VerificationKey
    jwk: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Every key as the store had them at one moment, in order; replaced whole."""

    records: tuple[SigningKey, ...]
    held: Mapping[str, _HeldKey]
    loaded_at: datetime

    def signing(self, now: datetime) -> SigningKey | None:
        """Return the newest key that signs now."""
        return next((key for key in reversed(self.records) if _signs(key, now)), None)

    def pending(self, now: datetime) -> SigningKey | None:
        """Return the newest key if it is yet to sign."""
        newest = self.records[-1] if self.records else None
        return newest if newest and newest.not_before > now and not newest.retires_at else None


def _signs(key: SigningKey, now: datetime) -> bool:
    return key.not_before <= now and (key.retires_at is None or now < key.retires_at)


def _is_gone(key: SigningKey, now: datetime) -> bool:
    return key.gone_at is not None and key.gone_at <= now
