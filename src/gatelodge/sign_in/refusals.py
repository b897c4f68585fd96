"""What is refused of a sign-in."""

from collections.abc import Mapping

from gatelodge.errors import Unauthenticated
from gatelodge.marks import N_

_NO_TOKEN: Mapping[str, object] = {"accessToken": None}
"""What the tutorial's clients look for in the answer to a sign-in that was refused."""


class InvalidCredentials(Unauthenticated):
    """Unknown user, wrong password, disabled user: one refusal, at one speed."""

    code = "invalid_credentials"
    default = "Invalid username or password!"
    sentence = N_("That username and password do not match.")
    members = _NO_TOKEN
    form_field = "password"


class SecondFactorRequired(Unauthenticated):
    """The password was right, and one more proof is asked for."""

    code = "second_factor_required"
    default = N_("One more proof is needed to sign in.")

    def __init__(self, challenge: str, methods: tuple[str, ...]) -> None:
        """Name the question, and the factors that are taken as its proof."""
        super().__init__()
        self.members = {**_NO_TOKEN, "challenge": challenge, "methods": list(methods)}
