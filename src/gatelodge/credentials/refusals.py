"""The refusals about passwords and about too many tries."""

from gatelodge.errors import Invalid, TooMany, Unavailable
from gatelodge.marks import N_


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
