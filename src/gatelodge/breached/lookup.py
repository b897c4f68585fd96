"""The list of breached passwords: the file that `gatelodge passwords import` made, and look-ups.

After a header, the file has the first eight bytes of the SHA-1 of each password, sorted. A look-up
reads two blocks of it as a rule. It does not map the file into memory:
`docs/decisions/0024-breached-passwords.md` says why.
"""

import hashlib
import logging
import os
import struct
import sys
import unicodedata
import weakref
import zlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from gatelodge.errors import ConfigurationError

ENTRY_BYTES = 8
_MAGIC = b"GLBREACH"
_VERSION = 1
_HEADER = struct.Struct(">8sIIQQ")  # magic, version, CRC-32 of the entries, count, least count
_CHECK = struct.Struct(">I")  # the CRC-32 of the header
HEADER_BYTES = 40
_BLOCK = 512  # entries: one page of memory, and of most disks
_GUESSES = 8  # after these, every second step halves what is left
_KEYS = 1 << 64
_IMPORT_AGAIN = "Import it again with `gatelodge passwords import`, or remove it."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says about itself.

    Attributes:
        count: the number of entries.
        at_least: how often each password was seen at least.
        checksum: the CRC-32 of the entries.
    """

    count: int
    at_least: int
    checksum: int

    def to_bytes(self) -> bytes:
        """Return the header as the file begins with it."""
        packed = _HEADER.pack(_MAGIC, _VERSION, self.checksum, self.count, self.at_least)
        return (packed + _CHECK.pack(zlib.crc32(packed))).ljust(HEADER_BYTES, b"\0")

    @classmethod
    def from_bytes(cls, found: bytes) -> Self:
        """Read a header.

        Raises:
            ValueError: it is damaged, or of another version; the text says which.
        """
        if not found.startswith(_MAGIC) or len(found) < HEADER_BYTES:
            raise ValueError("it is no list of breached passwords")
        _, version, checksum, count, at_least = _HEADER.unpack_from(found)
        if version != _VERSION:
            raise ValueError(f"it has version {version} of the format, and this server reads 1")
        if _CHECK.unpack_from(found, _HEADER.size)[0] != zlib.crc32(found[: _HEADER.size]):
            raise ValueError("its header is damaged")
        return cls(count, at_least, checksum)


class BreachedFile:
    """The file, open for look-ups from any thread.

    Attributes:
        path: where it is.
        header: what it says about itself.
        imported_at: when it was made.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and check its header and its length.

        Raises:
            FileNotFoundError: there is none.
            ConfigurationError: it cannot be used; the message says why, and what to do.
        """
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            # Another thread may be reading when a new file takes the place of this one.
            weakref.finalize(self, os.close, self._descriptor)
            found = os.fstat(self._descriptor)
            self.header = Header.from_bytes(os.pread(self._descriptor, HEADER_BYTES, 0))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from error
        except ValueError as error:
            raise _unusable(path, str(error)) from error
        self.imported_at = datetime.fromtimestamp(found.st_mtime, UTC)
        self.size = HEADER_BYTES + ENTRY_BYTES * self.header.count
        if found.st_size != self.size:
            raise _unusable(path, f"it has {found.st_size:,} bytes instead of {self.size:,}")

    def has(self, digest: bytes) -> bool:
        """Say whether this SHA-1 is in the file; one of 64-bit prefixes may be a false positive.

        Digests are spread evenly, so their own value says where they are. The first guess is some
        thousand entries off at most, the second one some dozens.

        Raises:
            OSError: the disk failed, or the file was shortened meanwhile.
        """
        key = int.from_bytes(digest[:ENTRY_BYTES])
        low, high = 0, self.header.count
        low_key, high_key = 0, _KEYS
        step = 0
        while low < high:
            step += 1
            if step > _GUESSES and step % 2:
                guess = (low + high) // 2
            else:
                guess = low + (high - low) * (key - low_key) // (high_key - low_key)
            start = max(low, min(guess - _BLOCK // 2, high - _BLOCK))
            entries = native(array("Q", self._read(start, min(_BLOCK, high - start))))
            if key < entries[0]:
                high, high_key = start, entries[0]
            elif key > entries[-1]:
                low, low_key = start + len(entries), entries[-1]
            else:
                return entries[bisect_left(entries, key)] == key
        return False

    def check(self) -> None:
        """Read the whole file.

        Raises:
            ConfigurationError: it is damaged, or cannot be read.
        """
        found, at, piece = 0, 0, 128 * _BLOCK
        try:
            while at < self.header.count:
                block = self._read(at, min(piece, self.header.count - at))
                found, at = zlib.crc32(block, found), at + piece
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error
        if found != self.header.checksum:
            raise _unusable(self.path, "it is damaged: its checksum is another one")

    def _read(self, start: int, count: int) -> bytes:
        size = count * ENTRY_BYTES
        block = os.pread(self._descriptor, size, HEADER_BYTES + start * ENTRY_BYTES)
        if len(block) != size:
            raise OSError(f"{self.path} ends too early")
        return block


def native(entries: "array[int]") -> "array[int]":
    """Turn entries as the file has them into numbers of this machine, or back, in place."""
    if sys.byteorder == "little":
        entries.byteswap()
    return entries


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The list of breached passwords {path} cannot be used: {why}. {_IMPORT_AGAIN}"
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """The file as it was seen: where it is on the disk, and the open file if it can be used."""

    stamp: tuple[int, ...]
    file: BreachedFile | None


class BreachedPasswords:
    """The list of breached passwords of a data folder, whichever file is there at the moment.

    All methods may be called from any thread. `has` waits for the disk, so it is not for the event
    loop.
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet.

        Args:
            path: the file. It may appear, change and disappear at any time.
        """
        self.path = path
        self._name = str(path)
        self._seen: _Seen | None = None

    def is_there(self) -> bool:
        """Say whether there is a file. It may be one that cannot be used."""
        return self.path.exists()

    def has(self, password: str) -> bool:
        """Say whether the password is on the list, as typed or in NFC.

        Without a file that can be used, the answer is False, and the reason is logged.

        Args:
            password: the password as typed, without lone surrogates.
        """
        file = self._current()
        if file is None:
            return False
        forms = {password, unicodedata.normalize("NFC", password)}
        try:
            return any(file.has(_digest(form)) for form in forms)
        except OSError as error:
            self._warn(str(error))
            return False

    def _current(self) -> BreachedFile | None:
        """Return the file that is there now; one question to the system tells whether it is new."""
        try:
            found = os.stat(self._name)  # noqa: PTH116 - a third of the time of `Path.stat`
        except OSError:  # it does not exist, or this user may not enter the folder
            self._seen = None
            return None
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        seen = self._seen
        if seen is None or seen.stamp != stamp:
            seen = self._seen = _Seen(stamp, self._open())
        return seen.file

    def _open(self) -> BreachedFile | None:
        try:
            return BreachedFile(self.path)
        except FileNotFoundError:
            return None
        except ConfigurationError as error:
            self._warn(str(error))
            return None

    def _warn(self, error: str) -> None:
        details = {"error": error}
        _log.warning("breached_passwords.unusable", extra={"details": details})


def _digest(password: str) -> bytes:
    # The lists are published as SHA-1 of UTF-8. It protects nothing here.
    return hashlib.sha1(password.encode(), usedforsecurity=False).digest()
