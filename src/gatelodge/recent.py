"""A bounded map that drops the least recently used entry."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `most` entries: the most recently used ones, by `put` or `find`."""

    __slots__ = ("_kept", "_most")

    def __init__(self, most: int) -> None:
        """Start empty."""
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def find(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        value = self._kept.get(key)
        if value is not None:
            self._kept.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Store a value under a key; drop the least recently used entry if there are too many."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def forget(self, key: K) -> None:
        """Remove an entry, if it exists."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Remove all entries."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
