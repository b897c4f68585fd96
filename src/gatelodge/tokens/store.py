"""The record of a signing key, and the port that keeps it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair that signs access tokens, as it is kept.

    Attributes:
        number: 1 for the first key, then one more each; unique, so that of several servers that
            make the next key together exactly one does.
        kid: names the key in a token's header and in the JWKS.
        algorithm: the one JWS algorithm this key is used with.
        public_key: the raw public key (RFC 8037: 32 bytes for Ed25519).
        sealed_private_key: the raw private key, encrypted under the master key.
        created_at: when it was made, and published.
        not_before: from when on it signs.
        retires_at: from when on it no longer signs, or None.
        gone_at: from when on it no longer verifies, or None.
    """

    number: int
    kid: str
    algorithm: str
    public_key: bytes
    sealed_private_key: bytes = field(repr=False)
    created_at: datetime
    not_before: datetime
    retires_at: datetime | None = None
    gone_at: datetime | None = None


class SigningKeyStore(Protocol):
    """Signing keys at rest. Every method is atomic and, once it returns, durable."""

    async def add(self, key: SigningKey) -> None:
        """Keep a new key.

        Raises:
            AlreadyExists: of `number`; of many callers with one number, exactly one succeeds.
        """

    async def list_keys(self) -> list[SigningKey]:
        """Return every key, in order of number."""

    async def retire(self, kid: str, *, retires_at: datetime, gone_at: datetime) -> bool:
        """Set when a key stops signing and when it stops verifying.

        Nothing changes where it stops verifying as early already: no key comes back. True for
        exactly one of many callers with the same times.
        """
