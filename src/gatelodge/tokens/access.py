"""Access tokens: short-lived signed JWTs that a client shows to an API (RFC 9068)."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatelodge.clock import Clock
from gatelodge.ids import SessionId, UserId
from gatelodge.tokens.jwk import EDDSA
from gatelodge.tokens.jws import JwsPolicy, read_json_object, verify_jws
from gatelodge.tokens.keys import LEEWAY, SigningKeys
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
CLIENT_ID = "gatelodge"
MAX_LIFE = timedelta(days=1)
"""Of the tutorial's profile, half of whose clients hold no refresh token; else 15 minutes at most
(security.md, section 3), which the settings see to."""

MIN_LIFE = timedelta(seconds=1)
_USUAL_MAX_LIFE = timedelta(seconds=900)

_TOKEN_ID_BYTES = 16
POLICY = JwsPolicy(kid=re.compile(r"[A-Za-z0-9_-]{1,64}"), typ=ACCESS_TOKEN_TYPE)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says.

    Attributes:
        subject: the id of the user.
        session_id: the id of the session.
        roles: the user's roles when the token was issued. They decide nothing: the gate reads the
            current roles.
        issued_at: seconds since 1970.
        expires_at: seconds since 1970; at this time the token expires.
        token_id: the unique id of this token.
        client_id: the application that the token was issued to.
        issuer: the server that signed the token.
        audience: the API that the token is for.
        key_id: the id of the key that signed the token. A token is not valid longer than its key.
    """

    subject: UserId
    session_id: SessionId
    roles: tuple[str, ...]
    issued_at: int
    expires_at: int
    token_id: str
    client_id: str
    issuer: str
    audience: str
    key_id: str


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
        key: SigningWith | None = None,
    ) -> str:
        """Return a new token.

        Args:
            subject: the id of the user.
            session_id: the id of the session.
            roles: the user's current roles.
            key: what `signing_key` returned a moment ago; None: the key that signs now.

        Raises:
            StoreUnavailable: the signing keys could not be read yet.
        """
        kid, private_key = key or self.keys.signing_key()
        issued_at = self._seconds()
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "exp": issued_at + int(self.life.total_seconds()),
            "iat": issued_at,
            "jti": secrets.token_urlsafe(_TOKEN_ID_BYTES),
            "client_id": CLIENT_ID,
            "sid": session_id,
            "roles": roles,
        }
        headers = {"typ": ACCESS_TOKEN_TYPE, "kid": kid}
        return jwt.encode(claims, private_key, algorithm=EDDSA, headers=headers)

    async def verify(self, text: str) -> Claims:
        """Return the claims of a token after all checks (RFC 9068, section 4).

        Raises:
            InvalidToken: the text is not a valid access token of this server.
            ExpiredToken: the token has expired; all other checks passed.
            StoreUnavailable: the signing keys cannot be read.
        """
        jws = await verify_jws(text, self.keys.find, policy=POLICY)
        payload = read_json_object(jws.payload)
        claims = _read_claims(payload, jws.kid)
        self._check_parties(claims)
        self._check_times(claims, payload)
        return claims

    def _check_parties(self, claims: Claims) -> None:
        expected = (self.issuer, self.audience, CLIENT_ID)
        if (claims.issuer, claims.audience, claims.client_id) != expected:
            raise InvalidToken

    def _check_times(self, claims: Claims, payload: Mapping[str, object]) -> None:
        """Refuse a token from the future, a token that is valid for too long, an expired token.

        The clocks of several servers may differ: the leeway applies to the start of a token's
        life. No leeway applies to its end. Expiry is checked last.
        """
        now = self._seconds()
        starts_at = _integer(payload, "nbf") if "nbf" in payload else claims.issued_at
        if max(starts_at, claims.issued_at) > now + LEEWAY.total_seconds():
            raise InvalidToken
        if not 0 < claims.expires_at - claims.issued_at <= self._max_seconds():
            raise InvalidToken
        if now >= claims.expires_at:
            raise ExpiredToken

    def _max_seconds(self) -> float:
        """Return how long a token may live; another worker may still have other settings."""
        return max(self.life, _USUAL_MAX_LIFE).total_seconds()

    def _seconds(self) -> int:
        return self.clock.milliseconds() // 1000


def _read_claims(payload: Mapping[str, object], kid: str) -> Claims:
    return Claims(
        subject=UserId(_text(payload, "sub")),
        session_id=SessionId(_text(payload, "sid")),
        roles=_roles(payload),
        issued_at=_integer(payload, "iat"),
        expires_at=_integer(payload, "exp"),
        token_id=_text(payload, "jti"),
        client_id=_text(payload, "client_id"),
        issuer=_text(payload, "iss"),
        audience=_text(payload, "aud"),
        key_id=kid,
    )


def _text(payload: Mapping[str, object], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidToken
    return value


def _integer(payload: Mapping[str, object], name: str) -> int:
    value = payload.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidToken
    return value


def _roles(payload: Mapping[str, object]) -> tuple[str, ...]:
    value = payload.get("roles")
    if not isinstance(value, list) or not all(isinstance(role, str) for role in value):
        raise InvalidToken
    return tuple(value)
