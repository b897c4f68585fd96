"""The sentences of pages: notices after an action, and the texts of refusals.

Many refusals have a message that the tutorial's clients depend on. Pages show other sentences.
"""

from collections.abc import Mapping

from gatelodge.errors import InvalidRequest, Refusal
from gatelodge.i18n import Language
from gatelodge.marks import N_
from gatelodge.web.responses import status_of

NOTICES: Mapping[str, str] = {
    "account-deleted": N_("Your account is deleted."),
    "app-added": N_("The app is added. A new sign-in asks for its code."),
    "app-removed": N_("The app is removed."),
    "browser-forgotten": N_("That browser is asked for a code again."),
    "codes-made": N_("These are your new codes. The old ones do not work any more."),
    "device-signed-out": N_("That device is signed out."),
    "factor-renamed": N_("The new name is saved."),
    "new-secret": N_("That took too long. Here is a new code: scan this one."),
    "passkey-removed": N_("The passkey is removed."),
    "password-breached": N_(
        "Your password is in a list of passwords that were stolen from other sites. "
        "Please change it."
    ),
    "password-must-change": N_(
        "Your password is in a list of passwords that were stolen from other sites. "
        "Set a new one, then sign in."
    ),
    "password-required": N_(
        "Whoever runs this site has asked you to set a new password. Set one, then sign in."
    ),
    "password-changed": N_("Your password is changed. Every other device is signed out."),
    "password-void": N_(
        "Your e-mail address is verified. The password of this account was removed, because "
        "somebody else may have chosen it. “Forgot your password?” at the sign-in sets a new one."
    ),
    "password-reset": N_("Your password is changed. Sign in with it."),
    "verify-first": N_("Verify your e-mail address, then sign in. We have sent you a letter."),
    "email-verified": N_("Your e-mail address is verified."),
    "email-restored": N_("Your account has its former address again. Now set a new password."),
    "stopped": N_("You are signed out on every device. Now set a new password."),
    "passkey-added": N_("Your passkey is added."),
    "profile-saved": N_("Your profile is saved."),
    "sign-in-as-yourself": N_("You do not see this as another user any more. Please sign in."),
    "yourself-again": N_("You are yourself again."),
    "send-again": N_("Nothing has changed yet. Please send the form once more."),
    "signed-out": N_("You are signed out."),
    "signed-out-everywhere": N_("You are signed out on every device."),
    "took-too-long": N_("That took too long. Please sign in again."),
    "was-signed-out": N_("You were signed out. Please sign in again."),
    "signed-up": N_("Welcome! Your account is ready."),
    "signed-up-unverified": N_("Welcome! Verify your e-mail address, then sign in."),
    "invited": N_("The invitation is on its way."),
    "invitation-withdrawn": N_("The invitation is void."),
    "nobody-chosen": N_("Nobody was chosen. Tick the users first."),
    "roles-saved": N_("The roles are saved."),
    "user-created": N_("The user is created."),
    "user-deleted": N_("The user is deleted."),
    "role-described": N_("The description is saved."),
    "role-deleted": N_("The role is deleted."),
    "role-made": N_("The role is made. Nobody holds it yet."),
    "roles-changed": N_("The roles are changed. That takes effect with the next request."),
    "roles-same": N_("You have changed nothing."),
    "letter-retried": N_("The letter is sent as soon as possible."),
    "key-made": N_("The next key is published. It signs in five minutes."),
    "key-waits": N_("A key is published already that does not sign yet."),
    "key-retired": N_("The key is dropped. Its tokens are invalid."),
    "user-disabled": N_("The user is disabled, and signed out everywhere."),
    "user-enabled": N_("The user can sign in again."),
    "user-factors-reset": N_("The second factors are removed, and the user is signed out."),
    "user-invited": N_("The user is created. A letter lets them choose a password."),
    "user-letter": N_("The letter is on its way."),
    "user-must-set": N_("At the next sign-in, the user sets a new password."),
    "user-saved": N_("The user is saved."),
    "user-session-ended": N_("The session has ended."),
    "user-signed-out": N_("The user is signed out everywhere."),
    "admin-made": N_("Welcome! You are the administrator of this site."),
}
"""The notices at the top of a page, by the key that is carried to it (`carried.py`)."""

_ON_ANY_PASSKEY = {
    "other": N_("That did not work. Please try again."),
    "SecurityError": N_("Passkeys do not work at this address."),
}
_ON_NEW_PASSKEY = _ON_ANY_PASSKEY | {
    "NotAllowedError": N_("No passkey was made. Please try again."),
    "InvalidStateError": N_("This device has a passkey for your account already."),
    "ConstraintError": N_("This device cannot make a passkey."),
    "NotSupportedError": N_("This device cannot make a passkey."),
}
_ON_PASSKEY = _ON_ANY_PASSKEY | {
    "NotAllowedError": N_("No passkey was used. Please try again, or sign in another way."),
}

ROLES = (N_("user"), N_("moderator"), N_("admin"))
"""The names of the built-in roles, for translation; other roles show their own name."""

_DEVICE_TEXTS = (N_("Unknown device"), N_("Android app"))
"""The texts of `sessions/devices.py`, for translation."""

_TITLES: Mapping[int, str] = {
    401: N_("Please sign in"),
    403: N_("No access"),
    404: N_("Page not found"),
    405: N_("Not possible"),
    408: N_("Too slow"),
    413: N_("Too large"),
    414: N_("Too long"),
    421: N_("Wrong host"),
    429: N_("Too many tries"),
    431: N_("Too large"),
    500: N_("Something went wrong"),
    503: N_("Not available just now"),
}

_SHORT_WAIT = 10  # seconds

_OTHER_TITLE = N_("That did not work")


def passkey_says(language: Language, *, makes: bool) -> dict[str, str]:
    """Return what a page says when the browser has no passkey for us, by the name of its error.

    Args:
        language: the reader's language.
        makes: whether it was asked to make one.
    """
    told = _ON_NEW_PASSKEY if makes else _ON_PASSKEY
    return {error: language.plain(sentence) for error, sentence in told.items()}


def sentence_of(refusal: Refusal, language: Language) -> str:
    """Return the translated sentence about a refusal, with the time to wait if that is long.

    A message other than the default of the class tells more than the code, such as which rule a
    name breaks. Then the message is shown, translated.
    """
    special = refusal.message != refusal.default and not isinstance(refusal, InvalidRequest)
    told = language.sentence(refusal.message if special else refusal.sentence or refusal.message)
    if refusal.retry_after is None or refusal.retry_after <= _SHORT_WAIT:
        return told
    again = language.sentence(N_("Please try again %(when)s."))
    return f"{told} {again % {'when': language.wait(refusal.retry_after)}}"


def title_of(refusal: Refusal) -> str:
    """Return the heading of a refusal's page, in English."""
    return _TITLES.get(status_of(type(refusal)), _OTHER_TITLE)
