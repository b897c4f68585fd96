"""What is refused of the links and codes in letters."""

from gatelodge.errors import Invalid, Unauthenticated, Unavailable
from gatelodge.marks import N_


class InvalidCode(Invalid):
    """A code or a link from a letter is wrong, was used, is too old, or a newer one was sent."""

    code = "code_invalid"
    default = "This code or link does not work, or not any more."
    sentence = N_("This does not work, or not any more. Check it, or ask for a new letter.")
    form_field = "code"


class InvitationInUse(Unavailable):
    """Somebody else is accepting an invitation, and may have to let go of it."""

    code = "invitation_in_use"
    default = N_("Somebody is accepting this invitation right now. Try again in a minute.")
    sentence = default


class EmailNotVerified(Unauthenticated):
    """The password was right, and the e-mail address must be verified first.

    Attributes:
        request: what the browser needs for the code in the letter that was sent because of this.
    """

    code = "email_not_verified"
    default = N_("Verify your e-mail address first: open the letter that we sent you.")
    sentence = N_("Verify your e-mail address first: open the letter that we sent you.")

    def __init__(self, request: str = "") -> None:
        """Put the browser's half of the code in the letter into the answer."""
        super().__init__()
        self.request = request
        self.members = {"accessToken": None, "request": request}


class PasswordMustChange(Unauthenticated):
    """The user has proved who they are, and must set a new password first: theirs is breached.

    Attributes:
        request: what the browser needs for the code in the letter that was sent because of this;
            empty: none was sent.
        token: what sets the new password, where no letter was sent; empty: a letter was sent.
    """

    code = "password_must_change"
    default = N_(
        "Set a new password first: yours is in a list of passwords that were stolen from other "
        "sites."
    )
    sentence = default

    def __init__(self, *, request: str = "", token: str = "") -> None:
        """Put what sets the new password into the answer: the one of the two that there is."""
        super().__init__()
        self.request = request
        self.token = token
        way = {"token": token} if token else {"request": request}
        self.members = {"accessToken": None, **way}


class PasswordRequired(PasswordMustChange):
    """Whoever runs the site wants a new password of the user, who has proved who they are."""

    default = N_("Set a new password first: whoever runs this site has asked you to.")
    sentence = default
