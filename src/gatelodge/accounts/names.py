"""The rules for usernames and e-mail addresses, and the keys by which they are compared."""

import re
import unicodedata

import idna

from gatelodge.accounts.refusals import InvalidEmail, InvalidName, InvalidUsername

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
        "auth",
        "authorize",
        "boards",
        "change-password",
        "console",
        "docs",
        "favicon.ico",
        "healthz",
        "home",
        "jwks",
        "jwks.json",
        "log-in",
        "log-out",
        "login",
        "logout",
        "metrics",
        "oauth",
        "openapi",
        "openapi.json",
        "password",
        "profile",
        "readyz",
        "refresh",
        "refreshtoken",
        "register",
        "robots.txt",
        "sessions",
        "setup",
        "sign-in",
        "sign-out",
        "sign-out-everywhere",
        "sign-up",
        "signin",
        "signout",
        "signup",
        "static",
        "test",
        "token",
        "userinfo",
        "verify",
        "well-known",
    )
)
_RESERVED = _SPEAKS_FOR_THE_HOUSE | _NOBODYS | _ROUTES

MAX_EMAIL = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_MAX_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
_MAX_DOMAIN = 253  # RFC 1035, 2.3.4, without the length bytes
_ENCODED = "xn--"
_PLAIN_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # UTS 46, section 2.3: what people type for a dot
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))
_NOT_IN_NAMES = _INVISIBLE - {"Zs"} | {"Co"}
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are written with them

# The Dot-string of RFC 5321, 4.1.2, with the letters of RFC 6531. Quoted local parts are refused:
# hardly anybody has one, and header injection needs their quotes, commas and brackets.
_LOCAL_PART = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
    r"(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+)*",
    re.IGNORECASE,
)


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
    if _has_invisible(text):
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


def check_email(text: str) -> tuple[str, str]:
    """Check an e-mail address; return it as it is stored, and the key by which it is compared.

    The local part is stored as typed (in NFC; RFC 6532, section 3.1). The domain is stored in lower
    case and in the ASCII form that mail servers and resolvers use (IDNA2008 A-labels).

    Raises:
        InvalidEmail: the text is not an e-mail address.
    """
    if len(text) > MAX_EMAIL or _has_invisible(text) or text.count("@") != 1:
        raise InvalidEmail(field="email")
    typed_local_part, _, typed_domain = text.partition("@")
    local_part = _local_part(typed_local_part)
    domain = _domain(typed_domain)
    if local_part is None or domain is None:
        raise InvalidEmail(field="email")
    email = f"{local_part}@{domain}"
    if len(email.encode()) > MAX_EMAIL:
        raise InvalidEmail(field="email")
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


def _has_invisible(text: str) -> bool:
    """Return whether a text has spaces, control, bidi or zero-width characters, or surrogates."""
    return any(unicodedata.category(character) in _INVISIBLE for character in text)


def _local_part(typed: str) -> str | None:
    local_part = unicodedata.normalize("NFC", typed)
    if _LOCAL_PART.fullmatch(local_part) is None:
        return None
    if len(local_part.encode()) > _MAX_LOCAL_PART:
        return None
    return local_part


def _domain(typed: str) -> str | None:
    """Return a domain in lower case and in ASCII form, or None if it cannot receive mail."""
    try:
        domain = ".".join(_label(label) for label in _DOTS.split(typed))
    except ValueError:
        return None
    if len(domain) > _MAX_DOMAIN:
        return None
    last_label = domain.rpartition(".")[2]
    if "." not in domain:
        return domain if domain == "localhost" else None
    # An empty last label is a final dot; a last label of digits makes it an IPv4 address.
    return None if not last_label or last_label.isdigit() else domain


def _label(typed: str) -> str:
    """Return one label of a domain in lower case and in ASCII form.

    A label of ASCII letters, digits and hyphens is not encoded, even with hyphens in its third and
    fourth place (RFC 5890, 2.3.1): such names exist and receive mail.

    Raises:
        ValueError: it is not a label (`idna.IDNAError` is a subclass).
    """
    lower = typed.lower()
    if _PLAIN_LABEL.fullmatch(lower) and not lower.startswith(_ENCODED):
        return lower
    return idna.encode(typed, uts46=True, std3_rules=True).decode()
