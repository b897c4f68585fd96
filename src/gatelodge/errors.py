"""The refusals this project can explain, each with a code that never changes.

A refusal knows no HTTP: `web/responses.py` holds the one table from refusal to status.
"""

from typing import ClassVar


class Refusal(Exception):
    """A "no" that this project can explain.

    Attributes:
        code: for programs; never changes once released.
        message: for people; the tutorial's clients show it as it is.
        field: the request's field that was refused, where there is one.
        retry_after: whole seconds after which asking again makes sense, where known.
    """

    code: ClassVar[str] = "refused"
    default: ClassVar[str] = "The request was refused."

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Refuse, with the class's own message unless a better one is given."""
        self.message = message or self.default
        self.field = field
        self.retry_after = retry_after
        super().__init__(self.message)


# What the request looks like


class InvalidRequest(Refusal):
    """The request is malformed: a field is missing, of the wrong type, or not allowed."""

    code = "invalid_request"
    default = "The request is not valid."


class UnsupportedMediaType(Refusal):
    """The body is of a content type that the route does not read."""

    code = "unsupported_media_type"
    default = "Send the body as application/json."


class BodyTooLarge(Refusal):
    """The body is larger than the route reads."""

    code = "body_too_large"
    default = "The request body is too large."


class BodyTooSlow(Refusal):
    """The body did not arrive in time."""

    code = "body_too_slow"
    default = "The request body did not arrive in time."


class UriTooLong(Refusal):
    """The path and query are longer than the server reads."""

    code = "uri_too_long"
    default = "The address is too long."


class HeadersTooLarge(Refusal):
    """The headers are too many, too long, or too large together."""

    code = "headers_too_large"
    default = "The request headers are too large."


class NoSuchRoute(Refusal):
    """Nothing answers at this path."""

    code = "not_found"
    default = "There is nothing at this address."


class MethodNotAllowed(Refusal):
    """The path exists; the method does not."""

    code = "method_not_allowed"
    default = "This address does not take that method."


class MisdirectedRequest(Refusal):
    """The Host header names a host that this server does not answer for."""

    code = "misdirected_request"
    default = (
        "This server does not answer for that host name. See the setting GATELODGE_ALLOWED_HOSTS."
    )


# Accounts


class UsernameTaken(Refusal):
    """The username, or one that folds to the same key, belongs to somebody."""

    code = "username_taken"
    default = "Failed! Username is already in use!"


class EmailTaken(Refusal):
    """The e-mail address belongs to somebody."""

    code = "email_taken"
    default = "Failed! Email is already in use!"


class InvalidUsername(Refusal):
    """The username breaks the rules for names."""

    code = "username_invalid"
    default = "That username cannot be used."


class InvalidEmail(Refusal):
    """The text is not an e-mail address."""

    code = "email_invalid"
    default = "That is not an e-mail address."


class RejectedPassword(Refusal):
    """The new password breaks the password rules; the message says which."""

    code = "password_rejected"
    default = "That password cannot be used."


class UnknownRole(Refusal):
    """No role has this name."""

    code = "role_unknown"
    default = "Failed! Role does not exist!"


class RoleNotGrantable(Refusal):
    """A sign-up asked for more than `user`."""

    code = "role_not_grantable"
    default = "Only an administrator can grant that role."


class NoSuchUser(Refusal):
    """No user has this id or name."""

    code = "user_not_found"
    default = "There is no such user."


class LastAdmin(Refusal):
    """The change would leave nobody who can administer."""

    code = "last_admin"
    default = "This is the last administrator: make another one first."


# Signing in and staying signed in


class InvalidCredentials(Refusal):
    """Unknown user, wrong password, disabled user: one refusal, at one speed."""

    code = "invalid_credentials"
    default = "Invalid username or password!"


class HashingBusy(Refusal):
    """Every place in the queue for password hashing is taken."""

    code = "hashing_busy"
    default = "Too many people are signing in at this moment. Please try again."


class TooManyAttempts(Refusal):
    """Too many tries have failed; who waits may try again."""

    code = "too_many_attempts"
    default = "Too many tries. Please wait a while before you try again."


class NoToken(Refusal):
    """The request carries no access token."""

    code = "token_missing"
    default = "No token provided!"


class NoTokenForBoard(NoToken):
    """No access token at one of the three boards, which keep the tutorial's status for it."""


class InvalidToken(Refusal):
    """The access token is not one of ours, or its session or user has ended."""

    code = "token_invalid"
    default = "Unauthorized!"


class ExpiredToken(Refusal):
    """The access token was good, and its time is over."""

    code = "token_expired"
    default = "Unauthorized! Access Token was expired!"


class ConflictingTokens(Refusal):
    """Two headers carry two different tokens, or one header is malformed (RFC 6750, 3.1)."""

    code = "token_conflict"
    default = "The request carries two different access tokens, or a malformed one."


class InvalidRefreshToken(Refusal):
    """The refresh token is not one of ours, or its session or user has ended."""

    code = "refresh_token_invalid"
    default = "The refresh token is not valid. Please sign in again."


class ExpiredRefreshToken(Refusal):
    """The session was not used for too long, or has reached its end."""

    code = "refresh_token_expired"
    default = "The session has expired. Please sign in again."


class RefreshTokenReused(Refusal):
    """The refresh token was traded before: somebody else may hold it, and the session ends."""

    code = "refresh_token_reused"
    default = (
        "This session was ended for safety: its refresh token came back. Please sign in again."
    )


class RefreshTokenRequired(Refusal):
    """The tutorial's refresh route was called without a token."""

    code = "refresh_token_required"
    default = "Refresh Token is required!"


class RefreshTokenNotInDatabase(Refusal):
    """The tutorial's words for a refresh token that is not good."""

    code = "refresh_token_invalid"
    default = "Refresh token is not in database!"


class RefreshTokenWasExpired(Refusal):
    """The tutorial's words for a session that has expired."""

    code = "refresh_token_expired"
    default = "Refresh token was expired. Please make a new signin request"


class CrossSiteRequest(Refusal):
    """A page of another origin, which is not configured, made the browser send this."""

    code = "cross_site_request"
    default = "This request came from another site, which this server does not know."


class NoSuchSession(Refusal):
    """The caller has no live session of this id; others' are not told apart from none."""

    code = "session_not_found"
    default = "You have no such session."


class InvalidSetupLink(Refusal):
    """The link that makes the first administrator is not the newest one, or not good any more."""

    code = "setup_link_invalid"
    default = "This link does not work any more."


class WrongPassword(Refusal):
    """The current password, asked for once more, is not right."""

    code = "current_password_wrong"
    default = "The current password is not right."


class Forbidden(Refusal):
    """The caller is known and may not.

    Attributes:
        caller: the id of their user, for the log; None: it is not at hand.
    """

    code = "forbidden"
    default = "You may not do this."

    def __init__(self, *, caller: str | None = None) -> None:
        """Refuse this user."""
        super().__init__()
        self.caller = caller


class ModeratorRequired(Forbidden):
    """The moderator board, asked for by somebody else."""

    code = "moderator_required"
    default = "Require Moderator Role!"


class AdminRequired(Forbidden):
    """The admin board or an admin's route, asked for by somebody else."""

    code = "admin_required"
    default = "Require Admin Role!"


# The server itself


class StoreUnavailable(Refusal):
    """The database did not answer; nothing was changed."""

    code = "store_unavailable"
    default = "The database cannot be reached at this moment. Nothing was changed."


class OutcomeUnknown(Refusal):
    """The database did not confirm the change; it may or may not have happened."""

    code = "outcome_unknown"
    default = "The database did not confirm the change: it may or may not have happened."


class InternalError(Refusal):
    """What nobody foresaw. The log knows more, under the request id."""

    code = "internal_error"
    default = "Something went wrong here. The log has it under the request id."


# What adapters say to services


class AlreadyExists(Exception):
    """A unique value is taken.

    Attributes:
        field: the record's field whose value is taken.
    """

    def __init__(self, field: str) -> None:
        """Name the field."""
        self.field = field
        super().__init__(f"{field} is taken")


class ConfigurationError(Exception):
    """A setting, a file or a database is not as it must be; the message tells the operator."""
