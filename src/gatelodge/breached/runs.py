"""Sorted runs on the disk: more entries than memory holds are sorted with them.

All runs are in one file, one after the other. Entries that come in order make one long run. A
journal says after each run how far the import has come, so that a process that is killed loses only
what came after it.
"""

import contextlib
import fcntl
import json
import os
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Self

from gatelodge.breached.lookup import ENTRY_BYTES
from gatelodge.breached.refusals import ImportRunning
from gatelodge.data_folder import flush

_MIN_OF_A_RUN = 512
_SAVE_EVERY_SECONDS = 20.0
_PRIVATE = 0o600


@dataclass(slots=True)
class Journal:
    """How far an import has come.

    Attributes:
        source: by which the source is recognised.
        at_least: how often a password must have been seen.
        at: how many bytes of lines were read.
        lines: how many lines were read.
        checksum: the CRC-32 of the lines, where only they tell the source.
        runs: how many entries each run has.
    """

    source: list[int]
    at_least: int
    at: int = 0
    lines: int = 0
    checksum: int = 0
    runs: list[int] = field(default_factory=list)

    def is_of(self, source: list[int], at_least: int) -> bool:
        """Say whether an import with these arguments may go on."""
        return self.source == source and self.at_least == at_least


class WorkFiles:
    """The files of an import, beside the list that it makes."""

    def __init__(self, path: Path) -> None:
        """Name them; nothing is opened."""
        self.list = path
        self.draft = path.with_name(f"{path.name}.draft")
        self.runs = path.with_name(f"{path.name}.runs")
        self.journal = path.with_name(f"{path.name}.journal")
        self._next_journal = path.with_name(f"{path.name}.journal.next")
        self._lock = path.with_name(f"{path.name}-lock")

    @property
    def left(self) -> list[Path]:
        """What an import has left that did not end."""
        every = (self.journal, self._next_journal, self.runs, self.draft)
        return [file for file in every if file.exists()]

    def remove(self) -> None:
        """Remove what an import leaves."""
        for file in self.left:
            file.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other imports out until the context ends.

        The lock file is never removed: two processes could then lock two files.

        Raises:
            ImportRunning: another process imports.
        """
        lock = open_private(self._lock, os.O_RDWR)
        try:
            with contextlib.suppress(OSError):  # a file system without locks locks nothing
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ImportRunning from None
            yield
        finally:
            os.close(lock)

    def read_journal(self) -> Journal | None:
        """Return how far an import has come; None if there is nothing to go on with."""
        try:
            journal = Journal(**json.loads(self.journal.read_bytes()))
            is_whole = self.runs.stat().st_size >= sum(journal.runs) * ENTRY_BYTES
        except (OSError, ValueError, TypeError):
            return None
        return journal if is_whole else None

    def write_journal(self, journal: Journal) -> None:
        """Put the journal in place of the one before; it is on the disk when this returns."""
        with os.fdopen(open_private(self._next_journal, os.O_WRONLY | os.O_TRUNC), "w") as file:
            json.dump(asdict(journal), file)
            file.flush()
            os.fsync(file.fileno())
        self._next_journal.replace(self.journal)
        flush(self.journal.parent)


class Runs:
    """The runs of one import."""

    def __init__(self, files: WorkFiles, journal: Journal) -> None:
        """Open the file. What follows the runs that the journal knows is overwritten.

        Args:
            files: of this import.
            journal: how far it has come. Its runs are kept up to date.
        """
        self._files = files
        self._journal = journal
        self._waiting: array[int] = array("Q")
        self._saved_at = time.monotonic()
        self._file = open_private(files.runs, os.O_RDWR)
        self._end = sum(journal.runs) * ENTRY_BYTES
        last = os.pread(self._file, ENTRY_BYTES, max(0, self._end - ENTRY_BYTES))
        self._last = array("Q", last)[0] if last else -1

    def __enter__(self) -> Self:
        """Return the runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._file)

    def add(self, entries: "array[int]") -> None:
        """Keep these entries in memory until the next `save`."""
        self._waiting.extend(entries)

    def is_due(self, entries: int) -> bool:
        """Say whether so many entries wait in memory, or the journal is old."""
        is_old = time.monotonic() - self._saved_at > _SAVE_EVERY_SECONDS
        return is_old or len(self._waiting) >= entries

    def save(self) -> None:
        """Write what waits as a run, and then the journal; both are on the disk afterwards."""
        run = _distinct(sorted(self._waiting))
        self._waiting = array("Q")
        if run:
            _write_at(self._file, run.tobytes(), self._end)
            os.fsync(self._file)
            self._end += len(run) * ENTRY_BYTES
            if run[0] > self._last:
                self._journal.runs[-1:] = [sum(self._journal.runs[-1:]) + len(run)]
            else:
                self._journal.runs.append(len(run))
            self._last = run[-1]
        self._files.write_journal(self._journal)
        self._saved_at = time.monotonic()

    def merged(self, at_a_time: int) -> Iterator["array[int]"]:
        """Yield all entries of all runs in order, each once.

        Of each run the next entries are in memory. All that are not above the smallest of their
        last ones can be sorted, because no run has more of them on the disk.

        Args:
            at_a_time: how many entries are in memory, unless there are very many runs.
        """
        size = max(_MIN_OF_A_RUN, at_a_time // max(1, len(self._journal.runs)))
        readers, start = [], 0
        for count in self._journal.runs:
            readers.append(_Reader(self._file, start, count, size))
            start += count
        while readers := [reader for reader in readers if reader.fill()]:
            bound = min(reader.entries[-1] for reader in readers)
            yield _distinct(sorted(chain.from_iterable(each.take(bound) for each in readers)))


class _Reader:
    """Reads a run from its beginning to its end."""

    def __init__(self, file: int, start: int, count: int, size: int) -> None:
        self.entries: array[int] = array("Q")
        self._file = file
        self._next = start
        self._end = start + count
        self._size = size

    def fill(self) -> bool:
        """Read the next entries if none is in memory. Return False at the end of the run."""
        if not self.entries:
            count = min(self._size, self._end - self._next)
            found = os.pread(self._file, count * ENTRY_BYTES, self._next * ENTRY_BYTES)
            self.entries = array("Q", found)
            self._next += count
        return bool(self.entries)

    def take(self, bound: int) -> "array[int]":
        """Return the entries in memory up to this one, and drop them."""
        at = bisect_right(self.entries, bound)
        taken, self.entries = self.entries[:at], self.entries[at:]
        return taken


def open_private(file: Path, flags: int) -> int:
    """Open a file for this user alone, and make it if need be. Root makes it for the server."""
    descriptor = os.open(file, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
    if os.geteuid() == 0:  # else the server's user could not read it
        folder = file.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor


def _distinct(ordered: Iterable[int]) -> "array[int]":
    return array("Q", (entry for entry, _ in groupby(ordered)))


def _write_at(file: int, piece: bytes, at: int) -> None:
    while piece:
        written = os.pwrite(file, piece, at)
        piece, at = piece[written:], at + written
