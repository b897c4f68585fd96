"""Addresses that a page may redirect to afterwards: on this server or a configured origin."""

from collections.abc import Collection
from urllib.parse import urlsplit

MAX_CHARACTERS = 1024

IN_PATHS = "/:@!$&'()*+,;=~"
"""What may stand in a path as it is (RFC 3986, section 3.3), besides letters, digits, `-._`."""


def checked(address: str, origins: Collection[str] = (), *, most: int = MAX_CHARACTERS) -> str:
    r"""Return the address if a redirect may lead to it, else empty.

    The address must be a path of this server, or start with one of these origins exactly. `//host`
    and `/\host` are refused: browsers read them as addresses of another host, and ignore tabs and
    line ends in between (WHATWG URL). Only visible ASCII is accepted, as in a header.

    Args:
        address: the address to check.
        origins: the other origins that are allowed.
        most: the maximum number of characters.
    """
    is_plain = address.isascii() and address.isprintable() and not set(address) & {" ", "\\"}
    if not is_plain or len(address) > most:
        return ""
    is_path = address.startswith("/") and not address.startswith("//")
    return address if is_path or any(address.startswith(f"{each}/") for each in origins) else ""


def origin_in(address: str) -> str:
    """Return the origin of a checked address; empty for a path of this server."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
