"""Instants in queries and bodies."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)


def _as_text(value: object) -> object:
    """Let pass what RFC 3339 allows, no number and no date alone; else an empty text."""
    return "" if isinstance(value, str) and not _RFC_3339.fullmatch(value) else value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond all years") from None


Instant = Annotated[AwareDatetime, BeforeValidator(_as_text), AfterValidator(_in_utc)]
"""A date and a time with its zone (RFC 3339), as aware UTC."""
