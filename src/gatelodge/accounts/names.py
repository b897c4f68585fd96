"""The rules for usernames and e-mail addresses, and the keys by which they are compared."""

import re
import unicodedata

import idna

from gatelodge.accounts.refusals import InvalidEmail, InvalidUsername

_MAX_USERNAME = 32
_USERNAME_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{2,31}")

# Names that would speak for the house.
_SPEAKS_FOR_THE_HOUSE = frozenset(("admin", "root", "support", "system", "api", "null", "me"))
# The first words of its addresses.
_ROUTES = frozenset(
    (
        "account",
        "auth",
        "boards",
        "docs",
        "healthz",
        "jwks",
        "metrics",
        "openapi",
        "readyz",
        "setup",
        "sign-in",
        "sign-out",
        "sign-up",
        "signin",
        "signout",
        "signup",
        "static",
        "test",
        "verify",
        "well-known",
    )
)

_MAX_EMAIL = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_MAX_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
_MAX_DOMAIN = 253  # RFC 1035, 2.3.4, without the length bytes
_ENCODED = "xn--"
_PLAIN_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # UTS 46, section 2.3: what people type for a dot
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))

# The Dot-string of RFC 5321, 4.1.2, with the letters of RFC 6531. Quoted local parts are left
# out: nobody has one, and quotes, commas and brackets are what header injection is made of.
_LOCAL_PART = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
    r"(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+)*",
    re.IGNORECASE,
)


def username_key(text: str) -> str:
    """Return the key of any text that came as a username: equal keys are one name.

    The folding is Unicode's compatibility caseless match (section 3.13, D146). A text longer
    than every username is cut first: normalising takes quadratic time on hostile text, and the
    key of what is left is still nobody's. What no database can keep becomes a question mark,
    which no username contains.
    """
    text = text[: _MAX_USERNAME + 1].encode("utf-8", "replace").decode()
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def check_username(text: str, *, reserved_allowed: bool = False) -> str:
    """Return the key of a username that somebody may take.

    Args:
        text: the username as typed.
        reserved_allowed: whether names such as `admin` may be taken: yes for the operator's
            command line, no for anybody who signs up.

    Raises:
        InvalidUsername: the name breaks the rules; the message says which.
    """
    key = username_key(text)
    problem = _username_problem(text, key)
    if problem is None and key in _SPEAKS_FOR_THE_HOUSE | _ROUTES and not reserved_allowed:
        problem = "That username is reserved. Please choose another."
    if problem is not None:
        raise InvalidUsername(problem, field="username")
    return key


def _username_problem(text: str, key: str) -> str | None:
    # Folding never makes a text shorter than its letters from the allowed set (a test tries
    # every code point), so that the typed length is a safe bound.
    if not 3 <= len(text) <= _MAX_USERNAME or len(key) > _MAX_USERNAME:
        return "A username has 3 to 32 characters."
    if _has_invisible(text):
        return "A username cannot contain spaces or invisible characters."
    if _USERNAME_KEY.fullmatch(key) is None:
        return (
            "A username is made of letters a to z, digits, dots, hyphens and underscores, "
            "and starts with a letter or a digit."
        )
    return None


def check_email(text: str) -> tuple[str, str]:
    """Return an e-mail address as it is kept, and the key by which it is compared.

    Kept is the local part as typed (in NFC, RFC 6532 section 3.1) and the domain in lower case,
    in the ASCII form that mail servers and resolvers take (IDNA2008 A-labels).

    Raises:
        InvalidEmail: the text is not an e-mail address.
    """
    if len(text) > _MAX_EMAIL or _has_invisible(text) or text.count("@") != 1:
        raise InvalidEmail(field="email")
    typed_local_part, _, typed_domain = text.partition("@")
    local_part = _local_part(typed_local_part)
    domain = _domain(typed_domain)
    if local_part is None or domain is None:
        raise InvalidEmail(field="email")
    email = f"{local_part}@{domain}"
    if len(email.encode()) > _MAX_EMAIL:
        raise InvalidEmail(field="email")
    return email, unicodedata.normalize("NFC", email.lower())


def _has_invisible(text: str) -> bool:
    """Say whether a text holds spaces, controls, bidi or zero-width marks, or surrogates."""
    return any(unicodedata.category(character) in _INVISIBLE for character in text)


def _local_part(typed: str) -> str | None:
    local_part = unicodedata.normalize("NFC", typed)
    if _LOCAL_PART.fullmatch(local_part) is None:
        return None
    if len(local_part.encode()) > _MAX_LOCAL_PART:
        return None
    return local_part


def _domain(typed: str) -> str | None:
    """Return a domain in its ASCII form and lower case, or None where mail cannot get there."""
    try:
        domain = ".".join(_label(label) for label in _DOTS.split(typed))
    except ValueError:
        return None
    if len(domain) > _MAX_DOMAIN:
        return None
    last_label = domain.rpartition(".")[2]
    if "." not in domain:
        return domain if domain == "localhost" else None
    # An empty last label is a dot at the end; one of digits makes an address of four numbers.
    return None if not last_label or last_label.isdigit() else domain


def _label(typed: str) -> str:
    """Return one label of a domain.

    Plain letters, digits and hyphens are taken as they are, also with two hyphens in third and
    fourth place (RFC 5890, 2.3.1): such names resolve and get mail.

    Raises:
        ValueError: it is no label (`idna.IDNAError` is one).
    """
    lower = typed.lower()
    if _PLAIN_LABEL.fullmatch(lower) and not lower.startswith(_ENCODED):
        return lower
    return idna.encode(typed, uts46=True, std3_rules=True).decode()
