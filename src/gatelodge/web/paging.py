"""Lists are pages: `?limit=` and an opaque `cursor`, answered with what comes next."""

from typing import Annotated

from fastapi import Query

from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.errors import InvalidRequest

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[
    str | None, Query(max_length=256, description="`next` of the page before this one.")
]


def to_cursor(position: str) -> str:
    """Return a cursor that says where the next page starts."""
    return encode_base64url(position.encode())


def from_cursor(cursor: str | None) -> str | None:
    """Return the position in a cursor, or None for the first page.

    Raises:
        InvalidRequest: it is not one of ours.
    """
    if cursor is None:
        return None
    try:
        return decode_base64url(cursor).decode("ascii")
    except ValueError as error:
        raise InvalidRequest("cursor: not one of ours", field="cursor") from error
