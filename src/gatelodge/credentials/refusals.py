"""The refusals about passwords and passkeys, too many tries, and proofs that are too old."""

from datetime import timedelta

from gatelodge.errors import Invalid, NotPermitted, TooMany, Unauthenticated, Unavailable
from gatelodge.marks import N_
from gatelodge.methods import Level


class RejectedPassword(Invalid):
    """The new password breaks a password rule; the message says which."""

    code = "password_rejected"
    default = "That password cannot be used."


class UnusablePasswordHash(Invalid):
    """A password hash that was made elsewhere cannot be checked here."""

    code = "password_hash_unusable"
    default = (
        "A password hash is argon2id (a PHC string, at most 256 MiB, 10 passes and 8 lanes), or "
        "bcrypt with a cost of 10 to 14."
    )


class WrongPassword(Invalid):
    """The current password, which some changes ask for, is wrong."""

    code = "current_password_wrong"
    default = "The current password is not right."
    sentence = N_("That is not your current password.")


class WrongFactorCode(Invalid):
    """The code of a second factor is wrong, was used before, or is too old."""

    code = "factor_code_wrong"
    default = "That code is not right, or was used before."
    sentence = N_("That code is not right, or was used before. Please try the next one.")


class InvalidPasskey(Invalid):
    """What a browser sent as the answer of a passkey cannot be accepted.

    The caller never learns why: whoever tries things out gets no help.

    Attributes:
        reason: what is wrong, for the log and for tests.
    """

    code = "passkey_invalid"
    default = "The passkey could not be verified. Please try again."
    sentence = N_("The passkey could not be verified. Please try again.")

    def __init__(self, reason: str = "not verified") -> None:
        """Refuse for this reason."""
        super().__init__()
        self.reason = reason


class ClonedPasskey(InvalidPasskey):
    """The passkey signed, but has counted less than before: there may be a copy of it."""


class UnknownPasskey(InvalidPasskey):
    """The user whom a passkey names has no such passkey, or is no user here any more.

    The answer says it, so that the browser can tell its owner's device to forget it (WebAuthn Level
    3, "signal unknown credential").
    """

    code = "passkey_unknown"
    default = "This passkey is not known here any more."
    sentence = N_("This passkey is not known here any more. Please sign in another way.")


class PasskeysOff(NotPermitted):
    """The public address has no name that passkeys could be bound to."""

    code = "passkeys_off"
    default = "There are no passkeys on this server."
    sentence = N_("There are no passkeys here.")


class HashingBusy(Unavailable):
    """The queue for password hashing is full."""

    code = "hashing_busy"
    default = "Too many people are signing in at this moment. Please try again."
    sentence = N_("Many people are signing in just now. Please try again in a moment.")


class HashingUnavailable(Unavailable):
    """A password could not be checked or hashed: memory or threads were short."""

    code = "hashing_unavailable"
    default = "The password could not be checked at this moment. Please try again."
    sentence = N_("The password could not be checked just now. Please try again in a moment.")


class TooManyAttempts(TooMany):
    """Too many tries have failed; the caller has to wait."""

    code = "too_many_attempts"
    default = "Too many tries. Please wait a while before you try again."
    sentence = N_("There were too many tries.")


class ReauthenticationRequired(Unauthenticated):
    """The caller is signed in, and must show once more who they are (RFC 9470, section 3).

    Attributes:
        members: `max_age`, how many seconds ago the last proof may be, at most; `acr_values`, how
            sure it must be.
        by_any_proof: whether any new proof is enough, as a password.
    """

    code = "insufficient_user_authentication"
    default = "Sign in again to do this."
    sentence = N_("Please show again that it is you.")
    oauth_error = "insufficient_user_authentication"

    def __init__(
        self, fresh: timedelta | None = None, aal: Level = 1, *, by_any_proof: bool = True
    ) -> None:
        """Refuse.

        Args:
            fresh: how old the last proof may be, at most; None: its age does not matter.
            aal: how sure it must be, at least.
            by_any_proof: whether any new proof is enough.
        """
        super().__init__()
        self.by_any_proof = by_any_proof
        members: dict[str, object] = {}
        if fresh is not None:
            members["max_age"] = int(fresh.total_seconds())
        if aal > 1:
            members["acr_values"] = f"aal{aal}"
        self.members = members


class SecondFactorEnrolmentRequired(NotPermitted, Unauthenticated):
    """The caller must have a second factor, and has none yet.

    It is also an `Unauthenticated`, for applications that catch `NotSignedIn`: to them, nobody is
    signed in yet.
    """

    code = "second_factor_enrolment_required"
    default = (
        "Add an authenticator app or a passkey first: your account needs a second factor here."
    )
    sentence = N_("Your account needs a second factor here. Please add one first.")


HELD_BACK = (SecondFactorEnrolmentRequired, ReauthenticationRequired)
"""The refusals of sessions that only serve to add a second factor, or to prove it."""


def refusal_of_held_back(*, has_second_factor: bool) -> Unauthenticated:
    """Return the refusal of a session whose user must have a second factor, and has not proved it.

    Args:
        has_second_factor: whether the user has one to prove.
    """
    return ReauthenticationRequired(aal=2) if has_second_factor else SecondFactorEnrolmentRequired()
