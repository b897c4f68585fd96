"""Secrets that are good once, for a short while: to set up, to verify an address, to reset.

A purpose and a subject have at most one: a new one voids the old, by taking its place.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

Purpose = Literal["setup", "verify", "reset"]

SECRET_BYTES = 32  # 256 bits (security.md, section 7)


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    """What is kept of a secret that was handed out.

    Attributes:
        purpose: what it is good for.
        subject: whom it is for: a user's id, or nothing where the house has one for all.
        digest: the secret's SHA-256; the secret itself is nowhere.
        expires_at: from when on it is worth nothing.
    """

    purpose: Purpose
    subject: str
    digest: bytes = field(repr=False)
    expires_at: datetime

    @property
    def key(self) -> str:
        """The one name of this purpose and subject."""
        return key_of(self.purpose, self.subject)


class OneTimeTokenStore(Protocol):
    """One-time tokens at rest. Every method is atomic and, once it returns, durable."""

    async def put(self, token: OneTimeToken) -> None:
        """Keep a token in place of whatever its purpose and subject had."""

    async def find(self, purpose: Purpose, subject: str) -> OneTimeToken | None:
        """Return the token of this purpose and subject, expired or not, or None."""

    async def consume(self, purpose: Purpose, subject: str, digest: bytes, at: datetime) -> bool:
        """Take the token away if it has this digest and has not expired at `at`.

        True for exactly one caller, however many arrive together.
        """


def key_of(purpose: Purpose, subject: str) -> str:
    """Return the one name of a purpose and a subject."""
    return f"{purpose}:{subject}"


def new_token(
    purpose: Purpose, subject: str, now: datetime, life: timedelta
) -> tuple[str, OneTimeToken]:
    """Return a new secret, to be handed out, and what is to be kept of it."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return secret, OneTimeToken(purpose, subject, digest_of(secret), now + life)


def digest_of(secret: str) -> bytes:
    """Return what is kept of a secret; 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
