"""Whoever makes this request: from the token's text to verified claims, and to a principal."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from gatelodge.gate.recent import Recent
from gatelodge.ids import SessionId, UserId
from gatelodge.tokens.access import AccessTokens

MAX_TOKENS = 10_000
"""How many verified tokens are remembered (security.md, section 3)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user who is signed in, as far as a door needs to know to decide.

    Attributes:
        subject: whose request it is.
        username: as shown.
        roles: what the user holds now, whatever the token says.
        permissions: what these roles permit now; users with the same roles share one object.
        session_id: the device it comes from.
        expires_at: when that session ends at the latest.
    """

    subject: UserId
    username: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    session_id: SessionId
    expires_at: datetime


@dataclass(slots=True)
class VerifiedToken:
    """A token whose signature was checked, and what memory last said of it.

    Attributes:
        subject: whose it is.
        session_id: the session it was issued in.
        expires_at: when it ends, in milliseconds since 1970.
        keys: the version of the keys under which it was checked.
        principal: whose token it was, when memory was last asked.
        changes: of the view then. While it has had no other since, that is still so...
        until: ...until then, in milliseconds since 1970.
    """

    subject: UserId
    session_id: SessionId
    expires_at: int
    keys: int
    principal: Principal | None = None
    changes: int = -1
    until: int = 0


@dataclass(frozen=True, slots=True)
class VerifiedTokens:
    """Check each token's signature once.

    What is remembered is bounded, holds no refused token, and is keyed by the digest of the whole
    token, so that memory holds no token either. Whether its time is over, and whether the session
    and user stand, is not asked here.
    """

    access_tokens: AccessTokens
    _recent: Recent[bytes, VerifiedToken] = field(default_factory=lambda: Recent(MAX_TOKENS))

    def find(self, token: bytes) -> VerifiedToken | None:
        """Return what is known of a token, as it came, that was verified before, or None."""
        verified = self._recent.find(sha256(token).digest())
        if verified is None or verified.keys != self.access_tokens.keys.ring.version:
            return None  # a key may be gone: `verify` looks closer
        return verified

    async def verify(self, token: str) -> VerifiedToken:
        """Check a token, and remember it.

        Raises:
            InvalidToken: it is not a good access token of this server.
            ExpiredToken: it was, and its time is over.
        """
        keys = self.access_tokens.keys.ring.version  # first: they may change on the way
        claims = await self.access_tokens.verify(token)
        verified = VerifiedToken(claims.subject, claims.session_id, claims.expires_at * 1000, keys)
        self._recent.put(sha256(as_bytes(token)).digest(), verified)
        return verified

    def __len__(self) -> int:
        return len(self._recent)


def as_bytes(token: str) -> bytes:
    """Return a token as it stood in the request; nothing that was sent makes this fail."""
    return token.encode("utf-8", "surrogatepass")
