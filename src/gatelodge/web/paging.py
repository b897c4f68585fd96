"""Lists in pages: `limit` and an opaque `cursor` in the query, `next` in the answer."""

from typing import Annotated

from fastapi import Query

from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.errors import InvalidRequest

Limit = Annotated[int, Query(ge=1, le=200, description="The maximum number of items.")]
Cursor = Annotated[
    str | None, Query(max_length=256, description="The `next` of the previous page.")
]

LongCursor = Annotated[
    str | None, Query(alias="cursor", max_length=2048, description="The `next` of the page before.")
]
"""A cursor whose position has a text of a record, such as a name."""


def to_cursor(position: str) -> str:
    """Return the cursor for a position, such as the id of the last item of a page."""
    return encode_base64url(position.encode())


def from_cursor(cursor: str | None) -> str | None:
    """Return the position in a cursor, or None for the first page.

    Raises:
        InvalidRequest: `to_cursor` did not make this cursor.
    """
    if cursor is None:
        return None
    try:
        return decode_base64url(cursor).decode("ascii")
    except ValueError as error:
        raise InvalidRequest(
            'The parameter "cursor" is not the "next" of an answer.', field="cursor"
        ) from error
