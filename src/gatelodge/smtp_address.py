"""The address of a mail server, as operators write it."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote

from gatelodge.hosts import is_address, is_loopback

FORM = "must be written as smtp://user:password@host:587 or smtps://user:password@host:465."

_PORTS = {"smtp": 587, "smtps": 465}
_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?/?")


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """Where a mail server is, and how one gets in.

    Attributes:
        host: its name or address, without brackets.
        port: its port.
        tls: whether TLS begins with the connection, by STARTTLS, or not at all.
        user: the user name; empty: one does not sign in.
        password: the password.
    """

    host: str
    port: int
    tls: Literal["at once", "starttls", "none"]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def read_smtp_address(text: str) -> SmtpAddress:
    """Return the address from `smtp://…` or `smtps://…`.

    Signs that have a meaning in an address are percent-encoded in the user name and the password.
    An `@` there needs no encoding.

    Raises:
        ValueError: the text is no such address; the message does not show it.
    """
    scheme, _, rest = text.partition("://")
    before, _, after = rest.rpartition("@")
    place, _, query = after.partition("?")
    match = _HOST.fullmatch(place.lower())
    if scheme.lower() not in _PORTS or match is None or int(match["port"] or 0) > 65535:
        raise ValueError(FORM)
    host = match["host"].strip("[]")
    if host != match["host"] and not (":" in host and is_address(host)):
        raise ValueError("must have an IPv6 address in the brackets.")
    return SmtpAddress(
        host,
        int(match["port"] or _PORTS[scheme.lower()]),
        _tls(scheme.lower(), host, query),
        *_sign_in(before),
    )


def _sign_in(text: str) -> tuple[str, str]:
    """Return the user name and the password; both empty where there are none."""
    user, _, password = (unquote(part, errors="strict") for part in text.partition(":"))
    if bool(user) != bool(password):
        raise ValueError("must have both a user name and a password, or neither.")
    if not f"{user}{password}".isprintable():
        raise ValueError("must have a user name and a password of printable characters.")
    return user, password


def _tls(scheme: str, host: str, query: str) -> Literal["at once", "starttls", "none"]:
    """Return when TLS begins: by default always, except on the way to this machine."""
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        options = {query: ""}
    if scheme == "smtps":
        if options:
            raise ValueError("must have nothing after the port, because TLS begins at once.")
        return "at once"
    usual = "off" if is_loopback(host) else "on"
    wanted = options.pop("starttls", usual)
    if options or wanted not in {"on", "off"}:
        raise ValueError("must have nothing after the port but ?starttls=on or ?starttls=off.")
    if wanted == "off" and usual == "on":
        raise ValueError(
            "must not have starttls=off: letters and the password would be sent in the clear. "
            "Only a server on this machine may be asked without TLS."
        )
    return "starttls" if wanted == "on" else "none"
