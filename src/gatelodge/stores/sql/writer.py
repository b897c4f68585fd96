"""The writer thread: units of many callers share one transaction and one fsync."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

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
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                for job in jobs:
                    _run_under_savepoint(connection, job)
                connection.exec_driver_sql("COMMIT")
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
    connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        _roll_back(connection)
        connection.exec_driver_sql("PRAGMA synchronous = FULL")


def _run_under_savepoint(connection: Connection, job: Job) -> None:
    connection.exec_driver_sql("SAVEPOINT unit")
    try:
        job.result = job.unit(connection)
    except Exception as error:  # noqa: BLE001 - it is the caller's to handle
        # After a full disk or an I/O error, SQLite has ended the whole transaction. Then this line
        # raises, and none of the jobs is reported as done.
        connection.exec_driver_sql("ROLLBACK TO unit")
        job.error = error_for_caller(error)
    connection.exec_driver_sql("RELEASE unit")


def _roll_back(connection: Connection) -> None:
    driver: Any = connection.connection.dbapi_connection
    if driver.in_transaction:
        # If this fails, the next BEGIN fails too, and the next batch calls this again.
        with contextlib.suppress(sqlite3.Error):
            driver.rollback()
