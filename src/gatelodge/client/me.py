"""What the server says about whoever is signed in (`GET /api/auth/me`), read strictly."""

import logging
from datetime import datetime

from gatelodge import strict_json
from gatelodge.client.issuer import Issuer
from gatelodge.client.memory import Found, HeldBack
from gatelodge.client.reading import flag, instant, text, texts
from gatelodge.client.refusals import IssuerUnavailable
from gatelodge.clock import from_milliseconds
from gatelodge.credentials.refusals import (
    ReauthenticationRequired,
    SecondFactorEnrolmentRequired,
)
from gatelodge.methods import as_set
from gatelodge.tokens.claims import Claims
from gatelodge.user import User

PATH = "/api/auth/me"

_HELD_BACK = {
    (401, ReauthenticationRequired.code): HeldBack(has_second_factor=True),
    (403, SecondFactorEnrolmentRequired.code): HeldBack(has_second_factor=False),
}
"""What the server says of a session that only serves to prove a second factor, or to add one."""

_log = logging.getLogger("gatelodge.client")


async def ask_server(issuer: Issuer, token: str, claims: Claims) -> Found:
    """Return who is signed in by a token at this moment.

    Args:
        issuer: the server.
        token: an access token that was verified.
        claims: what the token says.

    Raises:
        IssuerUnavailable: there is no answer that says yes or no.
    """
    reply = await issuer.get(PATH, token=token)
    if (held_back := _HELD_BACK.get((reply.status, _code_in(reply.body)))) is not None:
        return held_back
    if reply.status == 401:
        return None
    try:
        return read_me(reply.content(), claims)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        _log.warning("An answer of %s%s: %s", issuer.address, PATH, error)
        raise IssuerUnavailable(retry_after=1) from error


def _code_in(raw: bytes) -> str:
    """Return the code of a refusal; empty: the answer has none."""
    try:
        code = strict_json.parse(raw)["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return code if isinstance(code, str) else ""


def read_me(raw: bytes, claims: Claims) -> User:
    """Return the user that an answer describes. Members that are not known here are ignored.

    Raises:
        ValueError: the answer is malformed, or about somebody else.
        KeyError: something is missing.
        TypeError: the answer is no JSON object.
        OverflowError: a time is out of range.
    """
    me = strict_json.parse(raw)
    session = me["session"]
    if (me["id"], session["id"]) != (claims.subject, claims.session_id):
        raise ValueError("the answer is about somebody else")
    return User(
        subject=claims.subject,
        username=text(me["username"]),
        name=text(me["name"]),
        email=None if me["email"] is None else text(me["email"]),
        email_verified=flag(me["emailVerified"]),
        roles=texts(me["roles"]),
        permissions=texts(me["permissions"]),
        expires_at=min(instant(session["expiresAt"]), expires_at(claims)),
        session_id=claims.session_id,
        authenticated_at=(
            _if_ever(instant(session["authenticatedAt"])) if "authenticatedAt" in session else None
        ),
        methods=texts(session["methods"]) if "methods" in session else frozenset(),
        impersonator=None if me.get("impersonator") is None else text(me["impersonator"]),
    )


def user_of(claims: Claims) -> User | HeldBack:
    """Return what a token alone says about its user.

    It does not say whether a user who is held back has a second factor. Either way the user goes to
    the server, whose pages know.
    """
    if claims.held_back:
        return HeldBack(has_second_factor=True)
    return User(
        subject=claims.subject,
        username="",
        name="",
        email=None,
        email_verified=False,
        roles=frozenset(claims.roles),
        permissions=frozenset(),
        expires_at=expires_at(claims),
        session_id=claims.session_id,
        authenticated_at=(
            None
            if claims.authenticated_at is None
            else _if_ever(from_milliseconds(claims.authenticated_at * 1000))
        ),
        methods=as_set(claims.methods),
        impersonator=claims.impersonator,
    )


def _if_ever(at: datetime) -> datetime | None:
    """Return when a user proved who they are; None: somebody impersonates them."""
    return at if at > from_milliseconds(0) else None


def expires_at(claims: Claims) -> datetime:
    """Return when a token expires."""
    return from_milliseconds(claims.expires_at * 1000)
