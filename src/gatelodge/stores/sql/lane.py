"""A thread with one connection, which runs the units of callers on the event loop in batches.

Switching between threads costs more than most queries. So the thread takes all waiting units at
once, and answers their callers with one call to the event loop.
"""

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gatelodge.errors import OutcomeUnknown, StoreUnavailable

T = TypeVar("T")

Unit: TypeAlias = Callable[[Connection], T]
"""One piece of work on a connection: a query, or changes that are made all or not at all."""

_STEPS_IN_A_TURN = 500
"""How many instructions of SQLite's virtual machine a query runs at a stretch: about 0.1 ms."""

MAX_UNITS = 256
"""The maximum number of units in a batch, so that the first caller does not wait too long."""


@dataclass(slots=True)
class Job:
    """A unit, the future of its caller, and the result or the error.

    Attributes:
        unit: the work.
        answer: the future of its caller.
        durable: whether what the unit changes must outlive a loss of power.
        result: what the unit returned.
        error: what it raised, as its caller gets it.
    """

    unit: Unit[Any]
    answer: asyncio.Future[Any]
    durable: bool = True
    result: Any = None
    error: BaseException | None = None


class Lane:
    """A thread that runs units in the order of arrival. Each sees all commits before it."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        name: str,
        *,
        gives_way: bool = False,
    ) -> None:
        """Open the connection; the thread answers its callers on `loop`.

        Args:
            engine: opens the connection.
            loop: the event loop of the callers.
            name: the name of the thread, after the prefix that all share.
            gives_way: whether queries let threads go first that wait for this core, again and
                again while they run: for queries that take milliseconds, so that the event loop
                does not wait for them.

        Raises:
            DBAPIError: the database cannot be opened.
        """
        self._connection = engine.connect()
        if gives_way:
            _give_way(self._connection)
        self._loop = loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"gatelodge-sql-{name}")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Run the waiting units, then end the thread. Nothing may be submitted after this."""
        self._jobs.put(None)
        self._thread.join()

    async def submit(self, unit: Unit[T], *, durable: bool = True) -> T:
        """Run the unit on this thread's connection, and return its result.

        Args:
            unit: the work.
            durable: whether what it changes must outlive a loss of power.

        Raises:
            StoreUnavailable, OutcomeUnknown: the database failed; see `refusal_for`.
            Exception: whatever the unit raised.
        """
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(Job(unit, answer, durable))
        return await answer

    def work(self, connection: Connection, jobs: list[Job]) -> None:
        """Run a batch of jobs, and set the result or the error of each. This raises nothing."""
        for job in jobs:
            try:
                job.result = job.unit(connection)
            except Exception as error:  # noqa: BLE001 - it is the caller's to handle
                job.error = error_for_caller(error)

    def _run(self) -> None:
        with self._connection as connection:
            while jobs := self._next_jobs():
                self.work(connection, jobs)
                self._loop.call_soon_threadsafe(_answer, jobs)

    def _next_jobs(self) -> list[Job]:
        """Wait for a job, and return it with all others that wait; an empty list means stop."""
        first = self._jobs.get()
        if first is None:
            return []
        jobs = [first]
        while len(jobs) < MAX_UNITS:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs


def _give_way(connection: Connection) -> None:
    # Without this, a thread that wakes up waits until a long query has used its share of the core,
    # which is 2 to 4 ms.
    raw: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    raw.set_progress_handler(os.sched_yield, _STEPS_IN_A_TURN)


def error_for_caller(error: Exception) -> Exception:
    """Return the exception for the caller whose own unit raised this error."""
    if isinstance(error, DBAPIError):
        return refusal_for(error)
    if isinstance(error, StopIteration):  # a future does not accept it (PEP 479)
        ended = RuntimeError("the unit raised StopIteration")
        ended.__cause__ = error
        return ended
    return error


def refusal_for(error: Exception) -> Exception:
    """Return the refusal for an error of the database.

    `OutcomeUnknown` after an I/O error or without memory: the commit may be on the disk or not.
    `StoreUnavailable` after any other error: nothing was changed.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    primary = getattr(original, "sqlite_errorcode", 0) & 0xFF
    unsure = primary == sqlite3.SQLITE_IOERR or isinstance(original, MemoryError)
    kind = OutcomeUnknown if unsure else StoreUnavailable
    refusal = kind(retry_after=1)
    refusal.__cause__ = error
    return refusal


def _answer(jobs: list[Job]) -> None:
    for job in jobs:
        if job.answer.done():  # the caller went away
            continue
        if job.error is not None:
            job.answer.set_exception(job.error)
        else:
            job.answer.set_result(job.result)
