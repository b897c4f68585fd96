"""The life of signing keys: they are created, published, rotated and retired here.

A key is published at once; it signs when all cached copies of the JWKS have expired; it retires
when its successor starts to sign; and it is gone when the last token that it signed has expired.
All processes read the keys from the store again and again, so that they know a new key long before
it signs. `key_ring.py` holds the keys in memory.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.audit import SERVER, Actor, AuditLog, Event
from gatelodge.clock import LEEWAY, Clock
from gatelodge.errors import AlreadyExists, ConfigurationError, StoreUnavailable
from gatelodge.ids import new_id
from gatelodge.master_key import MasterKey
from gatelodge.tasks import repeat
from gatelodge.tokens.jwk import EDDSA, VerificationKey
from gatelodge.tokens.key_ring import SEAL_PURPOSE, KeyRing, tolerating_unread_keys
from gatelodge.tokens.refusals import NoSuchKey
from gatelodge.tokens.store import SigningKey, SigningKeyStore

KEY_PREFIX = "key"
JWKS_MAX_AGE = timedelta(seconds=300)
"""How long a client may cache the JWKS."""

PUBLISH_LEAD = JWKS_MAX_AGE + timedelta(seconds=5)
"""The time between a key's publication and its first signature.

After this time, all cached copies of the JWKS without the key have expired, and all servers have
read the key."""

SIGNING_KEY_LIFE = timedelta(days=90)

_CHECK_INTERVAL = timedelta(seconds=10)
_RETRY_INTERVAL = timedelta(seconds=1)


@dataclass(slots=True, eq=False)
class SigningKeys:
    """Creates, rotates and finds the keys that sign access tokens.

    Call `ensure` once at the start, and run `keep_in_step` while the process serves.

    Attributes:
        store: stores the keys.
        master_key: encrypts the private keys.
        audit: records every key that is added or retired.
        clock: tells the current time.
        access_token_life: how long a token is valid; a retired key verifies that much longer.
        signing_key_life: how long a key signs before the next one is created.
        step_every: the pause between two runs of `keep_in_step`.
        ring: the keys in memory.
    """

    store: SigningKeyStore
    master_key: MasterKey
    audit: AuditLog
    clock: Clock
    access_token_life: timedelta
    signing_key_life: timedelta = SIGNING_KEY_LIFE
    step_every: timedelta = _CHECK_INTERVAL
    ring: KeyRing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Start without keys in memory."""
        self.ring = KeyRing(self.store, self.master_key, self.clock)

    async def ensure(self, by: Actor = SERVER) -> None:
        """Read the keys, and add or retire keys where that is due.

        Creates a key if no key signs, rotates if the current key is too old, and retires keys that
        an interrupted rotation did not retire.

        Args:
            by: who does this, for the audit log.

        Raises:
            StoreUnavailable: the store does not answer.
            ConfigurationError: the keys were sealed with another master key.
        """
        await self.ring.reload()
        now = self.clock.now()
        current = self.ring.signing_key()
        if current is None:
            await self._add(now, by)
        elif now - current.record.not_before >= self.signing_key_life:
            await self.rotate(by)
        await self._note_token_life()
        await self._retire_superseded(by)

    async def keep_in_step(self) -> None:
        """Run `ensure` again and again until cancelled; every second while no key is known."""
        await repeat(self._step, self._pause)

    async def _step(self) -> None:
        with tolerating_unread_keys():
            await self.ensure()

    def _pause(self) -> timedelta:
        return self.step_every if self.ring.records else _RETRY_INTERVAL

    async def rotate(self, by: Actor) -> SigningKey:
        """Publish the next key now, and return it; it starts to sign after `PUBLISH_LEAD`.

        If a published key does not sign yet, that key is returned. So several servers, or a command
        that is run twice, make only one rotation. If no key signs, the new key signs at once.

        Args:
            by: who rotates, for the audit log.

        Raises:
            StoreUnavailable: the store does not answer.
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
        """Stop using a key at once, because its private key leaked.

        If the key signs now, a successor is added first and signs at once, so that there is always
        a key that signs. This process stops accepting the key's tokens now; other processes stop
        as soon as the feed tells them.

        Args:
            kid: the id of the key.
            by: who drops the key, for the audit log.

        Raises:
            NoSuchKey: no key has this id.
            StoreUnavailable: the store does not answer; the key is unchanged.
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
        """Return all stored keys, the oldest first."""
        return await self.store.list_keys()

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key that verifies tokens with this kid, or None; see `KeyRing.find`.

        Raises:
            StoreUnavailable: the keys in memory are too old, and the store does not answer.
        """
        return await self.ring.find(kid)

    def signing_key(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the kid and the private key that sign now.

        Raises:
            StoreUnavailable: the keys could not be read yet.
            ConfigurationError: there is no key, because `ensure` was not called.
        """
        held = self.ring.signing_key()
        if held is not None:
            return held.record.kid, held.private_key
        if not self.ring.is_known:
            raise StoreUnavailable(retry_after=1)
        raise ConfigurationError("There is no signing key yet.")

    async def _add(self, not_before: datetime, by: Actor) -> None:
        """Store the next key, unless another server stores it first; then read all keys."""
        newest = self.ring.records[-1:]
        number = newest[0].number + 1 if newest else 1
        key = self._make(number, not_before)
        event = self._event("signing_key.added", key.kid, by, signs_from=not_before)
        with suppress(AlreadyExists):
            await self.store.add(key, event)
            self.audit.log(event)
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
                SEAL_PURPOSE, private_key.private_bytes_raw(), kid.encode()
            ),
            created_at=now,
            not_before=not_before,
            token_life=self._token_life,
        )

    @property
    def _token_life(self) -> int:
        return int(self.access_token_life.total_seconds())

    async def _note_token_life(self) -> None:
        """Store how long the tokens of this process live, with each key that may sign them.

        A command that retires a key may have other settings than the servers. It reads from the
        key how long its tokens live.
        """
        short = [
            key.kid
            for key in self.ring.records
            if key.retires_at is None and key.token_life < self._token_life
        ]
        for kid in short:
            await self.store.raise_token_life(kid, self._token_life)
        if short:
            await self.ring.reload()

    async def _retire_superseded(self, by: Actor) -> None:
        """Set the retirement of each key whose successor signs: it retired when that one began.

        That is not set before: a successor that is dropped before it signs succeeds nobody.
        """
        now = self.clock.now()
        starts = [
            (newer.number, newer.not_before)
            for newer in self.ring.records
            if newer.not_before <= now and not _was_dropped_before_it_signed(newer)
        ]
        superseded = [
            (older, min(later))
            for older in self.ring.records
            if older.retires_at is None
            and (later := [at for number, at in starts if number > older.number])
        ]
        for older, at in superseded:
            life = max(timedelta(seconds=older.token_life), self.access_token_life)
            await self._retire(older.kid, at, at + life + LEEWAY, by)
        if superseded:
            await self.ring.reload()

    async def _retire(self, kid: str, retires_at: datetime, gone_at: datetime, by: Actor) -> None:
        event = self._event(
            "signing_key.retired", kid, by, signs_until=retires_at, verifies_until=gone_at
        )
        change = self.store.retire(kid, event, retires_at=retires_at, gone_at=gone_at)
        await self.audit.logged(event, change)

    def _event(self, name: str, kid: str, by: Actor, **times: datetime) -> Event:
        detail = {what: at.isoformat() for what, at in times.items()}
        return self.audit.event(name, by, target=kid, detail=detail)


def _was_dropped_before_it_signed(key: SigningKey) -> bool:
    return key.retires_at is not None and key.retires_at <= key.not_before
