"""Where a page may send its reader afterwards: here or to a configured origin, nowhere else."""

from collections.abc import Collection
from urllib.parse import urlsplit

MAX_CHARACTERS = 1024


def checked(address: str, origins: Collection[str] = (), *, most: int = MAX_CHARACTERS) -> str:
    r"""Return the address where it may be followed, else nothing.

    It is a path of this server, or lies on one of these origins, written exactly. Browsers read
    `//host` and `/\host` as another host's address, and drop tabs and line ends before they read
    (WHATWG URL). Anything but visible ASCII has no place in a header.
    """
    is_plain = address.isascii() and address.isprintable() and not set(address) & {" ", "\\"}
    if not is_plain or len(address) > most:
        return ""
    is_path = address.startswith("/") and not address.startswith("//")
    return address if is_path or any(address.startswith(f"{each}/") for each in origins) else ""


def origin_in(address: str) -> str:
    """Return the origin of an address that was checked; nothing for a path of this server."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
