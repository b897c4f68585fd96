"""Ids: a prefix, the time each was made, and random bits; and the types of the shared ones."""

import base64
import re
import secrets
from datetime import datetime
from typing import NewType

from gatelodge.clock import to_milliseconds

UserId = NewType("UserId", str)
USER_PREFIX = "usr"

SessionId = NewType("SessionId", str)
SESSION_PREFIX = "ses"

_TIME_BYTES = 6
_RANDOM_BYTES = 16
_ID_BYTES = _TIME_BYTES + _RANDOM_BYTES
_ID_CHARACTERS = 36  # 22 bytes in base32, without padding


def new_id(prefix: str, at: datetime) -> str:
    """Make a new id: a prefix, the time it was made, and 128 random bits.

    Ids made later sort later, so that the newest of anything is the end of its index.

    Args:
        prefix: the kind of thing, such as `usr`.
        at: this instant.

    Returns:
        Text such as `usr_` and 36 characters of the alphabet 0-9 and a-v.
    """
    raw = to_milliseconds(at).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
    return id_from_bytes(prefix, raw)


def id_from_bytes(prefix: str, raw: bytes) -> str:
    """Write the 22 bytes of an id as text, in base32 with the digits 0-9 and a-v.

    Source: RFC 4648, section 7 (base32hex), in lower case and without padding.
    """
    return f"{prefix}_{base64.b32hexencode(raw).decode().rstrip('=').lower()}"


def id_to_bytes(prefix: str, text: str) -> bytes:
    """Return the 22 bytes of an id.

    Raises:
        ValueError: the text is not an id with this prefix, or spells its bytes in another way.
    """
    start = f"{prefix}_"
    digits = text[len(start) :]
    if not text.startswith(start) or not _DIGITS.fullmatch(digits):
        raise ValueError("not an id of this kind")
    return (int(digits, 32) >> _SPARE_BITS).to_bytes(_ID_BYTES, "big")


# The last digit has four bits to spare, which are zero: each id has one spelling.
_SPARE_BITS = 4
_DIGITS = re.compile(f"[0-9a-v]{{{_ID_CHARACTERS - 1}}}[0g]")
