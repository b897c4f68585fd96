"""The lines that an import reads: the SHA-1 of a password, a colon, and how often it was seen."""

import gzip
import os
import re
import stat
import sys
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from gatelodge.breached.lookup import native
from gatelodge.breached.refusals import NotABreachList
from gatelodge.errors import ConfigurationError

_BLOCK_BYTES = 1 << 20
_STANDARD_INPUT = "-"
_LINE = re.compile(rb"^([0-9A-Fa-f]{16})[0-9A-Fa-f]{24}:([0-9]{1,19})\r?\n", re.MULTILINE)


class Source:
    """The lines of a file, or of standard input.

    Attributes:
        name: what people call it.
        identity: the size and the time of the file, by which a later import recognises it; empty:
            only its bytes tell.
        size: how many bytes the file has, or None if that is not known.
        seeks: whether it can be read from the middle.
        checksum: the CRC-32 of the lines that were read; of a source that seeks, nothing.
        at: how many bytes of lines were read, after decompression.
        lines: how many lines were read.
    """

    def __init__(self, name: str, raw: BinaryIO) -> None:
        """Read from an open file; one whose name ends in `.gz` is decompressed."""
        found = os.fstat(raw.fileno())
        is_file = stat.S_ISREG(found.st_mode) and name != _STANDARD_INPUT
        is_compressed = name.lower().endswith(".gz")
        self.name = "standard input" if name == _STANDARD_INPUT else name
        self.identity = [found.st_size, found.st_mtime_ns] if is_file else []
        self.size = found.st_size if is_file else None
        self.seeks = is_file and not is_compressed
        self.checksum = self.at = self.lines = 0
        self._raw = raw
        self._plain = gzip.GzipFile(fileobj=raw, mode="rb") if is_compressed else raw

    @classmethod
    @contextmanager
    def open(cls, name: str) -> Iterator[Self]:
        """Open a file, or standard input for `-`.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        if name == _STANDARD_INPUT:
            yield cls(name, sys.stdin.buffer)
            return
        try:
            raw = Path(name).open("rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise _unreadable(name, error) from error
        with raw:
            yield cls(name, raw)

    @property
    def done(self) -> int:
        """How many bytes of the file were read; 0 if its size is not known."""
        return 0 if self.size is None else self._raw.tell()

    def skip(self, at: int, lines: int, checksum: int) -> bool:
        """Go to where an earlier import was. Return False if these are not the same lines."""
        if self.seeks:
            self._raw.seek(at)
        while self.at < at and not self.seeks:
            piece = self._read(min(at - self.at, _BLOCK_BYTES))
            if not piece:
                return False
            self._pass(piece)
        self.at, self.lines = at, lines
        return self.checksum == checksum

    def entries(self, at_least: int) -> Iterator["array[int]"]:
        """Yield the first eight bytes of each SHA-1 with that count, some thousand lines at a time.

        Raises:
            NotABreachList: a line is malformed, or the file is no complete gzip file.
            ConfigurationError: the file cannot be read.
        """
        rest = b""
        while piece := self._read(_BLOCK_BYTES):
            end = piece.rfind(b"\n") + 1
            if not end and len(rest) + len(piece) < _BLOCK_BYTES:  # a pipe gives what it has
                rest += piece
                continue
            whole, rest = (rest + piece[:end], piece[end:]) if end else (rest + piece, b"")
            yield self._take(whole, at_least)
        if rest:
            yield self._take(rest, at_least)

    def _take(self, lines: bytes, at_least: int) -> "array[int]":
        """Return the entries of these lines, which are read now. The last one may lack its end."""
        ended = lines if lines.endswith(b"\n") else lines + b"\n"
        found = _LINE.findall(ended)
        if len(found) != ended.count(b"\n"):  # a match begins and ends with its line
            raise self._malformed(ended)
        self._pass(lines)
        self.lines += len(found)
        kept = b"".join(prefix for prefix, count in found if int(count) >= at_least)
        return native(array("Q", bytes.fromhex(kept.decode())))

    def _malformed(self, lines: bytes) -> NotABreachList:
        each = enumerate(lines.split(b"\n"), self.lines + 1)
        number = next(number for number, line in each if not _LINE.fullmatch(line + b"\n"))
        return NotABreachList(
            f"{self.name}, line {number}, is not the SHA-1 of a password in 40 hex digits, a colon "
            "and a count. Nothing was imported."
        )

    def _pass(self, lines: bytes) -> None:
        self.at += len(lines)
        if not self.seeks:
            self.checksum = zlib.crc32(lines, self.checksum)

    def _read(self, size: int) -> bytes:
        try:
            return self._plain.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotABreachList(
                f"{self.name} is no complete gzip file. Nothing was imported."
            ) from error
        except OSError as error:
            raise _unreadable(self.name, error) from error


def _unreadable(name: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{name} cannot be read: {error.strerror}.")
