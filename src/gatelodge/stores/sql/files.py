"""The file of an SQLite database: whether it is ours, and that only its owner reads it."""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from gatelodge.errors import ConfigurationError

PRIVATE = 0o600
BESIDE = ("", "-wal", "-shm")
"""What the names of SQLite's files of one database end in."""

OUR_TABLES = frozenset({"alembic_version", "users", "signing_keys"})
"""The tables that every database of ours has."""

_BUSY_SECONDS = 10.0


def make_private_file(path: Path) -> None:
    """Create the file and its folder if they are missing, readable only by the current user.

    An existing file is not opened, because closing it would release the locks that SQLite holds on
    it in this process (sqlite.org/howtocorrupt.html, section 2.2).

    Raises:
        ConfigurationError: the file cannot be created or protected.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for beside in BESIDE:
            close_to_others(path.with_name(path.name + beside))
    except OSError as error:
        raise ConfigurationError(
            f"cannot open the database file {path}: {error.strerror}"
        ) from error


def is_ours(path: Path) -> bool:
    """Return whether the file is a database of Gatelodge; False if it is missing or empty.

    Raises:
        ConfigurationError: it is a folder or a device, is no database, or is of another program.
    """
    if path.is_dir():
        raise ConfigurationError(
            f"GATELODGE_DATABASE: {path} is a folder. Name the file of the database, or name the "
            "folder by --data-dir (GATELODGE_DATA_DIR)."
        )
    try:
        if not path.exists():
            return False
        if not path.is_file():
            raise ConfigurationError(
                f"GATELODGE_DATABASE: {path} is a device or the like. Name the database file."
            )
        if path.stat().st_size == 0:
            return False
        _check_log_belongs(path)
        with opened(path) as connection:
            tables = table_names(connection)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"the database file {path} cannot be used: {error}") from error
    if tables and not tables >= OUR_TABLES:
        raise ConfigurationError(
            f"The file {path} is the database of another program. Nothing in it was changed."
        )
    return bool(tables)


def _check_log_belongs(path: Path) -> None:
    """Refuse a file whose write-ahead log belongs to another file, before SQLite merges them.

    While a log is in use, SQLite writes the file only at checkpoints, directly after the log. So a
    file that is newer than its log, or whose header says that it has no log, was copied there.

    Raises:
        ConfigurationError: the log belongs to another file; nothing was opened.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size == 0:
        return
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    has_no_log = header[_WRITE_VERSION : _WRITE_VERSION + 1] == b"\x01"
    if has_no_log or path.stat().st_mtime - log.stat().st_mtime > _CHECKPOINT_SECONDS:
        raise ConfigurationError(
            f"The database file {path} was put there from a copy, and {log.name} beside it belongs "
            f"to the file before. Nothing was changed. Remove {log.name} and {path.name}-shm, then "
            "start again."
        )


_HEADER_BYTES = 100
_WRITE_VERSION = 18  # 1: no write-ahead log, 2: one (sqlite.org/fileformat2.html, section 1.3.3)
_CHECKPOINT_SECONDS = 2.0


def belongs_to_another(path: Path) -> bool:
    """Return whether there is something that is certainly no database of ours, sound or damaged.

    The file is only read: its log is not merged, and no lock is taken.
    """
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return False
    if not path.is_file():
        return True
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return True
    try:
        with opened(path, "mode=ro&immutable=1") as connection:
            tables = table_names(connection)
    except sqlite3.Error:  # it is damaged
        return False
    return bool(tables) and not tables >= OUR_TABLES


def table_names(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the tables of a database."""
    return {name for (name,) in connection.execute(_TABLES)}


@contextlib.contextmanager
def opened(path: Path, how: str = "mode=rw") -> Iterator[sqlite3.Connection]:
    """Open a file as a database, and close it; `mode=rw` does not create the file.

    Unlike a connection of the stores, it does not turn on the write-ahead log.
    """
    address = f"{path.absolute().as_uri()}?{how}"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as database:
        yield database


def give_to_owner_of(path: Path, descriptor: int) -> None:
    """Let the administrator's new file belong to whom the database or its folder belongs.

    Else a command that root runs would make files that the server's user cannot open.
    """
    if os.geteuid() == 0:
        owner = (path if path.exists() else path.parent).stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


_MAGIC = b"SQLite format 3\0"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def close_to_others(path: Path) -> None:
    """Make an existing file readable only by its owner; a restored backup often is not."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_IMODE(path.stat().st_mode) != PRIVATE:
            path.chmod(PRIVATE)
