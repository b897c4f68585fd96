"""The refusals for callers who are not signed in, or lack a role or permission."""

from datetime import timedelta

from gatelodge.errors import NotPermitted, Unauthenticated
from gatelodge.marks import N_
from gatelodge.methods import Level


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


class ReauthenticationRequired(Unauthenticated):
    """The caller is signed in, and must show once more who they are (RFC 9470, section 3).

    Attributes:
        members: `max_age`, how many seconds ago the last proof may be, at most; `acr_values`, how
            sure it must be.
    """

    code = "insufficient_user_authentication"
    default = "Sign in again to do this."
    sentence = N_("This needs a newer sign-in. Please sign out, and sign in again.")
    oauth_error = "insufficient_user_authentication"

    def __init__(self, fresh: timedelta | None = None, aal: Level = 1) -> None:
        """Refuse.

        Args:
            fresh: how old the last proof may be, at most; None: its age does not matter.
            aal: how sure it must be, at least.
        """
        super().__init__()
        members: dict[str, object] = {}
        if fresh is not None:
            members["max_age"] = int(fresh.total_seconds())
        if aal > 1:
            members["acr_values"] = f"aal{aal}"
        self.members = members


class AdminRequired(Forbidden):
    """The page or route is only for administrators."""

    code = "admin_required"
    default = "Require Admin Role!"
    sentence = N_("This page is for administrators.")
