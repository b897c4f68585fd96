"""Codes that people type: from letters, and recovery codes."""

import secrets
from typing import Final

ALPHABET: Final = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""The letters and digits of codes: those that nobody takes for another one. 4.95 bits each."""


def new_code(length: int) -> str:
    """Return a random code of so many letters and digits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def in_groups(code: str, size: int = 4) -> str:
    """Return a code as people read it: `ABCD-EFGH`."""
    return "-".join(code[start : start + size] for start in range(0, len(code), size))


def plain_code(typed: str) -> str:
    """Return a code as typed without blanks and hyphens, in capital letters."""
    return "".join(each for each in typed.upper() if each.isalnum())
