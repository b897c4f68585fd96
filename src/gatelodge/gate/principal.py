"""The principal of a request, and the access tokens that were verified before."""

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
    """A user who is signed in, as rules and doors see them.

    Attributes:
        subject: the user's id.
        username: the username as typed at sign-up.
        roles: the roles that the user holds now; those that the token names are ignored.
        permissions: what these roles permit now; users with the same roles share one object.
        session_id: the session that the token belongs to.
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
    """A token whose signature was verified, and the last answer of the view about it.

    Attributes:
        subject: the id of the user that the token was issued to.
        session_id: the session that the token belongs to.
        expires_at: when the token expires, in milliseconds since 1970.
        keys: the version of the key ring when the signature was verified.
        principal: the last answer of the view; None: the view has not answered yet.
        changes: the view's change count at that answer; while it is equal, `principal` holds.
        until: when `principal` ends at the latest, in milliseconds since 1970.
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
    """Verifies the signature of each token once.

    At most `MAX_TOKENS` verified tokens are remembered, and none that was refused. They are kept by
    the SHA-256 of the whole token, so that the token itself is not in memory. The gate checks
    whether the session and the user are live, and whether a remembered token has expired.
    """

    access_tokens: AccessTokens
    _recent: Recent[bytes, VerifiedToken] = field(default_factory=lambda: Recent(MAX_TOKENS))

    def find(self, token: bytes) -> VerifiedToken | None:
        """Return what is known about a token that was verified before, or None.

        Args:
            token: the token as the request carries it; it may have expired meanwhile.
        """
        verified = self._recent.find(sha256(token).digest())
        if verified is None or verified.keys != self.access_tokens.keys.ring.version:
            return None  # a key may be gone: `verify` checks again
        return verified

    async def verify(self, token: str) -> VerifiedToken:
        """Verify a token, and remember it.

        Raises:
            InvalidToken: it is not a valid access token of this server.
            ExpiredToken: it has expired.
            StoreUnavailable: the signing keys must be read, and the store does not answer.
        """
        keys = self.access_tokens.keys.ring.version  # read first: they may change below
        claims = await self.access_tokens.verify(token)
        verified = VerifiedToken(claims.subject, claims.session_id, claims.expires_at * 1000, keys)
        self._recent.put(sha256(as_bytes(token)).digest(), verified)
        return verified

    def __len__(self) -> int:
        return len(self._recent)


def as_bytes(token: str) -> bytes:
    """Return a token as the bytes that the request carried. It fails for no text."""
    return token.encode("utf-8", "surrogatepass")
