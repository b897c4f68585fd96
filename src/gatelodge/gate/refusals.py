"""The refusals for callers who are not signed in, or lack a role or permission."""

from gatelodge.errors import NotPermitted, Unauthenticated
from gatelodge.marks import N_


class NoToken(Unauthenticated):
    """The request carries no access token."""

    code = "token_missing"
    default = "No token provided!"
    sentence = N_("This page is for people who are signed in.")


class Forbidden(NotPermitted):
    """The caller is signed in, but lacks a role or permission.

    Attributes:
        caller: the caller's user id, for the log; None: it is not known here.
    """

    code = "forbidden"
    default = "You may not do this."
    sentence = N_("You are signed in, but your account has no access to this page.")
    oauth_error = "insufficient_scope"

    def __init__(self, *, caller: str | None = None) -> None:
        """Refuse the user with this id."""
        super().__init__()
        self.caller = caller


class Impersonating(Forbidden):
    """Whoever sees the application as another user does may not do this in their place."""

    code = "impersonating"
    default = N_("You see this as another user does. Only the user may do that.")
    sentence = default


class AdminRequired(Forbidden):
    """The page or route is only for administrators."""

    code = "admin_required"
    default = "Require Admin Role!"
    sentence = N_("This page is for administrators.")
