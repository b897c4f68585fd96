"""The refusals for a sign-in."""

from collections.abc import Mapping, Sequence

from gatelodge.errors import NotPermitted, Unauthenticated
from gatelodge.marks import N_

_NO_TOKEN: Mapping[str, object] = {"accessToken": None}
"""What the tutorial's clients expect in the body when a sign-in is refused."""


class InvalidCredentials(Unauthenticated):
    """Unknown user, wrong password or disabled user: one refusal, after the same time."""

    code = "invalid_credentials"
    default = "Invalid username or password!"
    sentence = N_("That name and password do not match.")
    members = _NO_TOKEN
    form_field = "password"


class SignInByCodeOff(NotPermitted):
    """The operator lets nobody sign in by a code from a letter."""

    code = "sign_in_by_code_off"
    default = N_("Nobody can sign in by e-mail here.")
    sentence = N_("Nobody can sign in by e-mail here.")


class SignUpByPasskeyOff(NotPermitted):
    """The operator lets nobody sign up by a passkey."""

    code = "sign_up_by_passkey_off"
    default = N_("Nobody can sign up by a passkey here.")
    sentence = N_("Nobody can sign up by a passkey here.")


class SecondFactorRequired(Unauthenticated):
    """The first factor was right, and the user has a second one, which is asked for."""

    code = "second_factor_required"
    default = N_("One more proof is needed to sign in.")

    def __init__(self, challenge: str = "", methods: Sequence[str] = ()) -> None:
        """Put the id of the challenge and the accepted factors into the answer."""
        super().__init__()
        self.members = {**_NO_TOKEN, "challenge": challenge, "methods": list(methods)}


class ChallengeOver(Unauthenticated):
    """The challenge for a second factor was answered, has expired, or never existed."""

    code = "challenge_over"
    default = N_("That took too long, or was done already. Please sign in again.")
    sentence = N_("That took too long, or was done already. Please sign in again.")
    members = _NO_TOKEN
