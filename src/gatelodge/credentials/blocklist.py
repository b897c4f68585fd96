"""The blocklist of common passwords.

The list is `common_passwords.txt`; its origin is in `common_passwords.txt.LICENSE`.
"""

from functools import cache
from importlib.resources import files


def is_common(password: str) -> bool:
    """Say whether the password is on the blocklist, ignoring case.

    The list stays in memory as bytes (80 KB). A search takes some microseconds; a set would need
    ten times the memory.

    Args:
        password: the password in NFC.
    """
    if "\n" in password:
        return False
    return f"\n{password.casefold()}\n".encode() in _lines()


@cache
def _lines() -> bytes:
    return b"\n" + files(__package__).joinpath("common_passwords.txt").read_bytes()
