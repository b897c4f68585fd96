"""The refusals about the user's own factors."""

from gatelodge.errors import Conflict, Gone, NotFound, NotPermitted
from gatelodge.marks import N_


class NoSuchFactor(NotFound):
    """The user has no factor of this id."""

    code = "factor_not_found"
    default = N_("You have no such factor.")
    sentence = N_("That was removed already.")


class EnrolmentOver(Gone):
    """The secret of an authenticator app waits no longer for its first code."""

    code = "enrolment_over"
    default = N_("That took too long. Please begin again.")
    sentence = N_("That took too long. Please begin again.")


class TooManyFactors(Conflict):
    """The user has the maximum number of factors of this kind."""

    code = "too_many_factors"
    default = N_("You have ten of these already. Remove one first.")
    sentence = N_("You have ten of these already. Remove one first.")


class PasskeyTaken(Conflict):
    """Some user has this passkey."""

    code = "passkey_taken"
    default = N_("This passkey is in use already.")
    sentence = N_("This passkey is in use already.")


class NoSecondFactor(Conflict):
    """Recovery codes stand in for a second factor, and the user has none."""

    code = "no_second_factor"
    default = N_("Add an authenticator app or a passkey first.")
    sentence = N_("Add an authenticator app or a passkey first.")


class LastSecondFactor(Conflict):
    """The user must have a second factor, and this is the last one."""

    code = "last_second_factor"
    default = N_("You need a second factor here. Add another one before you remove this one.")
    sentence = N_("You need a second factor here. Add another one before you remove this one.")


class SecondFactorsOff(NotPermitted):
    """The operator lets nobody add a second factor."""

    code = "second_factors_off"
    default = N_("Second factors cannot be added here.")
    sentence = N_("Second factors cannot be added here.")
