"""The rules for usernames and e-mail addresses, and the keys by which they are compared."""

import re
import unicodedata

from gatelodge.accounts.refusals import InvalidEmail, InvalidName, InvalidUsername
from gatelodge.email_address import INVISIBLE, has_invisible, read_address

MIN_USERNAME, MAX_USERNAME = 3, 32
USERNAME_LETTERS = r"[a-z0-9][a-z0-9._-]*"
_USERNAME_KEY = re.compile(USERNAME_LETTERS)

NAME_LENGTH = f"A username has {MIN_USERNAME} to {MAX_USERNAME} characters."
NAME_SPACES = "A username cannot contain spaces or invisible characters."
NAME_LETTERS = (
    "A username is made of letters a to z, digits, dots, hyphens and underscores, "
    "and starts with a letter or a digit."
)

MAX_NAME = 100

_UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))

# Names that people would take for the operator, or for the server itself. The mailboxes that mean
# the operator are those of RFC 2142.
_SPEAKS_FOR_THE_HOUSE = frozenset(
    (
        "abuse",
        "admin",
        "administrator",
        "api",
        "command",
        "gatelodge",
        "hostmaster",
        "no-reply",
        "noreply",
        "operator",
        "owner",
        "postmaster",
        "root",
        "security",
        "server",
        "support",
        "system",
        "webmaster",
    )
)
# Names that programs and people read as no name, or as everybody's.
_NOBODYS = frozenset(
    (
        "anonymous",
        "anybody",
        "anyone",
        "everybody",
        "everyone",
        "false",
        "guest",
        "me",
        "nan",
        "nil",
        "nobody",
        "none",
        "null",
        "self",
        "true",
        "undefined",
        "unknown",
        "void",
        "you",
    )
)
# The path segments of the server's own URLs, and of those that lead to them.
_ROUTES = frozenset(
    (
        "account",
        "activity",
        "again",
        "auth",
        "authenticator",
        "authorize",
        "boards",
        "browsers",
        "bulk",
        "change-password",
        "code",
        "confirm",
        "console",
        "dev",
        "disable",
        "docs",
        "email",
        "enable",
        "end",
        "events",
        "export",
        "factors",
        "favicon.ico",
        "forget",
        "forgot",
        "healthz",
        "home",
        "html",
        "impersonate",
        "impersonation",
        "invitation",
        "invitations",
        "jwks",
        "jwks.json",
        "keys",
        "letter",
        "letters",
        "log-in",
        "log-out",
        "login",
        "logout",
        "metrics",
        "new",
        "oauth",
        "openapi",
        "openapi.json",
        "options",
        "outbox",
        "overview",
        "passkey",
        "passkeys",
        "password",
        "password-letter",
        "permissions",
        "profile",
        "readyz",
        "recovery",
        "recovery-codes",
        "refresh",
        "refreshtoken",
        "register",
        "remove",
        "rename",
        "require-new-password",
        "resend",
        "reset",
        "reset-factors",
        "reset-password",
        "robots.txt",
        "roles",
        "second",
        "sessions",
        "settings",
        "setup",
        "sign-in",
        "sign-out",
        "sign-out-everywhere",
        "sign-up",
        "signin",
        "signout",
        "signup",
        "static",
        "stop",
        "test",
        "token",
        "totp",
        "undo-email",
        "userinfo",
        "users",
        "verify",
        "verify-email",
        "view-as",
        "webauthn",
        "well-known",
    )
)
_RESERVED = _SPEAKS_FOR_THE_HOUSE | _NOBODYS | _ROUTES

_NOT_IN_NAMES = INVISIBLE - {"Zs"} | {"Co"}
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are written with them


def username_key(text: str) -> str:
    """Return the key by which a username is compared. Usernames with equal keys are one name.

    Every text has a key. It is folded by Unicode's compatibility caseless match (section 3.13,
    D146). A text that is longer than any username is cut first, because normalising takes quadratic
    time on hostile text; the cut text is still too long to be a user's name. Surrogates, which no
    database can store, become question marks, which no username contains.
    """
    text = text[: MAX_USERNAME + 1].encode("utf-8", "replace").decode()
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def check_username(text: str, *, reserved_allowed: bool = False) -> str:
    """Check that a new user may have this username, and return its key.

    Args:
        text: the username as typed.
        reserved_allowed: whether reserved names such as `admin` are allowed: yes on the command
            line, no at sign-up.

    Raises:
        InvalidUsername: the name breaks the rules; the message says which.
    """
    key = username_key(text)
    problem = _username_problem(text, key)
    if problem is None and key in _RESERVED and not reserved_allowed:
        problem = "That username is reserved. Please choose another."
    if problem is not None:
        raise InvalidUsername(problem, field="username")
    return key


def _username_problem(text: str, key: str) -> str | None:
    # Folding drops no character (a test tries every code point). So a text that is too long never
    # gets the key of a shorter username, and the length may be checked as typed.
    if not MIN_USERNAME <= len(text) <= MAX_USERNAME or len(key) > MAX_USERNAME:
        return NAME_LENGTH
    if has_invisible(text):
        return NAME_SPACES
    if len(key) < MIN_USERNAME or _USERNAME_KEY.fullmatch(key) is None:
        return NAME_LETTERS
    return None


def check_name(text: str) -> str:
    """Check what somebody wants to be called; return it as it is stored.

    It is trimmed, and stored in NFC. An empty name is allowed.

    Raises:
        InvalidName: the name is too long, or has control, bidi or invisible characters.
    """
    if len(text) > 4 * MAX_NAME:  # normalising takes quadratic time on hostile text
        raise InvalidName(field="name")
    name = unicodedata.normalize("NFC", text).strip()
    seen = name.translate(dict.fromkeys(map(ord, _JOINERS)))
    hidden = any(unicodedata.category(character) in _NOT_IN_NAMES for character in seen)
    if len(name) > MAX_NAME or hidden or (name and not seen.strip()):
        raise InvalidName(field="name")
    return name


def is_one_line(text: str) -> bool:
    """Return whether a text has printable characters only, and no line break."""
    return not any(unicodedata.category(character) in _UNPRINTABLE for character in text)


def check_email(text: str) -> tuple[str, str]:
    """Check an e-mail address; return it as it is stored, and the key by which it is compared.

    Raises:
        InvalidEmail: the text is not an e-mail address.
    """
    try:
        email = read_address(text)
    except ValueError:
        raise InvalidEmail(field="email") from None
    return email, unicodedata.normalize("NFC", email.lower())


def email_key(text: str) -> str:
    """Return the key by which an e-mail address is compared.

    Every text has a key. The key of a text that is no address begins with a space, which no
    address contains.
    """
    try:
        return check_email(text)[1]
    except InvalidEmail:
        return f" {username_key(text)}"
