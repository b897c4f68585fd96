"""E-mail addresses: their syntax, and the one form in which they are stored and sent to."""

import re
import unicodedata
from dataclasses import dataclass

import idna

MAX_EMAIL = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))
"""The Unicode categories of spaces, and of control, bidi and zero-width characters."""

_MAX_NAME = 64
_MAX_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
_MAX_DOMAIN = 253  # RFC 1035, 2.3.4, without the length bytes
_ENCODED = "xn--"
_PLAIN_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # UTS 46, section 2.3: what people type for a dot

# The Dot-string of RFC 5321, 4.1.2, with the letters of RFC 6531. Quoted local parts are refused:
# hardly anybody has one, and header injection needs their quotes, commas and brackets.
# Both cases are named: `re.IGNORECASE` would look up each of the million other characters.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_MAILBOX = re.compile(r"(?P<name>[^\x00-\x1f\x7f]*?)\s*<(?P<address>[^<>]*)>")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Whom a letter is from.

    Attributes:
        name: what mail programs show; empty: the address.
        address: the address.
    """

    name: str
    address: str


def read_address(text: str) -> str:
    """Return an e-mail address as it is stored.

    The local part stays as typed (in NFC; RFC 6532, section 3.1). The domain is in lower case and
    in the ASCII form that mail servers and resolvers use (IDNA2008 A-labels).

    Raises:
        ValueError: the text is not an e-mail address.
    """
    if len(text) > MAX_EMAIL or has_invisible(text) or text.count("@") != 1:
        raise ValueError("not an e-mail address")
    typed_local_part, _, typed_domain = text.partition("@")
    address = f"{_local_part(typed_local_part)}@{_domain(typed_domain)}"
    if len(address.encode()) > MAX_EMAIL:
        raise ValueError("an e-mail address that is too long")
    return address


def read_mailbox(text: str) -> Mailbox:
    """Return a name and an address from `address`, `<address>` or `Name <address>`.

    Raises:
        ValueError: the address is none, or the name is too long or has invisible characters.
    """
    match = _MAILBOX.fullmatch(text.strip())
    if match is None:
        return Mailbox("", read_address(text.strip()))
    name = match["name"].strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1].strip()
    if len(name) > _MAX_NAME or has_invisible(name.replace(" ", "")):
        raise ValueError("not a name that mail programs show")
    return Mailbox(name, read_address(match["address"]))


def has_invisible(text: str) -> bool:
    """Return whether a text has spaces, control, bidi or zero-width characters, or surrogates."""
    return any(unicodedata.category(character) in INVISIBLE for character in text)


def _local_part(typed: str) -> str:
    local_part = unicodedata.normalize("NFC", typed)
    if _LOCAL_PART.fullmatch(local_part) is None or len(local_part.encode()) > _MAX_LOCAL_PART:
        raise ValueError("not the first part of an e-mail address")
    return local_part


def _domain(typed: str) -> str:
    """Return a domain in lower case and in ASCII form.

    Raises:
        ValueError: it cannot receive mail.
    """
    domain = ".".join(_label(label) for label in _DOTS.split(typed))
    last_label = domain.rpartition(".")[2]
    # An empty last label is a final dot; a last label of digits makes it an IPv4 address.
    is_one = "." in domain and last_label and not last_label.isdigit()
    if len(domain) > _MAX_DOMAIN or not (is_one or domain == "localhost"):
        raise ValueError("not a domain that can receive mail")
    return domain


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
