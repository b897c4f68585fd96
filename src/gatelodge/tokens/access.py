"""Access tokens: short-lived signed JWTs that a client shows to an API (RFC 9068)."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.clock import Clock, to_milliseconds
from gatelodge.ids import SessionId, UserId
from gatelodge.methods import Methods, acr_of
from gatelodge.tokens.claims import (
    ACCESS_TOKEN_TYPE,
    CLIENT_ID,
    MAX_LIFE,
    USUAL_MAX_LIFE,
    Claims,
    TokenCheck,
    audience_of_held_back,
)
from gatelodge.tokens.jwk import EDDSA
from gatelodge.tokens.keys import SigningKeys

MIN_LIFE = timedelta(seconds=1)

_TOKEN_ID_BYTES = 16


SigningWith: TypeAlias = tuple[str, Ed25519PrivateKey]
"""The kid of a signing key, and the key."""


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues and verifies access tokens.

    Attributes:
        keys: the keys that sign and verify.
        clock: tells the current time.
        issuer: the `iss` of tokens: the public origin of this server.
        audience: the `aud` of tokens.
        life: how long a token is valid: 1 second to 1 day. Tokens count
            whole seconds, so a token is valid up to one second less.
    """

    keys: SigningKeys
    clock: Clock
    issuer: str
    audience: str
    life: timedelta

    def __post_init__(self) -> None:
        """Refuse a life that `verify` would refuse in a token.

        Raises:
            ValueError: the life is not 1 to 900 seconds.
        """
        if not MIN_LIFE <= self.life <= MAX_LIFE:
            raise ValueError("an access token lives 1 second to 1 day")

    def signing_key(self) -> SigningWith:
        """Return the key that signs now, for `issue`.

        Who changes something before a token is issued asks for the key first: then nothing is
        changed without it.

        Raises:
            StoreUnavailable: the signing keys could not be read yet.
        """
        return self.keys.signing_key()

    def issue(
        self,
        *,
        subject: UserId,
        session_id: SessionId,
        roles: tuple[str, ...],
        authenticated_at: datetime,
        methods: Methods,
        held_back: bool = False,
        impersonator: UserId | None = None,
        ends_at: datetime | None = None,
        key: SigningWith | None = None,
    ) -> str:
        """Return a new token.

        Args:
            subject: the id of the user.
            session_id: the id of the session.
            roles: the user's current roles.
            authenticated_at: when the user last proved who they are (`auth_time`).
            methods: how the user proved it (`amr`); they decide how sure it is (`acr`).
            held_back: whether the session is held back. Then the token names no role, and is for
                this server alone. The gate decides by the records all the same.
            impersonator: who acts in the place of the user (`act`; RFC 8693, section 4.1), or None.
            ends_at: when the token expires at the latest; None: when its life is over.
            key: what `signing_key` returned a moment ago; None: the key that signs now.

        Raises:
            StoreUnavailable: the signing keys could not be read yet.
        """
        kid, private_key = key or self.keys.signing_key()
        issued_at = self._seconds()
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": audience_of_held_back(self.audience) if held_back else self.audience,
            "sub": subject,
            "exp": self._end_of(issued_at, ends_at),
            "iat": issued_at,
            "jti": secrets.token_urlsafe(_TOKEN_ID_BYTES),
            "client_id": CLIENT_ID,
            "sid": session_id,
            "roles": () if held_back else roles,
            "auth_time": to_milliseconds(authenticated_at) // 1000,
            "amr": methods,
            "acr": acr_of(methods),
        }
        if impersonator is not None:
            claims["act"] = {"sub": impersonator}
        headers = {"typ": ACCESS_TOKEN_TYPE, "kid": kid}
        return jwt.encode(claims, private_key, algorithm=EDDSA, headers=headers)

    async def verify(self, text: str) -> Claims:
        """Return the claims of a token after all checks (RFC 9068, section 4).

        Raises:
            InvalidToken: the text is not a valid access token of this server.
            ExpiredToken: the token has expired; all other checks passed.
            StoreUnavailable: the signing keys cannot be read.
        """
        return await self._check().verify(text)

    def _check(self) -> TokenCheck:
        """Return what checks tokens; another worker may still issue tokens with another life."""
        max_life = max(self.life, USUAL_MAX_LIFE)
        return TokenCheck(self.keys.find, self.clock, self.issuer, self.audience, max_life)

    def _end_of(self, issued_at: int, ends_at: datetime | None) -> int:
        """Return when a token expires that is issued now, in seconds since 1970."""
        end = issued_at + int(self.life.total_seconds())
        return end if ends_at is None else min(end, to_milliseconds(ends_at) // 1000)

    def _seconds(self) -> int:
        return self.clock.milliseconds() // 1000
