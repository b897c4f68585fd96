"""The writer thread: units of many callers share one transaction and one fsync."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import cast

from sqlalchemy import Connection

from gatelodge.stores.sql.lane import Job, Lane, error_for_caller, refusal_for


class Writer(Lane):
    """A lane that owns the only writing connection of this process.

    Each unit runs under a savepoint of its own. If a unit fails, only its own changes are undone.
    The changes of all others are committed with one fsync, and then all callers are answered.
    """

    def work(self, connection: Connection, jobs: list[Job]) -> None:
        """Run a batch of units in one transaction, and commit it; durably, if one of them asks."""
        try:
            with _synced(connection, always=any(job.durable for job in jobs)):
                _execute(connection, "BEGIN IMMEDIATE")
                for job in jobs:
                    _run_under_savepoint(connection, job)
                _execute(connection, "COMMIT")
        except Exception as error:  # noqa: BLE001 - every caller must be answered
            _roll_back(connection)
            for job in jobs:
                job.error = refusal_for(error)


@contextlib.contextmanager
def _synced(connection: Connection, *, always: bool) -> Iterator[None]:
    """Let the commit of this block wait for the disk, or leave that to the next one that does.

    With WAL, a commit that does not wait is atomic all the same, and all processes see it at once
    (sqlite.org/pragma.html#pragma_synchronous). The setting takes effect outside of transactions.
    """
    if always:
        yield
        return
    _execute(connection, "PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        _roll_back(connection)
        _execute(connection, "PRAGMA synchronous = FULL")


def _run_under_savepoint(connection: Connection, job: Job) -> None:
    _execute(connection, "SAVEPOINT unit")
    try:
        job.result = job.unit(connection)
    except Exception as error:  # noqa: BLE001 - it is the caller's to handle
        # After a full disk or an I/O error, SQLite has ended the whole transaction. Then this line
        # raises, and none of the jobs is reported as done.
        _execute(connection, "ROLLBACK TO unit")
        job.error = error_for_caller(error)
    _execute(connection, "RELEASE unit")


def _execute(connection: Connection, statement: str) -> None:
    """Run a statement that returns nothing, by the driver: it takes a fraction of the time.

    Raises:
        sqlite3.Error: SQLAlchemy does not wrap it here; `refusal_for` knows both.
    """
    _driver_of(connection).execute(statement)


def _driver_of(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def _roll_back(connection: Connection) -> None:
    driver = _driver_of(connection)
    if driver.in_transaction:
        # If this fails, the next BEGIN fails too, and the next batch calls this again.
        with contextlib.suppress(sqlite3.Error):
            driver.rollback()
