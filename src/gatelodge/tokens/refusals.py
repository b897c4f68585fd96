"""The refusals about access tokens."""

from gatelodge.errors import NotFound, Unauthenticated
from gatelodge.marks import N_


class InvalidToken(Unauthenticated):
    """The access token is not valid here, or its session or user has ended."""

    code = "token_invalid"
    default = "Unauthorized!"
    sentence = N_("Your sign-in has ended.")
    oauth_error = "invalid_token"


class ExpiredToken(Unauthenticated):
    """The access token has expired, and is valid otherwise."""

    code = "token_expired"
    default = "Unauthorized! Access Token was expired!"
    sentence = N_("Your sign-in has expired.")
    oauth_error = "invalid_token"


class NoSuchKey(NotFound):
    """No signing key has this id."""

    code = "key_not_found"
    default = "There is no such signing key."
    sentence = N_("There is no such signing key.")
