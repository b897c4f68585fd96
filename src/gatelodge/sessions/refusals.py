"""The refusals for refresh tokens and sessions."""

from gatelodge.errors import NotFound, NotPermitted, Unauthenticated


class InvalidRefreshToken(Unauthenticated):
    """The refresh token is not ours, or its session or user has ended."""

    code = "refresh_token_invalid"
    default = "The refresh token is not valid. Please sign in again."


class ExpiredRefreshToken(Unauthenticated):
    """The session was idle for too long, or has reached its maximum age."""

    code = "refresh_token_expired"
    default = "The session has expired. Please sign in again."


class RefreshTokenReused(Unauthenticated):
    """The refresh token was traded before, so somebody else may hold it; the session ends."""

    code = "refresh_token_reused"
    default = (
        "This session was ended for safety: its refresh token came back. Please sign in again."
    )


class RefreshTokenRequired(NotPermitted):
    """The tutorial's refresh route was called without a token."""

    code = "refresh_token_required"
    default = "Refresh Token is required!"


class RefreshTokenNotInDatabase(NotPermitted):
    """The tutorial's text for a refresh token that is not valid."""

    code = "refresh_token_invalid"
    default = "Refresh token is not in database!"


class RefreshTokenWasExpired(NotPermitted):
    """The tutorial's text for a session that has expired."""

    code = "refresh_token_expired"
    default = "Refresh token was expired. Please make a new signin request"


class NoSuchSession(NotFound):
    """The caller has no live session of this id; another user may have one."""

    code = "session_not_found"
    default = "You have no such session."
