"""One SQLite file: a writer thread with group commit, and two reader threads."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Executable,
    NullPool,
    PoolProxiedConnection,
    Select,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from gatelodge.clock import from_milliseconds
from gatelodge.errors import ConfigurationError, StoreUnavailable
from gatelodge.stores import Copies, Database, DatabaseState, Schema, ignore
from gatelodge.stores.sql.copies import SqlCopies, hold
from gatelodge.stores.sql.files import is_ours, make_private_file
from gatelodge.stores.sql.gradual import finish, finish_small, is_finished
from gatelodge.stores.sql.lane import Lane, Unit
from gatelodge.stores.sql.writer import Writer

T = TypeVar("T")
L = TypeVar("L", bound=Lane)

HEAD = "0016"
"""The schema revision that this version of the code needs."""

BUSY_TIMEOUT_MILLISECONDS = 10_000


class SqlDatabase(Database):
    """One SQLite file, which several threads and several processes use at the same time."""

    def __init__(self, path: Path) -> None:
        """Use the file at this path; nothing is opened yet."""
        self.path = path
        self._engine = create_sqlite_engine(path)
        self._writer: Writer | None = None
        self._reader: Lane | None = None
        self._lister: Lane | None = None

    @property
    @override
    def clock_skew(self) -> timedelta:
        return timedelta(0)  # only processes of one machine use the file

    @property
    @override
    def copies(self) -> Copies:
        return SqlCopies(self.path.resolve(), HEAD)  # as SQLite does for its log

    @override
    def hold(self) -> AbstractContextManager[None]:
        return hold(self.path.resolve())

    @override
    def exists(self) -> bool:
        return is_ours(self.path)

    @override
    def migrate(self, watch: Callable[[str], None] = ignore) -> list[str]:
        """Bring the file to the newest revision. One process does it, and the others wait.

        What takes long in a large file is done in pieces after that; see `gradual.py`.

        Raises:
            ConfigurationError: the file is not a database, is locked, was made by a newer version,
                or belongs to another program. It is not changed.
        """
        is_ours(self.path)
        make_private_file(self.path)
        try:
            with self._engine.connect() as connection:
                steps = [] if current_revision(connection) == HEAD else upgrade(connection)
                return steps + finish(connection, watch)
        except DBAPIError as error:
            raise ConfigurationError(
                f"the database file {self.path} cannot be used: {error.orig}"
            ) from error

    @override
    async def start(self) -> None:
        """Start the threads.

        Raises:
            StoreUnavailable: the file cannot be opened now.
        """
        loop = asyncio.get_running_loop()
        try:
            lanes = await asyncio.to_thread(self._open_lanes, loop)
        except DBAPIError as error:
            raise StoreUnavailable(retry_after=1) from error
        for lane in lanes:
            lane.start()
        self._writer, self._reader, self._lister = lanes

    @override
    async def stop(self) -> None:
        """Commit the waiting units, then end the threads."""
        lanes = [lane for lane in (self._writer, self._reader, self._lister) if lane is not None]
        self._writer = self._reader = self._lister = None
        for lane in lanes:
            await asyncio.to_thread(lane.stop)
        self._engine.dispose()

    @override
    async def examine(self, now: Callable[[], datetime]) -> DatabaseState:
        newest = await self.read(lambda connection: connection.execute(_NEWEST).scalar())
        ahead = from_milliseconds(newest) - now() if newest else timedelta(0)
        return DatabaseState("file", clock_behind=max(ahead, timedelta(0)))

    @override
    async def schema(self) -> Schema:
        return await self.scan(_schema)

    @override
    async def ping(self) -> None:
        await self.read(lambda connection: connection.execute(_PING).scalar())

    async def read(self, query: Unit[T]) -> T:
        """Run a short query. It sees everything that was committed before it starts.

        Raises:
            StoreUnavailable: the file cannot be read now.
        """
        return await _open(self._reader).submit(query)

    async def scan(self, query: Unit[T]) -> T:
        """Run a query over many rows, on another thread, so that short queries do not wait.

        Raises:
            StoreUnavailable: the file cannot be read now.
        """
        return await _open(self._lister).submit(query)

    async def count(self, query: Select[Any], values: dict[str, Any] | None = None) -> int:
        """Run a query for one number, as `scan` does, and return it.

        Args:
            query: the query.
            values: its parameters, by name.

        Raises:
            StoreUnavailable: the file cannot be read now.
        """
        return await self.scan(lambda connection: connection.execute(query, values).scalar_one())

    async def write(self, unit: Unit[T], *, durable: bool = True) -> T:
        """Run a unit of changes on the writer thread. They are durable when this returns.

        Args:
            unit: the changes.
            durable: False for changes that a loss of power may undo. All processes see them, and
                they outlive a crash of this one; the commit waits for no disk.

        Raises:
            StoreUnavailable: the database failed, and nothing was changed.
            OutcomeUnknown: the disk failed during the commit; the changes may be stored or not.
            Exception: whatever the unit raised; its changes are undone.
        """
        return await _open(self._writer).submit(unit, durable=durable)

    async def change(self, statement: Executable, values: dict[str, Any] | None = None) -> int:
        """Run one statement that changes rows, and return how many it changed.

        Args:
            statement: the statement.
            values: its parameters, by name.

        Raises:
            StoreUnavailable, OutcomeUnknown: as for `write`.
        """
        return await self.write(lambda connection: connection.execute(statement, values).rowcount)

    def _open_lanes(self, loop: asyncio.AbstractEventLoop) -> tuple[Writer, Lane, Lane]:
        return (
            Writer(self._engine, loop, "writer"),
            Lane(self._engine, loop, "reader"),
            Lane(self._engine, loop, "lister", gives_way=True),
        )

    def connect_raw(self) -> PoolProxiedConnection:
        """Open a connection without a thread, for the change feed. The caller closes it.

        Raises:
            StoreUnavailable: the file cannot be opened now.
        """
        try:
            return self._engine.raw_connection()
        except DBAPIError as error:
            raise StoreUnavailable(retry_after=1) from error


def _open(lane: L | None) -> L:
    if lane is None:
        raise StoreUnavailable(retry_after=1)
    return lane


def create_sqlite_engine(path: Path) -> Engine:
    """Return an engine that begins no transactions itself and sets the pragmas of connections."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # in a URL as text, `?` would end the path
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # errors in the log must not show hashes or addresses
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up_connection)
    return engine


def current_revision(connection: Connection) -> str | None:
    """Return the schema revision of the file, or None for a new file."""
    if not connection.execute(_HAS_REVISION).scalar():
        return None
    revision: str | None = connection.execute(_REVISION).scalar()
    return revision


def _schema(connection: Connection) -> Schema:
    revision = current_revision(connection)
    if revision == HEAD:
        return "current" if is_finished(connection) else "unfinished"
    if revision is not None:
        from gatelodge.stores.sql.migrations import check_known  # noqa: PLC0415 - slow to import

        check_known(revision)
    return "older"


def upgrade(connection: Connection) -> list[str]:
    """Run the migrations in one immediate transaction, which also locks out other processes.

    Indexes of tables that are large already are left for `finish`.
    """
    from gatelodge.stores.sql.migrations import run_migrations  # noqa: PLC0415 - slow to import

    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        steps = run_migrations(connection)
        finish_small(connection)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    return steps


def _set_up_connection(connection: sqlite3.Connection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MILLISECONDS}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Turn on the write-ahead log. Only the first connection to a new file changes anything.

    SQLite ignores the busy timeout when two processes do this at the same time, so it is retried.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MILLISECONDS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


_NEWEST = text("SELECT at FROM events ORDER BY id DESC LIMIT 1")
_PING = text("SELECT 1 FROM sqlite_master LIMIT 1")
_HAS_REVISION = text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
_REVISION = text("SELECT version_num FROM alembic_version")
