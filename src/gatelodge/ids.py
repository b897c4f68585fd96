"""Ids: a prefix, the time of creation and random bits. Also the id types that rooms share."""

import base64
import re
import secrets
from datetime import datetime
from typing import NewType

from gatelodge.clock import EPOCH, MILLISECOND, to_milliseconds

UserId = NewType("UserId", str)
USER_PREFIX = "usr"

SessionId = NewType("SessionId", str)
SESSION_PREFIX = "ses"

ROLE_PREFIX = "role"

_TIME_BYTES = 6
_RANDOM_BYTES = 16
_ID_BYTES = _TIME_BYTES + _RANDOM_BYTES
_ID_CHARACTERS = 36  # 22 bytes in base32, without padding


def new_id(prefix: str, at: datetime) -> str:
    """Return a new id: a prefix, the time of creation and 128 random bits.

    Newer ids sort after older ones, so the newest records are at the end of an index.

    Args:
        prefix: the kind of thing, such as `usr`.
        at: the current time.

    Returns:
        The prefix, `_`, and 36 characters of the alphabet 0-9 and a-v.
    """
    raw = to_milliseconds(at).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
    return id_from_bytes(prefix, raw)


def first_id(prefix: str, at: datetime) -> str:
    """Return the least id that `new_id` could make at an instant or later.

    So an id is at least this one exactly if it was made at the instant or later.

    Args:
        prefix: the kind of thing, such as `evt`.
        at: the instant; an id knows whole milliseconds.
    """
    milliseconds = max(-((EPOCH - at) // MILLISECOND), 0)  # rounded up
    return id_from_bytes(prefix, milliseconds.to_bytes(_TIME_BYTES, "big") + bytes(_RANDOM_BYTES))


def role_id(name: str) -> str:
    """Return the id that the change feed uses for a role.

    The name of a role may look like another id, such as `usr_x`, but it contains no colon.
    """
    return f"{ROLE_PREFIX}:{name}"


def id_from_bytes(prefix: str, raw: bytes) -> str:
    """Write the 22 bytes of an id as text, in base32 with the digits 0-9 and a-v.

    Source: RFC 4648, section 7 (base32hex), in lower case and without padding.
    """
    return f"{prefix}_{base64.b32hexencode(raw).decode().rstrip('=').lower()}"


def id_to_bytes(prefix: str, text: str) -> bytes:
    """Return the 22 bytes of an id.

    Raises:
        ValueError: the text is not an id with this prefix, or not the canonical text of its bytes.
    """
    start = f"{prefix}_"
    digits = text[len(start) :]
    if not text.startswith(start) or not _DIGITS.fullmatch(digits):
        raise ValueError("not an id of this kind")
    return (int(digits, 32) >> _UNUSED_BITS).to_bytes(_ID_BYTES, "big")


def is_id(prefix: str, text: str) -> bool:
    """Return whether a text is an id with this prefix."""
    try:
        id_to_bytes(prefix, text)
    except ValueError:
        return False
    return True


# The last digit has four unused bits. They must be zero, so that each id has one spelling.
_UNUSED_BITS = 4
_DIGITS = re.compile(f"[0-9a-v]{{{_ID_CHARACTERS - 1}}}[0g]")
