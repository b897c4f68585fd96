"""A finished letter, and the message that mail servers take.

Nothing in a letter can add a line to its headers: addresses, ids and headers with unexpected
characters are refused, and control characters in names and subjects become spaces.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.header import Header
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime, quote
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from typing_extensions import override

from gatelodge.email_address import read_address, read_mailbox

_MAX_SUBJECT = 120  # encoded, it fits into one line
_MAX_ENCODED_WORD = 75  # RFC 2047, section 2
_MAX_HEADER = 900  # a line has at most 998 octets (RFC 5322, 2.1.1)
_MESSAGE_ID = re.compile(
    r"[A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*@(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[A-Za-z0-9:.]+\])"
)
_MAX_MESSAGE_ID = 250
_LANGUAGE = re.compile(r"[A-Za-z0-9]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_BODIES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters except tabs and line feeds, Unicode's line breaks, and surrogates."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A finished letter to one reader.

    Attributes:
        message_id: `ltr_…@id.example.com`, without angle brackets; each try has the same one, so
            that a letter which arrives twice can be recognised.
        to: the reader's address.
        subject: the subject.
        text: the letter as plain text.
        html: the letter as HTML; empty: there is only the text.
        sender: an address, or `Name <address>`.
        language: the tag of its language, such as `de-AT`.
        at: when it was written.
        headers: further headers, by name, such as `List-Unsubscribe`.
    """

    message_id: str
    to: str
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    sender: str
    language: str
    at: datetime
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a mail server is told before the message (RFC 5321, section 3.3).

    Attributes:
        sender: the address of the sender.
        to: the address of the reader.
        is_ascii: whether both addresses are ASCII; otherwise the server must know SMTPUTF8
            (RFC 6531).
    """

    sender: str
    to: str
    is_ascii: bool


def envelope_of(mail: Mail) -> Envelope:
    """Return the addresses of a letter, with their domains as A-labels.

    Raises:
        ValueError: one of them is no e-mail address.
    """
    sender, to = read_mailbox(mail.sender).address, read_address(mail.to)
    return Envelope(sender, to, sender.isascii() and to.isascii())


def message_of(mail: Mail) -> EmailMessage:
    """Return the message, for `as_bytes()`: its lines end in CRLF, and its bodies are ASCII.

    Its headers are ASCII too, unless an address has other letters before the `@`.

    Raises:
        ValueError: the letter cannot be written, for example because an address is none.
    """
    envelope, name = envelope_of(mail), read_mailbox(mail.sender).name
    message = EmailMessage(_ASCII if envelope.is_ascii else _UTF8)
    message.set_content(_body(mail.text))
    if mail.html:
        message.add_alternative(_body(mail.html), subtype="html")
    message["Message-ID"] = f"<{_checked(_MESSAGE_ID, mail.message_id, _MAX_MESSAGE_ID)}>"
    message["Date"] = format_datetime(mail.at)
    message["From"] = f"{_name(name)} <{envelope.sender}>" if name else envelope.sender
    message["To"] = envelope.to
    message["Subject"] = _in_ascii(_one_line(mail.subject)[:_MAX_SUBJECT])
    message["Content-Language"] = _checked(_LANGUAGE, mail.language, _MAX_HEADER)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: vacation notices stay away
    for further, value in mail.headers.items():
        _add_header(message, further, value)
    return message


def _name(name: str) -> str:
    """Return a name for the header `From`: quoted, or encoded where that is needed."""
    encoded = _in_ascii(name)
    return f'"{quote(name)}"' if encoded == name else encoded


def _in_ascii(text: str) -> str:
    """Return a text as encoded words (RFC 2047) in one line; ASCII stays as it is."""
    if text.isascii() and "=?" not in text:
        return text
    return Header(text, "utf-8").encode(maxlinelen=_MAX_ENCODED_WORD, linesep="")


def _add_header(message: EmailMessage, name: str, value: str) -> None:
    """Add one of the further headers.

    Raises:
        ValueError: the message has this header, or the name or the value is malformed.
    """
    if name in message or name.lower().startswith("content-") or name.lower() in _NOT_FURTHER:
        raise ValueError("a further header that a letter has, or cannot have")
    _checked(_HEADER_NAME, name, _MAX_HEADER)
    message[name] = _checked(_HEADER_VALUE, value, _MAX_HEADER - len(name))


_NOT_FURTHER = frozenset(
    {"bcc", "cc", "mime-version", "reply-to", "resent-to", "resent-cc", "resent-bcc"}
    | {"return-path", "sender"}
)


def _checked(pattern: re.Pattern[str], value: str, most: int) -> str:
    if len(value) > most or pattern.fullmatch(value) is None:
        raise ValueError("a header with characters that it cannot have, or too long")
    return value


def _one_line(text: str) -> str:
    """Return a text in one line: each row of blanks and control characters becomes one space."""
    return " ".join(_BREAKS.sub(" ", text).split())


def _body(text: str) -> str:
    """Return a body without the characters that mail servers refuse or change."""
    kept = _NOT_IN_BODIES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return kept if kept.endswith("\n") else f"{kept}\n"


class _AsItIs(UnstructuredHeader, BaseHeader):
    """A header in one line as it is.

    The standard library breaks long addresses, puts blanks into encoded names, encodes links, and
    parses each header several times.
    """

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        """Take the value as it is; the standard library calls this."""
        kwds["decoded"], kwds["parse_tree"] = value, ()

    def fold(self, *, policy: "Policy[Any]") -> str:
        """Return the line."""
        return f"{self.name}: {self}{policy.linesep}"


class _Registry(HeaderRegistry):
    """Makes the class of each kind of header once; the standard library does it for each header."""

    @override
    @lru_cache  # noqa: B019 - there is one registry, and it lives as long as the process
    def __getitem__(self, name: str) -> type[BaseHeader]:
        return super().__getitem__(name)


_REGISTRY = _Registry(default_class=_AsItIs, use_default_map=False)
_ASCII = policy.SMTP.clone(cte_type="7bit", header_factory=_REGISTRY)
_UTF8 = policy.SMTPUTF8.clone(cte_type="7bit", header_factory=_REGISTRY)
