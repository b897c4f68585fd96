"""Copies of an SQLite database: written while servers run, and put in its place while none does."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.clock import to_milliseconds
from gatelodge.data_folder import flush
from gatelodge.errors import ConfigurationError, StoreUnavailable
from gatelodge.stores import Copies, Replacement
from gatelodge.stores.refusals import DatabaseInUse, NotABackup
from gatelodge.stores.sql.files import (
    BESIDE,
    OUR_TABLES,
    PRIVATE,
    belongs_to_another,
    give_to_owner_of,
    is_ours,
    opened,
    table_names,
)

_LOCK = "-lock"

# Every connection with a write-ahead log holds a shared lock on these bytes (sqlite.org,
# fileformat2.html, section 1.6, and os_unix.c, SHARED_FIRST and SHARED_SIZE).
_SHARED_FIRST = 0x40000002
_SHARED_SIZE = 510


@dataclass(frozen=True, slots=True)
class SqlCopies(Copies):
    """Copies of one SQLite file.

    Attributes:
        path: the database file.
        newest: the newest schema revision that this version knows.
    """

    path: Path
    newest: str

    @override
    def write(self, file: Path) -> None:
        is_ours(self.path)
        try:
            with opened(self.path) as source, opened(file) as copy:
                source.backup(copy)  # in one step, so it is the state of one moment
                copy.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
                _check(copy, self.newest)
        except sqlite3.Error as error:
            raise ConfigurationError(f"the database could not be copied: {error}") from error

    @override
    def record(self, event: Event) -> None:
        try:
            with opened(self.path) as database:
                _put_event(database, event)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"The event could not be stored: {error}.") from error

    @override
    @contextmanager
    def replacing(self, file: Path, event: Event) -> Iterator[Replacement]:
        _check_is_one_file(file, self.path)
        if belongs_to_another(self.path):
            raise ConfigurationError(
                f"The file {self.path} is no database of Gatelodge. Nothing was changed."
            )
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        staged = self.path.with_name(f"{self.path.name}.restoring-{secrets.token_hex(8)}")
        try:
            _copy_privately(file, staged, self.path)
            replacement = Replacement(_sealed_keys(staged, file, self.newest))
            with _alone(self.path):
                yield replacement
                with opened(staged) as database:
                    _put_event(database, event)
                replacement.set_aside = _swap(staged, self.path, event.at)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"the database could not be replaced: {error}") from error
        finally:
            for beside in (*BESIDE, "-journal"):
                staged.with_name(staged.name + beside).unlink(missing_ok=True)


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Keep the file from being replaced until the context ends, also by forked processes.

    Raises:
        ConfigurationError: it is being replaced, or belongs to another program.
    """
    is_ours(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _open_lock(path)
    except OSError as error:
        raise ConfigurationError(
            f"cannot open the lock file {path}{_LOCK}: {error.strerror}."
        ) from error
    try:
        if not _locked(descriptor, fcntl.LOCK_SH):
            raise ConfigurationError(
                f"The database {path} is being restored at this moment. Try again when it is done."
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep every other process from using the file until the context ends.

    Servers and commands hold our own lock. Other programs, and older versions, hold only SQLite's.

    Raises:
        DatabaseInUse: somebody uses it.
    """
    with contextlib.ExitStack() as stack:
        lock = _open_lock(path)
        stack.callback(os.close, lock)
        if not _locked(lock, fcntl.LOCK_EX):
            raise DatabaseInUse
        if path.exists():
            file = os.open(path, os.O_RDWR)
            stack.callback(os.close, file)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
            except (BlockingIOError, PermissionError):
                raise DatabaseInUse("A program has this database open. End it first.") from None
        yield


def _open_lock(path: Path) -> int:
    """Open the lock file. It is never removed: two processes could then lock two files."""
    descriptor = os.open(
        path.with_name(path.name + _LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE
    )
    give_to_owner_of(path, descriptor)
    return descriptor


def _locked(descriptor: int, kind: int) -> bool:
    """Lock the file, unless another process holds it; a file system without locks locks nothing.

    The lock belongs to the open file, so a server's workers share it, and it ends with the last.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _check(copy: sqlite3.Connection, newest: str) -> None:
    """Check a copy from its first page to its last.

    Raises:
        NotABackup: it is damaged, of another program, or of a newer version.
        sqlite3.Error: it is damaged, so that it cannot be read.
    """
    (problem,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if problem != "ok":
        raise NotABackup(f"The file is damaged: {problem}")
    tables = table_names(copy)
    if not tables:
        raise NotABackup("The file is an empty database.")
    if not tables >= OUR_TABLES:
        raise NotABackup("The file is the database of another program.")
    (revision,) = copy.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    if not revision or revision > newest:  # they are numbers of four digits
        raise NotABackup("The file was made by a newer version of Gatelodge: upgrade first.")


def _put_event(database: sqlite3.Connection, event: Event) -> None:
    """Store an event in a database of this or an older version, whose events have fewer columns."""
    values = asdict(event)
    values |= {"at": to_milliseconds(event.at), "detail": json.dumps(dict(event.detail))}
    there = [name for (name,) in database.execute("SELECT name FROM pragma_table_info('events')")]
    names = [name for name in there if name in values]
    database.execute(
        f"INSERT INTO events ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608 - names of our own columns
        [values[name] for name in names],
    )
    database.commit()


def _check_is_one_file(file: Path, path: Path) -> None:
    """Refuse what is certainly no backup, before anything is read or made.

    Raises:
        NotABackup: the file is missing, a folder, the database itself, or has a log beside it.
    """
    if file.is_dir():
        raise NotABackup(f"{file} is a folder. Name the file that `gatelodge backup` wrote.")
    if not file.is_file():
        raise NotABackup(f"There is no file {file}.")
    if path.exists() and file.samefile(path):
        raise NotABackup(f"{file} is the database itself.")
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise NotABackup(
            f"{file} is the file of a database that was in use, and {log.name} beside it holds a "
            f"part of its data. Make a backup of it: gatelodge backup FILE --database {file}"
        )


def _copy_privately(file: Path, staged: Path, path: Path) -> None:
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "wb") as copy, file.open("rb") as source:
        give_to_owner_of(path, descriptor)
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        os.fsync(descriptor)


def _sealed_keys(staged: Path, file: Path, newest: str) -> dict[str, bytes]:
    """Check a staged copy, and return its sealed signing keys.

    Raises:
        NotABackup: it is no sound database of this or an older version of Gatelodge.
    """
    try:
        with opened(staged) as copy:
            _check(copy, newest)
            return dict(copy.execute(_SEALED_KEYS).fetchall())
    except sqlite3.Error as error:
        raise NotABackup(f"{file} is no sound SQLite database: {error}.") from error


_SEALED_KEYS = "SELECT kid, sealed_private_key FROM signing_keys WHERE gone_at IS NULL"


def _swap(staged: Path, path: Path, at: datetime) -> list[Path]:
    """Move the files of the database aside, and the staged copy in their place.

    The log goes first. A kill between two steps leaves the old database, or the new one.
    """
    moved: list[tuple[Path, Path]] = []
    aside = _free_name(path, at)
    try:
        for beside in reversed(BESIDE):
            old = path.with_name(path.name + beside)
            new = aside.with_name(aside.name + beside)
            if old.exists():
                _set_aside(old, new, keep=old == path)
                moved.append((old, new))
        staged.replace(path)
    except OSError:
        for old, new in reversed(moved):
            new.replace(old)
        raise
    flush(path.parent)
    return [new for _, new in reversed(moved)]


def _set_aside(old: Path, new: Path, *, keep: bool) -> None:
    """Give a file its new name; with `keep`, the old name stays too, where the disk can do it."""
    if keep:
        with contextlib.suppress(OSError):
            os.link(old, new)
            return
    old.rename(new)


def _free_name(path: Path, at: datetime) -> Path:
    stamp = f"{path.name}.{at:%Y%m%dT%H%M%SZ}"
    names = (stamp, *(f"{stamp}-{number}" for number in range(2, 1000)))
    return next(each for each in map(path.with_name, names) if not each.exists())
