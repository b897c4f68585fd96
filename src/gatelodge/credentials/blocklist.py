"""The passwords that everybody tries first.

The list and its origin: `common_passwords.txt` and `common_passwords.txt.LICENSE`.
"""

from functools import cache
from importlib.resources import files


def is_common(password: str) -> bool:
    """Say whether a password, in NFC, is on the list of common ones, in whatever case.

    The list is read at the first question and stays as the bytes it is: 80 KB, and some
    microseconds for a search, where a set would take ten times the memory.
    """
    if "\n" in password:
        return False
    return f"\n{password.casefold()}\n".encode() in _lines()


@cache
def _lines() -> bytes:
    return b"\n" + files(__package__).joinpath("common_passwords.txt").read_bytes()
