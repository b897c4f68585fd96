"""The writer thread: units of many callers share one transaction and one fsync."""

import contextlib
import sqlite3
from typing import Any

from sqlalchemy import Connection

from gatelodge.stores.sql.lane import Job, Lane, error_for_caller, refusal_for


class Writer(Lane):
    """A lane that owns the only writing connection of this process.

    Each unit runs under a savepoint of its own. If a unit fails, only its own changes are undone.
    The changes of all others are committed with one fsync, and then all callers are answered.
    """

    def work(self, connection: Connection, jobs: list[Job]) -> None:
        """Run a batch of units in one transaction, and commit it durably."""
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for job in jobs:
                _run_under_savepoint(connection, job)
            connection.exec_driver_sql("COMMIT")
        except Exception as error:  # noqa: BLE001 - every caller must be answered
            _roll_back(connection)
            for job in jobs:
                job.error = refusal_for(error)


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
