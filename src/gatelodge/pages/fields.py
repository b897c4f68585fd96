"""The form fields that several pages use."""

from collections.abc import Callable, Iterable, Iterator

from gatelodge.accounts.names import check_email, check_username
from gatelodge.credentials.service import Passwords
from gatelodge.errors import Refusal
from gatelodge.marks import N_
from gatelodge.pages.door import Visit
from gatelodge.pages.forms import Field

NEXT = Field("next")
"""The address to redirect to afterwards."""

USERNAME = Field("username", missing=N_("Enter a username."), trimmed=True)
EMAIL = Field("email", missing=N_("Enter your e-mail address."), trimmed=True)
FOR_PASSWORD_MANAGERS = Field("username")
"""The hidden username in forms of a signed-in user: password managers save it."""

ASKED = Field("challenge", secret=True)
"""The question that a passkey answers."""

CREDENTIAL = Field("credential", secret=True)
"""What a passkey has answered, as JSON."""

PASSWORD = Field("password", missing=N_("Enter your password."), secret=True)
NEW_PASSWORD = Field("password", missing=N_("Enter a password."), secret=True)


def faults_of_new_user(visit: Visit) -> Iterator[Refusal]:
    """Yield the refusals of what was typed for a new user, for a form that lacks a field.

    The service would name all of them, but is not asked while something is missing. Whether a name
    is reserved is left to it.
    """
    name, email, password = (visit.form[each.name] for each in (USERNAME, EMAIL, NEW_PASSWORD))
    passwords = visit.ask(Passwords)
    yield from faults_of_new_names(visit)
    yield from faults_of((lambda: passwords.check_new(password, context=(name, email)),))


def faults_of_new_names(visit: Visit) -> Iterator[Refusal]:
    """Yield the same for a new user without a password."""
    name, email = (visit.form[each.name] for each in (USERNAME, EMAIL))
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_username(name, reserved_allowed=True),
        lambda: check_email(email),
    )
    yield from faults_of(checks)


def faults_of(checks: Iterable[Callable[[], object]]) -> Iterator[Refusal]:
    """Yield what these checks refuse."""
    for check in checks:
        try:
            check()
        except Refusal as refusal:
            yield refusal
