"""One-time tokens: secrets that work once, within a short time.

They are for links: to set up, to verify an e-mail address, to reset a password. Each purpose and
subject has at most one token. A new token replaces the old one, which then no longer works.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from gatelodge.audit import Event

Purpose = Literal[
    "setup",
    "verify",
    "change",
    "reset",
    "must",
    "set_password",
    "undo",
    "stop",
    "invite",
    "invited",
    "sign_in",
    "undone",
    "sign_up",
    "reserved",
    "newest",
    "kept",
    "again",
    "second_factor",
    "passkey",
    "enrol_totp",
]

SECRET_BYTES = 32  # 256 bits (security.md, section 7)


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    """The record of a secret that was handed out.

    Attributes:
        purpose: what the secret may be used for.
        subject: the id of the user that the secret is for; empty if it is for no user.
        digest: the SHA-256 of the secret; the secret itself is not stored.
        expires_at: when the secret stops working.
        life: how many seconds it works from the moment when its letter was sent; None: that moment
            has come, or there is none.
        code_digest: the keyed hash of the code that may be typed in place of the link, or None.
        letter: the id of the letter that it is in, or None.
        facts: what it was made for, by name, such as the address that is to be verified.
    """

    purpose: Purpose
    subject: str
    digest: bytes = field(repr=False)
    expires_at: datetime
    life: int | None = None
    code_digest: bytes | None = field(default=None, repr=False)
    letter: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """The unique key of this purpose and subject."""
        return key_of(self.purpose, self.subject)


class OneTimeTokenStore(Protocol):
    """The stored tokens. Every method is atomic; changes are durable when it returns."""

    async def put(
        self,
        token: OneTimeToken,
        *,
        unless_after: datetime | None = None,
        event: Event | None = None,
    ) -> bool:
        """Store a token; it replaces the token with the same purpose and subject.

        Args:
            token: the token.
            unless_after: nothing is stored if there is such a token that expires after this
                instant. None: the token is always stored.
            event: the event of the change, if it has one.

        Returns:
            Whether the token was stored. If many callers come at once with tokens that expire
            after `unless_after`, exactly one gets True.
        """

    async def put_newer(self, token: OneTimeToken, at: datetime) -> bool:
        """Store the token of a letter, unless there is one of a letter that was asked for later.

        It replaces the token with the same purpose and subject. Of many callers at once, the one
        with the newest letter stores its token, whatever their order.

        Args:
            token: the token; `letter` is set.
            at: tokens that have expired at this instant do not count.

        Returns:
            Whether the token was stored.
        """

    async def find(self, purpose: Purpose, subject: str) -> OneTimeToken | None:
        """Return the token of this purpose and subject, even if expired, or None."""

    async def consume(
        self,
        purpose: Purpose,
        subject: str,
        digest: bytes,
        at: datetime,
        event: Event | None = None,
    ) -> bool:
        """Delete the token if it has this digest and has not expired at `at`.

        Args:
            purpose: its purpose.
            subject: its subject.
            digest: its digest.
            at: the current time.
            event: the event of the change, if it has one.

        Returns:
            Whether this call deleted it: of many callers at once, exactly one gets True.
        """

    async def change_facts(
        self, token: OneTimeToken, facts: Mapping[str, str], at: datetime
    ) -> bool:
        """Give a token other facts, if it has the digest and the facts of this one.

        True for exactly one of many callers that have read the same facts. False if the token has
        changed since, is another one or has expired at `at`. Its life and its end stay as they are.
        """

    async def begin(self, token: OneTimeToken, at: datetime) -> bool:
        """Let the life of a token begin, if it has not begun: it expires at `at` and its `life`.

        True if it began now. False if it had begun, or is another one by now.
        """

    async def list_alive(self, purpose: Purpose, at: datetime, *, limit: int) -> list[OneTimeToken]:
        """Return up to `limit` tokens of a purpose that expire after `at`, in order of subject."""

    async def sweep(self, expired_before: datetime, *, limit: int) -> int:
        """Delete up to `limit` tokens that expired before an instant; return how many."""


def key_of(purpose: Purpose, subject: str) -> str:
    """Return the unique key of a purpose and a subject."""
    return f"{purpose}:{subject}"


def new_token(
    purpose: Purpose,
    subject: str,
    now: datetime,
    life: timedelta,
    facts: Mapping[str, str] | None = None,
) -> tuple[str, OneTimeToken]:
    """Return a new secret for the user, and the record to store."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    token = OneTimeToken(purpose, subject, digest_of(secret), now + life, facts=facts or {})
    return secret, token


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 of a secret; 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
