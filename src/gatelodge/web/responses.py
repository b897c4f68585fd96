"""The one table from refusal to status, and the one shape of a refusal."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from gatelodge import errors

STATUS: Mapping[type[errors.Refusal], int] = {
    errors.InvalidRequest: 400,
    errors.UnsupportedMediaType: 415,
    errors.BodyTooLarge: 413,
    errors.BodyTooSlow: 408,
    errors.UriTooLong: 414,
    errors.HeadersTooLarge: 431,
    errors.NoSuchRoute: 404,
    errors.MethodNotAllowed: 405,
    errors.MisdirectedRequest: 421,
    errors.UsernameTaken: 400,
    errors.EmailTaken: 400,
    errors.InvalidUsername: 400,
    errors.InvalidEmail: 400,
    errors.RejectedPassword: 400,
    errors.UnknownRole: 400,
    errors.RoleNotGrantable: 403,
    errors.NoSuchUser: 404,
    errors.LastAdmin: 409,
    errors.InvalidCredentials: 401,
    errors.HashingBusy: 503,
    errors.TooManyAttempts: 429,
    errors.NoToken: 401,
    errors.NoTokenForBoard: 403,
    errors.InvalidToken: 401,
    errors.ExpiredToken: 401,
    errors.InvalidRefreshToken: 401,
    errors.ExpiredRefreshToken: 401,
    errors.RefreshTokenReused: 401,
    errors.RefreshTokenRequired: 403,
    errors.RefreshTokenNotInDatabase: 403,
    errors.RefreshTokenWasExpired: 403,
    errors.CrossSiteRequest: 403,
    errors.NoSuchSession: 404,
    errors.InvalidSetupLink: 410,
    errors.WrongPassword: 400,
    errors.ConflictingTokens: 400,
    errors.Forbidden: 403,
    errors.ModeratorRequired: 403,
    errors.AdminRequired: 403,
    errors.StoreUnavailable: 503,
    errors.OutcomeUnknown: 503,
    errors.InternalError: 500,
}
"""Every refusal and its HTTP status."""

_CHALLENGE = 'Bearer realm="gatelodge"'
_CHALLENGES: Mapping[type[errors.Refusal], str] = {
    errors.NoToken: _CHALLENGE,
    errors.InvalidCredentials: _CHALLENGE,
    errors.InvalidRefreshToken: _CHALLENGE,
    errors.ExpiredRefreshToken: _CHALLENGE,
    errors.RefreshTokenReused: _CHALLENGE,
    errors.InvalidToken: f'{_CHALLENGE}, error="invalid_token"',
    errors.ExpiredToken: f'{_CHALLENGE}, error="invalid_token"',
    errors.ConflictingTokens: f'{_CHALLENGE}, error="invalid_request"',
    errors.Forbidden: f'{_CHALLENGE}, error="insufficient_scope"',
    errors.ModeratorRequired: f'{_CHALLENGE}, error="insufficient_scope"',
    errors.AdminRequired: f'{_CHALLENGE}, error="insufficient_scope"',
}
"""RFC 6750, section 3: what a refused client is told about tokens."""


def refusal_response(refusal: errors.Refusal, request_id: str) -> Response:
    """Return the answer to a refused request."""
    return JSONResponse(
        refusal_body(refusal, request_id), STATUS[type(refusal)], refusal_headers(refusal)
    )


def refusal_body(refusal: errors.Refusal, request_id: str) -> dict[str, Any]:
    """Return what a refused client reads."""
    body: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.field is not None:
        body["field"] = refusal.field
    if isinstance(refusal, errors.InvalidCredentials):
        body["accessToken"] = None  # the tutorial's clients look for it
    body["request_id"] = request_id
    return body


def refusal_headers(refusal: errors.Refusal) -> dict[str, str]:
    """Return the headers that go with a refusal."""
    headers = {}
    if challenge := _CHALLENGES.get(type(refusal)):
        headers["WWW-Authenticate"] = challenge
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return headers
