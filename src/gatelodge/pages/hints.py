"""The rules that a page's script checks as one types. They are those of the services, as data.

The server checks every form, with more rules than these. A hint is never stricter than the server.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gatelodge.accounts import names
from gatelodge.accounts.refusals import InvalidEmail
from gatelodge.credentials import passwords
from gatelodge.email_address import MAX_EMAIL
from gatelodge.i18n import Language

_ANY = r".*"


@dataclass(frozen=True, slots=True)
class Hint:
    """One rule for the text of a field.

    Attributes:
        says: the server's sentence about a text that breaks the rule, in English.
        least: the minimum number of characters.
        most: the maximum number of characters.
        pattern: a regular expression that the whole text matches, in upper or lower case. It means
            the same in Python and in JavaScript.
    """

    says: str
    least: int = 0
    most: int = 1_000_000
    pattern: str = _ANY


Hints = Mapping[str, tuple[Hint, ...]]
"""The rules of each kind of field, in the order in which the server applies them."""


def hints_of(password_minimum: int) -> Hints:
    """Return the rules, by the kind of field."""
    return {
        "username": (
            Hint(names.NAME_LENGTH, least=names.MIN_USERNAME, most=names.MAX_USERNAME),
            Hint(names.NAME_SPACES, pattern=r"\S*"),
            Hint(names.NAME_LETTERS, pattern=names.USERNAME_LETTERS),
        ),
        "email": (Hint(InvalidEmail.sentence, most=MAX_EMAIL, pattern=_EMAIL),),
        "new-password": (
            Hint(passwords.too_short(password_minimum), least=passwords.at_least(password_minimum)),
            Hint(passwords.TOO_LONG, most=passwords.MAX_CHARACTERS),
        ),
    }


_EMAIL = r"[^\s@]+@(?:[^\s@.\u3002]+(?:[.\u3002][^\s@.\u3002]+)+|localhost)"


def as_data(hints: tuple[Hint, ...], language: Language) -> list[dict[str, object]]:
    """Return the rules for the page's script, with sentences in the reader's language."""
    return [
        {
            "least": each.least,
            "most": each.most,
            "pattern": each.pattern,
            "says": language.sentence(each.says),
        }
        for each in hints
    ]
