"""What is refused of a sign-in."""

from collections.abc import Mapping
from typing import ClassVar

from gatelodge.errors import Unauthenticated
from gatelodge.marks import N_


class InvalidCredentials(Unauthenticated):
    """Unknown user, wrong password, disabled user: one refusal, at one speed."""

    code = "invalid_credentials"
    default = "Invalid username or password!"
    sentence = N_("That username and password do not match.")
    members: ClassVar[Mapping[str, object]] = {
        "accessToken": None
    }  # the tutorial's clients look for it
    form_field = "password"
