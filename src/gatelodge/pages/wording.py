"""What pages say: notices after something was done, and refusals in a page's words.

A refusal's own message is the tutorial's where its clients depend on it; people read these.
"""

from collections.abc import Mapping

from gatelodge.errors import InvalidRequest, Refusal
from gatelodge.i18n import Language
from gatelodge.marks import N_
from gatelodge.web.responses import status_of

NOTICES: Mapping[str, str] = {
    "account-deleted": N_("Your account is deleted."),
    "device-signed-out": N_("That device is signed out."),
    "password-changed": N_("Your password is changed. Every other device is signed out."),
    "signed-out": N_("You are signed out."),
    "signed-out-everywhere": N_("You are signed out on every device."),
    "signed-up": N_("Welcome! Your account is ready."),
    "admin-made": N_("Welcome! You are the administrator of this site."),
}
"""What a page says on top, by the word in its address."""

ROLES = (N_("user"), N_("moderator"), N_("admin"))
"""What the roles of every installation are called; others by their own names."""

_MORE = (N_("Unknown device"), N_("Android app"))
"""What `sessions/devices.py` says, which knows no languages."""

_TITLES: Mapping[int, str] = {
    401: N_("Please sign in"),
    403: N_("Not for you"),
    404: N_("Nothing here"),
    405: N_("Not this way"),
    408: N_("Too slow"),
    413: N_("Too large"),
    414: N_("Too long"),
    421: N_("Wrong host"),
    429: N_("Too many tries"),
    431: N_("Too large"),
    500: N_("Something went wrong"),
    503: N_("Back in a moment"),
}

_A_MOMENT = 10  # seconds

_OTHER_TITLE = N_("That did not work")


def sentence_of(refusal: Refusal, language: Language) -> str:
    """Return what a page says of a refusal, and for how long it stands where that is long.

    Messages that say more than their code, such as which rule a name breaks, are shown as they
    are; the catalogue has those too.
    """
    special = refusal.message != refusal.default and not isinstance(refusal, InvalidRequest)
    told = language.sentence(refusal.message if special else refusal.sentence or refusal.message)
    if refusal.retry_after is None or refusal.retry_after <= _A_MOMENT:
        return told
    again = language.sentence(N_("Please try again %(when)s."))
    return f"{told} {again % {'when': language.wait(refusal.retry_after)}}"


def title_of(refusal: Refusal) -> str:
    """Return the heading of a refusal's page, in the code's language."""
    return _TITLES.get(status_of(type(refusal)), _OTHER_TITLE)
