"""What pages say: notices after something was done, and refusals in a page's words.

A refusal's own message is the tutorial's where its clients depend on it; people read these.
"""

from collections.abc import Mapping

from gatelodge.errors import Refusal
from gatelodge.i18n import N_, Language
from gatelodge.web.responses import STATUS

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

_SENTENCES: Mapping[str, str] = {
    "cross_site_request": N_("This form came from another site. Please open the page here again."),
    "current_password_wrong": N_("That is not your current password."),
    "email_invalid": N_("Enter an e-mail address, such as name@example.com."),
    "email_taken": N_("There is an account with this e-mail address already."),
    "hashing_busy": N_("Many people are signing in just now. Please try again in a moment."),
    "internal_error": N_("That was our mistake, not yours. It is in our log."),
    "invalid_credentials": N_("That username and password do not match."),
    "invalid_request": N_("The browser sent something that this page does not understand."),
    "last_admin": N_(
        "You are the last administrator. Make somebody else one before you delete your account."
    ),
    "method_not_allowed": N_("This address cannot be used that way."),
    "misdirected_request": N_("This server does not answer for that host name."),
    "not_found": N_("The address may be misspelt, or the page is gone."),
    "outcome_unknown": N_(
        "The database did not confirm the change. Please look whether it happened "
        "before you try again."
    ),
    "store_unavailable": N_("The database cannot be reached just now. Nothing was changed."),
    "body_too_large": N_("That was too much text."),
    "body_too_slow": N_("What you sent did not arrive in time. Please try again."),
    "headers_too_large": N_("The browser sent more headers than this server reads."),
    "moderator_required": N_("This board is for moderators."),
    "admin_required": N_("This page is for administrators."),
    "forbidden": N_("You are signed in, but this is not for you."),
    "setup_link_invalid": N_("This link does not work any more."),
    "token_conflict": N_("The browser sent two different sign-ins. Please sign in again."),
    "token_expired": N_("Your sign-in has expired."),
    "token_invalid": N_("Your sign-in has ended."),
    "token_missing": N_("This page is for people who are signed in."),
    "too_many_attempts": N_("There were too many tries."),
    "unsupported_media_type": N_("The browser sent something that is not a form."),
    "uri_too_long": N_("That address is too long."),
    "username_taken": N_("That username is taken. Please choose another."),
}

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
    sentence = _SENTENCES.get(refusal.code)
    special = refusal.message != type(refusal).default and refusal.code != "invalid_request"
    told = language.sentence(refusal.message if sentence is None or special else sentence)
    if refusal.retry_after is None or refusal.retry_after <= _A_MOMENT:
        return told
    again = language.sentence(N_("Please try again %(when)s."))
    return f"{told} {again % {'when': language.wait(refusal.retry_after)}}"


def title_of(refusal: Refusal) -> str:
    """Return the heading of a refusal's page, in the code's language."""
    return _TITLES.get(STATUS[type(refusal)], _OTHER_TITLE)
