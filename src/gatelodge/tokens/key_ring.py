"""The key ring: the signing keys in memory, loaded from the store, for all requests of a process.

At most one load runs at a time; all requests that wait for the keys share it and its outcome. Loads
are numbered in the order in which they start. To see a change, a request must wait for a load that
starts after the change: a load that was already running may have read the store before it.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.clock import Clock, from_milliseconds
from gatelodge.errors import ConfigurationError, StoreUnavailable
from gatelodge.master_key import MasterKey
from gatelodge.tasks import end, report
from gatelodge.tokens.jwk import VerificationKey, public_jwk, read_jwk
from gatelodge.tokens.store import SigningKey, SigningKeyStore

SEAL_PURPOSE = "signing-keys"

_MAX_AGE = timedelta(seconds=30)
"""The maximum age of the keys in memory when a token is verified with them."""

_RETRY_AFTER = timedelta(seconds=1)
"""The time after a load in which an unknown kid or a failure starts no new load."""

_NEVER = from_milliseconds(0)

_FORESEEN = (StoreUnavailable, ConfigurationError)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key in memory, ready for use.

    Attributes:
        record: the stored record.
        private_key: the decrypted private key.
        verification_key: the public key.
        jwk: the public key as a JWK, for the JWK set.
    """

    record: SigningKey
    private_key: Ed25519PrivateKey = field(repr=False)
    verification_key: VerificationKey
    jwk: dict[str, str]


@dataclass(slots=True, eq=False)
class KeyRing:
    """All signing keys, as the store had them at the last load.

    Attributes:
        store: stores the keys.
        master_key: decrypts the private keys.
        clock: tells the current time.
        version: a number that rises whenever a key may have been added, retired or dropped. A token
            that was verified under another version is verified again.
        records: all keys, ordered by number; keys that are gone too.
    """

    store: SigningKeyStore
    master_key: MasterKey
    clock: Clock
    version: int = field(default=0, init=False)
    records: tuple[SigningKey, ...] = field(default=(), init=False)
    _held: Mapping[str, HeldKey] = field(init=False, repr=False, default_factory=dict)
    _last_started: int = field(default=0, init=False)
    _last_loaded: int = field(default=0, init=False)
    _needed: int = field(default=1, init=False)
    _loaded_at: datetime = field(default=_NEVER, init=False)
    _ended_at: datetime = field(default=_NEVER, init=False)
    _failed: bool = field(default=False, init=False)
    _loading: "asyncio.Task[None] | None" = field(default=None, init=False, repr=False)

    @property
    def is_known(self) -> bool:
        """Whether the store was read after the last change that this process knows of."""
        return self._last_loaded >= self._needed

    def invalidate(self) -> None:
        """Note that a key was added or retired: the store is read before a key is used again."""
        self._needed = self._last_started + 1
        self.version += 1

    async def reload(self) -> None:
        """Read all keys from the store into memory.

        Raises:
            StoreUnavailable: the store does not answer.
            ConfigurationError: a key was sealed with another master key, or was tampered with.
        """
        await self._load_number(self._last_started + 1)

    async def refresh(self) -> None:
        """Read the keys after `invalidate`; log a failure, which a later load repairs."""
        with tolerating_unread_keys():
            await self._load_number(self._needed)

    async def close(self) -> None:
        """Cancel the running load, if there is one, and wait for its end."""
        if self._loading is not None:
            await end(self._loading)

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key that verifies tokens with this kid, or None.

        The answer comes from memory if that is less than 30 seconds old. For an unknown kid the
        store is read, because another server may have created the key. The store is read at most
        once a second for unknown kids, so that forged kids cost nothing.

        Raises:
            StoreUnavailable: the keys in memory are too old, and the store does not answer.
        """
        if self._is_old(_MAX_AGE):
            await self._load_unless_just_failed()
        elif self.verification_key(kid) is None and not self._has_just_ended():
            await self._share_load()
        return self.verification_key(kid)

    async def published(self, *, trusted: bool) -> list[dict[str, str]]:
        """Return the public keys that verify tokens now or will soon, as JWKs.

        Args:
            trusted: whether the feed reported all changes up to now. If not, the store is read.

        Raises:
            StoreUnavailable: the store must be read, and does not answer.
        """
        if not trusted or self._is_old(_MAX_AGE):
            await self._load_unless_just_failed()
        now = self.clock.now()
        return [key.jwk for key in self._held.values() if not is_gone(key.record, now)]

    def verification_key(self, kid: str) -> VerificationKey | None:
        """Return the key with this kid from memory, or None if it is unknown or gone."""
        held = self._held.get(kid)
        if held is None or is_gone(held.record, self.clock.now()):
            return None
        return held.verification_key

    def signing_key(self) -> HeldKey | None:
        """Return the newest key in memory that signs now, or None."""
        now = self.clock.now()
        newest = next((key for key in reversed(self.records) if _signs(key, now)), None)
        return None if newest is None else self._held.get(newest.kid)

    def pending(self) -> SigningKey | None:
        """Return the newest key if it does not sign yet, else None."""
        newest = self.records[-1] if self.records else None
        if newest is None or newest.retires_at is not None:
            return None
        return newest if newest.not_before > self.clock.now() else None

    def _is_old(self, most: timedelta) -> bool:
        return not self.is_known or self.clock.now() - self._loaded_at >= most

    def _has_just_ended(self) -> bool:
        return self.clock.now() - self._ended_at < _RETRY_AFTER

    async def _load_unless_just_failed(self) -> None:
        """Load the keys, unless a load failed within the last second.

        Raises:
            StoreUnavailable: the load failed, or failed within the last second.
        """
        if self._failed and self._has_just_ended() and self._loading is None:
            raise StoreUnavailable(retry_after=1)
        await self._load_number(max(self._needed, self._last_loaded + 1))

    async def _load_number(self, number: int) -> None:
        """Wait until the load with this number, or a later one, has succeeded."""
        while self._last_loaded < number:
            await self._share_load()

    async def _share_load(self) -> None:
        """Wait for the running load, or start one; all waiting callers share its outcome."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(self._end_load)
        await asyncio.shield(self._loading)

    def _end_load(self, loading: "asyncio.Task[None]") -> None:
        if self._loading is loading:
            self._loading = None
        self._ended_at = self.clock.now()
        error = None if loading.cancelled() else loading.exception()
        self._failed = loading.cancelled() or error is not None
        if error is not None and not isinstance(error, _FORESEEN):
            report(self._load, error)  # whoever waited for it may be gone

    async def _load(self) -> None:
        self._last_started += 1
        number, began_at = self._last_started, self.clock.now()
        records = tuple(await self.store.list_keys())
        held = {key.kid: self._hold(key) for key in records if not is_gone(key, began_at)}
        if records != self.records:
            self.version += 1
        self.records, self._held = records, held
        self._last_loaded, self._loaded_at = number, began_at

    def _hold(self, record: SigningKey) -> HeldKey:
        """Return the key ready for use; its private key is decrypted once per process."""
        held = self._held.get(record.kid)
        if held is None:
            return self._open(record)
        return HeldKey(record, held.private_key, held.verification_key, held.jwk)

    def _open(self, record: SigningKey) -> HeldKey:
        """Decrypt the private key, and check that the stored public key belongs to it.

        Without this check, whoever can write to the database could add a public key of their own.

        Raises:
            ConfigurationError: the key cannot be decrypted, or the public key is another one.
        """
        raw = self.master_key.unseal(SEAL_PURPOSE, record.sealed_private_key, record.kid.encode())
        private_key = Ed25519PrivateKey.from_private_bytes(raw)
        public_key = private_key.public_key().public_bytes_raw()
        if public_key != record.public_key:
            raise ConfigurationError(f"The signing key {record.kid} was tampered with.")
        jwk = public_jwk(record.kid, public_key)
        return HeldKey(record, private_key, read_jwk(jwk), jwk)


@contextmanager
def tolerating_unread_keys() -> Iterator[None]:
    """Log why the keys could not be read; a later load repairs it. Other errors are raised."""
    try:
        yield
    except StoreUnavailable:
        logging.getLogger("gatelodge.tokens").warning("signing_keys.unreachable")
    except ConfigurationError:
        logging.getLogger("gatelodge.tokens").exception("signing_keys.unreadable")


def is_gone(key: SigningKey, now: datetime) -> bool:
    """Return whether a key no longer verifies tokens."""
    return key.gone_at is not None and key.gone_at <= now


def _signs(key: SigningKey, now: datetime) -> bool:
    return key.not_before <= now and (key.retires_at is None or now < key.retires_at)
