"""What callers are refused who are not signed in, or may not."""

from gatelodge.errors import NotPermitted, Unauthenticated
from gatelodge.marks import N_


class NoToken(Unauthenticated):
    """The request carries no access token."""

    code = "token_missing"
    default = "No token provided!"
    sentence = N_("This page is for people who are signed in.")


class Forbidden(NotPermitted):
    """The caller is known and may not.

    Attributes:
        caller: the id of their user, for the log; None: it is not at hand.
    """

    code = "forbidden"
    default = "You may not do this."
    sentence = N_("You are signed in, but your account has no access to this page.")
    oauth_error = "insufficient_scope"

    def __init__(self, *, caller: str | None = None) -> None:
        """Refuse this user."""
        super().__init__()
        self.caller = caller


class AdminRequired(Forbidden):
    """The admin board or an admin's route, asked for by somebody else."""

    code = "admin_required"
    default = "Require Admin Role!"
    sentence = N_("This page is for administrators.")
