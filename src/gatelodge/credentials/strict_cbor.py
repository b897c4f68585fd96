"""A CBOR reader that refuses what two readers could understand differently.

Authenticators answer in CBOR as CTAP 2.1 restricts it (section 8): lengths are stated, and in their
shortest form, and no key is twice in a map. The reader of `fido2` accepts more, such as a text that
ends before its stated length. Only the order of the keys is free here, because browsers write them
in different orders.
"""

from typing import TypeAlias

Cbor: TypeAlias = "int | bytes | str | bool | list[Cbor] | dict[int | str, Cbor] | None"

MAX_DEPTH = 8

_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None}
_SMALLEST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
"""The smallest number for which each long form is the shortest one (RFC 8949, section 4.1)."""


class NotStrict(ValueError):
    """The bytes are not CBOR, or not in the one form that authenticators use."""


def parse(raw: bytes) -> Cbor:
    """Return the value that the bytes encode.

    Raises:
        NotStrict: they are not one value in the strict form.
    """
    value, end = parse_from(raw, 0)
    if end != len(raw):
        raise NotStrict("something follows the value")
    return value


def parse_from(raw: bytes, start: int) -> tuple[Cbor, int]:
    """Return the value that begins at `start`, and where it ends.

    Raises:
        NotStrict: there is no value in the strict form.
    """
    reader = _Reader(raw, start)
    return reader.value(depth=1), reader.at


class _Reader:
    """Reads one value after the other.

    Attributes:
        at: where the next value begins.
    """

    def __init__(self, raw: bytes, start: int) -> None:
        self._raw = raw
        self.at = start

    def value(self, depth: int) -> Cbor:
        if depth > MAX_DEPTH:
            raise NotStrict("nested too deeply")
        head = self._take(1)[0]
        major, short = head >> 5, head & 0x1F
        if major == 7:
            return self._simple(short)
        number = self._number(short)
        if major < 2:
            return -1 - number if major else number
        if major == 2:
            return self._take(number)
        if major == 3:
            return self._text(number)
        if major == 4:
            return [self.value(depth + 1) for _ in range(self._counted(number))]
        if major == 5:
            return self._map(self._counted(number), depth)
        raise NotStrict("tags are not used")

    def _take(self, length: int) -> bytes:
        taken = self._raw[self.at : self.at + length]
        if len(taken) != length:
            raise NotStrict("ends too early")
        self.at += length
        return taken

    def _number(self, short: int) -> int:
        if short < 24:
            return short
        if short not in _SMALLEST:
            raise NotStrict("a length is not stated")
        number = int.from_bytes(self._take(1 << (short - 24)), "big")
        if number < _SMALLEST[short]:
            raise NotStrict("a number is not in its shortest form")
        return number

    def _counted(self, number: int) -> int:
        """Return how many items follow; each has one byte at least."""
        if number > len(self._raw) - self.at:
            raise NotStrict("ends too early")
        return number

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotStrict("a text is not UTF-8") from error

    def _map(self, pairs: int, depth: int) -> Cbor:
        found: dict[int | str, Cbor] = {}
        for _ in range(pairs):
            key = self.value(depth + 1)
            if not isinstance(key, int | str) or isinstance(key, bool):
                raise NotStrict("a key is neither a number nor a text")
            if key in found:
                raise NotStrict("a key is there twice")
            found[key] = self.value(depth + 1)
        return found

    def _simple(self, short: int) -> bool | None:
        if short not in _SIMPLE:
            raise NotStrict("a simple value that is not used")
        return _SIMPLE[short]
