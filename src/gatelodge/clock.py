"""Now, new ids, random secrets: the seams a test replaces."""

import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_TIME_BYTES = 6
_RANDOM_BYTES = 16
_ID_BYTES = _TIME_BYTES + _RANDOM_BYTES
_ID_CHARACTERS = 36  # 22 bytes in base32, without padding


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """Return this instant: aware UTC, whole milliseconds, never before an earlier answer."""

    def milliseconds(self) -> int:
        """Return the same as whole milliseconds since 1970, for where each microsecond counts."""


class SystemClock:
    """The machine's wall clock, which within one process never steps back.

    When somebody sets the wall clock back, time goes on at the pace of the monotonic
    clock instead, so that what has expired stays expired. The wall clock itself is read
    only now and then; in between, the monotonic clock says how much time has passed.
    """

    def __init__(self) -> None:
        """Start from the wall clock."""
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def now(self) -> datetime:
        """Return this instant."""
        return from_milliseconds(self.milliseconds())

    def milliseconds(self) -> int:
        """Return this instant as milliseconds since 1970."""
        monotonic = time.monotonic()
        passed = monotonic - self._monotonic
        if passed > _WALL_CLOCK_EVERY:
            self._wall = max(time.time(), self._wall + passed)
            self._monotonic = monotonic
            passed = 0.0
        return int((self._wall + passed) * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the instant that many milliseconds after 1970, exactly."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_milliseconds(instant: datetime) -> int:
    """Return the whole milliseconds from 1970 to an aware instant."""
    return (instant - _EPOCH) // _MILLISECOND


def new_id(prefix: str, at: datetime) -> str:
    """Make a new id: a prefix, the time it was made, and 128 random bits.

    Ids made later sort later, so that the newest of anything is the end of its index.
    """
    raw = to_milliseconds(at).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
    return id_from_bytes(prefix, raw)


def id_from_bytes(prefix: str, raw: bytes) -> str:
    """Write the 22 bytes of an id as text, in base32 with the digits 0-9 and a-v (RFC 4648, 7)."""
    number = int.from_bytes(raw, "big") << _SPARE_BITS
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def id_to_bytes(prefix: str, text: str) -> bytes:
    """Return the 22 bytes of an id.

    Raises:
        ValueError: the text is not an id with this prefix.
    """
    start = f"{prefix}_"
    digits = text[len(start) :]
    if not text.startswith(start) or not _DIGITS.fullmatch(digits):
        raise ValueError("not an id of this kind")
    number = int(digits, 32)
    if number & _SPARE:  # another spelling of the same bytes
        raise ValueError("not an id of this kind")
    return (number >> _SPARE_BITS).to_bytes(_ID_BYTES, "big")


_WALL_CLOCK_EVERY = 0.01
"""Seconds: so soon a clock that was set forward is noticed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_DIGITS = re.compile(f"[{_ALPHABET}]{{{_ID_CHARACTERS}}}")
_SPARE_BITS = _ID_CHARACTERS * 5 - _ID_BYTES * 8
_SPARE = (1 << _SPARE_BITS) - 1

# Two digits at a time: several ids are written and read for each refresh.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(_ID_CHARACTERS * 5 - 10, -1, -10)
