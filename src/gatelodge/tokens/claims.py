"""Which access tokens are valid: the form, the signature and the claims (RFC 9068, section 4).

The server and `client/` check tokens with this one class. They differ only in where keys come from.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from gatelodge.clock import LEEWAY, Clock
from gatelodge.ids import SessionId, UserId
from gatelodge.methods import Methods
from gatelodge.tokens.jws import JwsPolicy, KeyFinder, read_json_object, verify_jws
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
AUDIENCE = "gatelodge"
CLIENT_ID = "gatelodge"
_HELD_BACK = "-held-back"
MAX_LIFE = timedelta(days=1)
"""Of the tutorial's profile, half of whose clients hold no refresh token; else 15 minutes at most
(security.md, section 3), which the settings see to."""

USUAL_MAX_LIFE = timedelta(seconds=900)

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
        authenticated_at: when the user last proved who they are, in seconds since 1970; None: the
            token was issued by a version that did not say it.
        methods: how the user proved it.
        held_back: whether the token is for the server alone, because its user has to prove a second
            factor there, or to add one, before anything else.
        impersonator: the id of whoever acts in the place of the user (`act`); None: the user.
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
    authenticated_at: int | None = None
    methods: Methods = ()
    held_back: bool = False
    impersonator: UserId | None = None


def audience_of_held_back(audience: str) -> str:
    """Return the `aud` of tokens whose user has to prove or add a second factor first.

    It is another one, so that a service which checks tokens by itself refuses them, whatever its
    language and version.
    """
    return f"{audience}{_HELD_BACK}"


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """Verifies access tokens.

    Attributes:
        find_key: returns the key with a kid, or None.
        clock: tells the current time.
        issuer: the `iss` that tokens must have.
        audience: the `aud` that tokens must have, unless they are held back.
        max_life: how long a token may live.
    """

    find_key: KeyFinder
    clock: Clock
    issuer: str
    audience: str
    max_life: timedelta

    async def verify(self, text: str) -> Claims:
        """Return the claims of a token after all checks.

        A token that is held back passes them: the caller looks at `Claims.held_back`.

        Raises:
            InvalidToken: the text is not a valid access token of this issuer.
            ExpiredToken: the token has expired; all other checks passed.
            Refusal: what `find_key` raises.
        """
        jws = await verify_jws(text, self.find_key, policy=POLICY)
        payload = read_json_object(jws.payload)
        claims = _read_claims(payload, jws.kid)
        self._check_parties(claims)
        self._check_times(claims, payload)
        return claims if claims.audience == self.audience else replace(claims, held_back=True)

    def _check_parties(self, claims: Claims) -> None:
        if (claims.issuer, claims.client_id) != (self.issuer, CLIENT_ID):
            raise InvalidToken
        if claims.audience not in {self.audience, audience_of_held_back(self.audience)}:
            raise InvalidToken

    def _check_times(self, claims: Claims, payload: Mapping[str, object]) -> None:
        """Refuse a token from the future, a token that is valid for too long, an expired token.

        The clocks of several servers may differ: the leeway applies to the start of a token's
        life. No leeway applies to its end. Expiry is checked last.
        """
        now = self.clock.milliseconds() // 1000
        starts_at = _integer(payload, "nbf") if "nbf" in payload else claims.issued_at
        if max(starts_at, claims.issued_at) > now + LEEWAY.total_seconds():
            raise InvalidToken
        if not 0 < claims.expires_at - claims.issued_at <= self.max_life.total_seconds():
            raise InvalidToken
        if now >= claims.expires_at:
            raise ExpiredToken


def _read_claims(payload: Mapping[str, object], kid: str) -> Claims:
    return Claims(
        subject=UserId(_text(payload, "sub")),
        session_id=SessionId(_text(payload, "sid")),
        roles=_texts(payload, "roles"),
        issued_at=_integer(payload, "iat"),
        expires_at=_integer(payload, "exp"),
        token_id=_text(payload, "jti"),
        client_id=_text(payload, "client_id"),
        issuer=_text(payload, "iss"),
        audience=_text(payload, "aud"),
        key_id=kid,
        authenticated_at=_integer(payload, "auth_time") if "auth_time" in payload else None,
        methods=_texts(payload, "amr") if "amr" in payload else (),
        impersonator=_actor(payload) if "act" in payload else None,
    )


def _actor(payload: Mapping[str, object]) -> UserId:
    """Return who acts in the place of the subject (RFC 8693, section 4.1)."""
    actor = payload["act"]
    if not isinstance(actor, dict):
        raise InvalidToken
    return UserId(_text(actor, "sub"))


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


def _texts(payload: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = payload.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidToken
    return tuple(value)
