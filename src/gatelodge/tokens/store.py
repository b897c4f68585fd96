"""The record of a signing key, and the port that stores it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gatelodge.audit import Event


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair that signs access tokens, as it is stored.

    Attributes:
        number: 1 for the first key, 2 for the second, and so on. It is unique: when several
            servers add the next key at once, exactly one succeeds.
        kid: the id of the key in the header of tokens and in the JWKS.
        algorithm: the only JWS algorithm that the key is used with.
        public_key: the raw public key (RFC 8037: 32 bytes for Ed25519).
        sealed_private_key: the raw private key, encrypted with the master key.
        created_at: when the key was created and published.
        not_before: when the key starts to sign.
        token_life: the longest life of the tokens that it signs, in seconds. Each server that uses
            the key raises it to its own setting. A retired key verifies that much longer.
        retires_at: when the key stops signing, or None.
        gone_at: when the key stops verifying, or None.
    """

    number: int
    kid: str
    algorithm: str
    public_key: bytes
    sealed_private_key: bytes = field(repr=False)
    created_at: datetime
    not_before: datetime
    token_life: int = 0
    retires_at: datetime | None = None
    gone_at: datetime | None = None


class SigningKeyStore(Protocol):
    """The stored signing keys. Every method is atomic; changes are durable when it returns.

    A method that takes an event stores it with its change: both, or neither.
    """

    async def add(self, key: SigningKey, event: Event) -> None:
        """Store a new key.

        Raises:
            AlreadyExists: there is a key with this `number` (then `field` is `number`). Of several
                callers with the same number, exactly one succeeds.
        """

    async def list_keys(self) -> list[SigningKey]:
        """Return all keys, ordered by number."""

    async def raise_token_life(self, kid: str, seconds: int) -> None:
        """Raise the key's `token_life` to at least so many seconds; it never falls."""

    async def retire(
        self, kid: str, event: Event, *, retires_at: datetime, gone_at: datetime
    ) -> bool:
        """Set when a key stops signing and when it stops verifying; return whether it changed.

        The times are only moved earlier: nothing changes if the key's `gone_at` is already as early
        as the new one, or if there is no such key. So a dropped key never becomes valid again. Of
        several callers with the same times, exactly one gets True.
        """
