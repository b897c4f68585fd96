"""The answer to a refusal: its HTTP status, its headers and its JSON body."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from gatelodge import errors
from gatelodge.errors import Refusal
from gatelodge.web import refusals

STATUS: Mapping[type[Refusal], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooMany: 429,
    errors.Failed: 500,
    errors.Unavailable: 503,
    refusals.MethodNotAllowed: 405,
    refusals.BodyTooSlow: 408,
    refusals.BodyTooLarge: 413,
    refusals.UriTooLong: 414,
    refusals.UnsupportedMediaType: 415,
    refusals.MisdirectedRequest: 421,
    refusals.HeadersTooLarge: 431,
}
"""The HTTP status of each kind of refusal, and of refusals that only HTTP has."""

_CHALLENGE = 'Bearer realm="gatelodge"'
_WANTED = ("acr_values", "max_age")
"""What a challenge says about the sign-in that is wanted (RFC 9470, section 3)."""


def status_of(refusal: type[Refusal]) -> int:
    """Return the HTTP status of a refusal class: the first match in its method resolution order."""
    return next(STATUS[base] for base in refusal.__mro__ if base in STATUS)


def refusal_response(refusal: Refusal, request_id: str) -> Response:
    """Return the JSON answer to a refused request."""
    return JSONResponse(
        refusal_body(refusal, request_id), status_of(type(refusal)), refusal_headers(refusal)
    )


def refusal_body(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """Return the JSON body of a refusal."""
    body: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.field is not None:
        body["field"] = refusal.field
    return {**body, **refusal.members, "request_id": request_id}


def plain_answer(refusal: Refusal) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return status, JSON body and headers with which an application answers a refusal."""
    body = {"code": refusal.code, "message": refusal.message, **refusal.members}
    headers = {**refusal_headers(refusal), "Cache-Control": "no-store"}
    return status_of(type(refusal)), body, headers


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    """Return the headers of a refusal: `Retry-After`, and for tokens `WWW-Authenticate`.

    Source: RFC 6750, section 3.
    """
    headers = {}
    if refusal.oauth_error:
        wanted = "".join(
            f', {name}="{refusal.members[name]}"' for name in _WANTED if name in refusal.members
        )
        headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="{refusal.oauth_error}"{wanted}'
    elif status_of(type(refusal)) == 401:
        headers["WWW-Authenticate"] = _CHALLENGE
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return headers
