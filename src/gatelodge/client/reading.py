"""Reads the values in what the server says: each is of its type, or all of it is malformed."""

from datetime import UTC, datetime
from typing import Any


def text(value: Any) -> str:
    """Return a text.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - one error for all that is malformed
    return value


def texts(value: Any) -> frozenset[str]:
    """Return the texts of a list.

    Raises:
        ValueError: it is no list of texts.
    """
    if not isinstance(value, list):
        raise ValueError("not a list")  # noqa: TRY004
    return frozenset(map(text, value))


def flag(value: Any) -> bool:
    """Return true or false.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")  # noqa: TRY004
    return value


def instant(value: Any) -> datetime:
    """Return an instant in UTC.

    Raises:
        ValueError: it is no time with a zone.
        OverflowError: it is out of range.
    """
    at = datetime.fromisoformat(text(value))
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC)
