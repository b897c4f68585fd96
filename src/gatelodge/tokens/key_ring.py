"""The signing keys in memory: loaded from the store, shared by every request of the process.

However many requests wait for the keys, one load is in flight, and all of them get its outcome.
Loads are numbered in the order in which they begin. Whoever needs to see a change waits for a load
that begins after the change: one that was in flight already may have read the store before it.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.clock import Clock, from_milliseconds
from gatelodge.errors import ConfigurationError, StoreUnavailable
from gatelodge.master_key import MasterKey
from gatelodge.tasks import end
from gatelodge.tokens.jwk import VerificationKey, public_jwk, read_jwk
from gatelodge.tokens.store import SigningKey, SigningKeyStore

SEALED_FOR = "signing-keys"

_TOO_OLD = timedelta(seconds=30)
"""How old the keys in memory may be before a token is checked with them."""

_RETRY_AFTER = timedelta(seconds=1)
"""How long after a load the store is not asked again for the same reason."""

_LONG_AGO = from_milliseconds(0)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key ready for use.

    Attributes:
        record: as it is kept.
        private_key: unsealed.
        verification_key: its public part.
        jwk: its public part as an entry of the JWK set.
    """

    record: SigningKey
    private_key: Ed25519PrivateKey = field(repr=False)
    verification_key: VerificationKey
    jwk: dict[str, str]


@dataclass(slots=True, eq=False)
class KeyRing:
    """Every signing key, as the store had them at the last load.

    Attributes:
        store: the keys at rest.
        master_key: what private parts are sealed under.
        clock: what time it is.
        version: an integer that rises whenever a key may have been added, retired or dropped. What
            was checked under another version is checked again.
        records: every key, in order of number, those included that are gone.
    """

    store: SigningKeyStore
    master_key: MasterKey
    clock: Clock
    version: int = field(default=0, init=False)
    records: tuple[SigningKey, ...] = field(default=(), init=False)
    _held: Mapping[str, HeldKey] = field(init=False, repr=False, default_factory=dict)
    _begun: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _needed: int = field(default=1, init=False)
    _loaded_at: datetime = field(default=_LONG_AGO, init=False)
    _ended_at: datetime = field(default=_LONG_AGO, init=False)
    _failed: bool = field(default=False, init=False)
    _loading: "asyncio.Task[None] | None" = field(default=None, init=False, repr=False)

    @property
    def is_known(self) -> bool:
        """Whether the store was read since the last change that this process has heard of."""
        return self._done >= self._needed

    def invalidate(self) -> None:
        """Note that a key was added or retired: the store is asked before the next one counts."""
        self._needed = self._begun + 1
        self.version += 1

    async def reload(self) -> None:
        """Take the keys into memory as they are kept now.

        Raises:
            StoreUnavailable: the store does not answer.
            ConfigurationError: a key was sealed under another master key, or tampered with.
        """
        await self._load_number(self._begun + 1)

    async def refresh(self) -> None:
        """Take the keys into memory after `invalidate`; log what fails, for a later load."""
        try:
            await self._load_number(self._needed)
        except StoreUnavailable:
            logging.getLogger("gatelodge.tokens").warning("signing_keys.unreachable")
        except Exception:
            logging.getLogger("gatelodge.tokens").exception("signing_keys.unreadable")

    async def close(self) -> None:
        """End the load in flight, if there is one."""
        if self._loading is not None:
            await end(self._loading)

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key that checks tokens with this kid, or None.

        From memory, as long as memory is fresh. For an unknown kid the store is asked, since
        another server may have made it, but at most once a second, so forged ones cost nothing.

        Raises:
            StoreUnavailable: memory is too old to trust, and the store does not answer.
        """
        if self._is_old(_TOO_OLD):
            await self._load_unless_failed_just_now()
        elif self.verification_key(kid) is None and not self._ended_just_now():
            await self._share_load()
        return self.verification_key(kid)

    async def published(self, *, trusted: bool) -> list[dict[str, str]]:
        """Return the JWK of each key that verifies, now or soon; public parts only.

        Args:
            trusted: whether the feed would have told of every change up to now.

        Raises:
            StoreUnavailable: the keys are not known, and the store does not answer.
        """
        if not trusted or self._is_old(_TOO_OLD):
            await self._load_unless_failed_just_now()
        now = self.clock.now()
        return [key.jwk for key in self._held.values() if not is_gone(key.record, now)]

    def verification_key(self, kid: str) -> VerificationKey | None:
        """Return the key of this name if memory holds it and it is not gone, else None."""
        held = self._held.get(kid)
        if held is None or is_gone(held.record, self.clock.now()):
            return None
        return held.verification_key

    def signing_key(self) -> HeldKey | None:
        """Return the newest key that signs now, or None where memory holds none."""
        now = self.clock.now()
        newest = next((key for key in reversed(self.records) if _signs(key, now)), None)
        return None if newest is None else self._held.get(newest.kid)

    def pending(self) -> SigningKey | None:
        """Return the newest key if it is published and yet to sign, else None."""
        newest = self.records[-1] if self.records else None
        if newest is None or newest.retires_at is not None:
            return None
        return newest if newest.not_before > self.clock.now() else None

    def _is_old(self, most: timedelta) -> bool:
        return not self.is_known or self.clock.now() - self._loaded_at >= most

    def _ended_just_now(self) -> bool:
        return self.clock.now() - self._ended_at < _RETRY_AFTER

    async def _load_unless_failed_just_now(self) -> None:
        """Load, but answer for a second after a failure with that failure."""
        if self._failed and self._ended_just_now() and self._loading is None:
            raise StoreUnavailable(retry_after=1)
        await self._load_number(max(self._needed, self._done + 1))

    async def _load_number(self, number: int) -> None:
        """Return once the load of this number, or a later one, has ended well."""
        while self._done < number:
            await self._share_load()

    async def _share_load(self) -> None:
        """Wait for the load in flight, or begin one: all who wait share its outcome."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(self._end_load)
        await asyncio.shield(self._loading)

    def _end_load(self, loading: "asyncio.Task[None]") -> None:
        if self._loading is loading:
            self._loading = None
        self._ended_at = self.clock.now()
        self._failed = loading.cancelled() or loading.exception() is not None

    async def _load(self) -> None:
        self._begun += 1
        number, began_at = self._begun, self.clock.now()
        records = tuple(await self.store.list_keys())
        held = {key.kid: self._hold(key) for key in records if not is_gone(key, began_at)}
        if records != self.records:
            self.version += 1
        self.records, self._held = records, held
        self._done, self._loaded_at = number, began_at

    def _hold(self, record: SigningKey) -> HeldKey:
        """Return a key ready for use, unsealed once in the life of the process."""
        held = self._held.get(record.kid)
        if held is None:
            return self._open(record)
        return HeldKey(record, held.private_key, held.verification_key, held.jwk)

    def _open(self, record: SigningKey) -> HeldKey:
        """Unseal a key's private part, and see that the public part belongs to it.

        Without that, whoever can write to the database could have their own key trusted.
        """
        raw = self.master_key.unseal(SEALED_FOR, record.sealed_private_key, record.kid.encode())
        private_key = Ed25519PrivateKey.from_private_bytes(raw)
        public_key = private_key.public_key().public_bytes_raw()
        if public_key != record.public_key:
            raise ConfigurationError(f"The signing key {record.kid} was tampered with.")
        jwk = public_jwk(record.kid, public_key)
        return HeldKey(record, private_key, read_jwk(jwk), jwk)


def is_gone(key: SigningKey, now: datetime) -> bool:
    """Say whether a key verifies nothing any more."""
    return key.gone_at is not None and key.gone_at <= now


def _signs(key: SigningKey, now: datetime) -> bool:
    return key.not_before <= now and (key.retires_at is None or now < key.retires_at)
