"""The refusals of HTTP: requests that are malformed, too large, or from another site."""

from gatelodge.credentials.refusals import HELD_BACK
from gatelodge.errors import Failed, Invalid, NotPermitted, Refusal
from gatelodge.gate.refusals import NoToken
from gatelodge.marks import N_
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken


class UnsupportedMediaType(Refusal):
    """The body has a content type that the route does not read."""

    code = "unsupported_media_type"
    default = "Send the body as application/json."
    sentence = N_("The browser sent something that is not a form.")


class BodyTooLarge(Refusal):
    """The body is larger than 16 KiB."""

    code = "body_too_large"
    default = "The request body is too large."
    sentence = N_("That was too much text.")


class BodyTooSlow(Refusal):
    """The body did not arrive within 10 seconds."""

    code = "body_too_slow"
    default = "The request body did not arrive in time."
    sentence = N_("What you sent did not arrive in time. Please try again.")


class UriTooLong(Refusal):
    """The path and the query are longer than 4 KiB together."""

    code = "uri_too_long"
    default = "The address is too long."
    sentence = N_("That address is too long.")


class HeadersTooLarge(Refusal):
    """There are too many headers, or a header or all of them together are too large."""

    code = "headers_too_large"
    default = "The request headers are too large."
    sentence = N_("The browser sent more headers than this server reads.")


class MethodNotAllowed(Refusal):
    """The path exists, but not with this method."""

    code = "method_not_allowed"
    default = "This address does not take that method."
    sentence = N_("This address cannot be used that way.")


class MisdirectedRequest(Refusal):
    """The Host header names a host that this server does not answer for."""

    code = "misdirected_request"
    default = (
        "This server does not answer for that host name. See the setting GATELODGE_ALLOWED_HOSTS."
    )
    sentence = N_("This server does not answer for that host name.")


class ConflictingTokens(Invalid):
    """The request carries two different tokens, or a malformed one (RFC 6750, section 3.1)."""

    code = "token_conflict"
    default = "The request carries two different access tokens, or a malformed one."
    sentence = N_("The browser sent two different sign-ins. Please sign in again.")
    oauth_error = "invalid_request"


NOBODY_SIGNED_IN = (NoToken, InvalidToken, ExpiredToken, ConflictingTokens)
"""The refusals that say of a request that nobody is signed in by it."""

NOBODY_FOR_APPLICATIONS = (*NOBODY_SIGNED_IN, *HELD_BACK)
"""The same, and those of sessions that are held back: for applications, nobody is signed in yet."""


class CrossSiteRequest(NotPermitted):
    """A page of an origin that is not configured made the browser send this request."""

    code = "cross_site_request"
    default = "This request came from another site, which this server does not know."
    sentence = N_("This form came from another site. Please open the page here again.")


class InternalError(Failed):
    """An unexpected error. The log has the details, under the request id."""

    code = "internal_error"
    default = "Something went wrong here. The log has it under the request id."
    sentence = N_("An error happened on our side. It is recorded in our log.")
