"""Make the list of breached passwords from lines of SHA-1 and count, show it, and remove it."""

import os
import zlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gatelodge.breached.lookup import HEADER_BYTES, BreachedFile, Header, native
from gatelodge.breached.refusals import NoBreachedPasswords, NotABreachList
from gatelodge.breached.runs import Journal, Runs, WorkFiles, open_private
from gatelodge.breached.source import Source
from gatelodge.data_folder import flush
from gatelodge.errors import ConfigurationError

RUN_ENTRIES = 2_000_000
"""How many entries are sorted at a time; they take about 100 MB."""

Report = Callable[[Source], None]
"""Is told after some thousand lines: the source says how far it was read."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        lines: how many lines were read, those before an interruption included.
        resumed_after: after how many lines an import that was interrupted went on.
        entries: how many passwords the list has.
    """

    lines: int
    resumed_after: int
    entries: int


def import_passwords(
    source: Source,
    at_least: int,
    path: Path,
    report: Report = lambda _source: None,
    *,
    run_entries: int = RUN_ENTRIES,
) -> Imported:
    """Make the list from these lines, and put it in place of the one that is there.

    An import of the same lines that was interrupted goes on where it was.

    Args:
        source: the lines.
        at_least: how often a password must have been seen; others are left out.
        path: the list. It appears complete: a process that is killed leaves files of other names.
        report: is told how far the import has come.
        run_entries: how many entries are sorted at a time.

    Raises:
        NotABreachList: a line is malformed, or nothing is left. Nothing was imported.
        ImportRunning: another process imports.
        ConfigurationError: a file cannot be read or written. The same call goes on later.
    """
    files = WorkFiles(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with files.alone():
            try:
                return _import(source, at_least, files, report, run_entries)
            except NotABreachList:
                files.remove()
                raise
    except OSError as error:
        raise ConfigurationError(
            f"The list of breached passwords cannot be written to {path.parent}: "
            f"{error.strerror}. The same command goes on where it was."
        ) from error


def read_list(path: Path) -> BreachedFile:
    """Return the list, read and checked from its first byte to its last.

    Raises:
        NoBreachedPasswords: there is none.
        ConfigurationError: it is damaged, or cannot be read.
    """
    try:
        file = BreachedFile(path)
    except FileNotFoundError:
        raise NoBreachedPasswords from None
    file.check()
    return file


def remove_passwords(path: Path) -> None:
    """Remove the list, and what an import has left that did not end.

    Raises:
        NoBreachedPasswords: there is neither.
        ImportRunning: another process imports.
        ConfigurationError: the files cannot be removed.
    """
    files = WorkFiles(path)
    if not path.exists() and not files.left:
        raise NoBreachedPasswords
    try:
        with files.alone():
            files.remove()
            path.unlink(missing_ok=True)
            flush(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be removed: {error.strerror}.") from error


def _import(
    source: Source, at_least: int, files: WorkFiles, report: Report, run_entries: int
) -> Imported:
    journal = files.read_journal()
    if journal is None or not journal.is_of(source.identity, at_least):
        files.remove()
        journal = Journal(source.identity, at_least)
    resumed_after = journal.lines
    if not source.skip(journal.at, journal.lines, journal.checksum):
        raise NotABreachList(
            f"{source.name} does not begin as in the import that was interrupted. Nothing was "
            "imported. The same command now starts over."
        )
    with Runs(files, journal) as runs:
        for entries in source.entries(at_least):
            runs.add(entries)
            journal.at, journal.lines = source.at, source.lines
            journal.checksum = source.checksum
            if runs.is_due(run_entries):
                runs.save()
            report(source)
        runs.save()
        if not journal.runs:
            raise NotABreachList(_nothing_in(source, at_least))
        count = _write(runs.merged(run_entries), at_least, files)
    files.remove()
    return Imported(journal.lines, resumed_after, count)


def _nothing_in(source: Source, at_least: int) -> str:
    if not source.lines:
        return f"{source.name} is empty. Nothing was imported."
    return f"No line of {source.name} has a count of {at_least} or more. Nothing was imported."


def _write(entries: "Iterable[array[int]]", at_least: int, files: WorkFiles) -> int:
    """Write the list under another name, then rename it. Return how many entries it has."""
    count = checksum = 0
    with os.fdopen(open_private(files.draft, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(bytes(HEADER_BYTES))
        for some in entries:
            piece = native(some).tobytes()
            file.write(piece)
            count, checksum = count + len(some), zlib.crc32(piece, checksum)
        file.seek(0)
        file.write(Header(count, at_least, checksum).to_bytes())
        file.flush()
        os.fsync(file.fileno())
    files.draft.replace(files.list)
    flush(files.list.parent)
    return count
