"""What is refused of the links and codes in letters."""

from collections.abc import Mapping

from gatelodge.errors import Invalid, Unauthenticated
from gatelodge.marks import N_


class InvalidCode(Invalid):
    """A code or a link from a letter is wrong, was used, is too old, or a newer one was sent."""

    code = "code_invalid"
    default = "This code or link does not work, or not any more."
    sentence = N_("This does not work, or not any more. Check it, or ask for a new letter.")
    form_field = "code"


class EmailNotVerified(Unauthenticated):
    """The password was right, and the e-mail address must be verified first."""

    code = "email_not_verified"
    default = N_("Verify your e-mail address first: open the letter that we sent you.")
    sentence = N_("Verify your e-mail address first: open the letter that we sent you.")
    members: Mapping[str, object] = {"accessToken": None}
