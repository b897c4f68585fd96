"""A thread with one connection that does what callers on the event loop ask for, in batches.

A hand-over between threads costs more than most queries. So whatever waits is taken at once, and
all of it is answered with one call to the event loop.
"""

import asyncio
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
"""What is done on a connection in one piece: a query, or changes made together or not at all."""

MAX_UNITS = 256
"""How many units one batch takes, so that the first caller does not wait for ever."""


@dataclass(slots=True)
class Job:
    """A unit, its caller, and what came of it."""

    unit: Unit[Any]
    answer: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class Lane:
    """A thread that runs queries in the order they come; each sees what was committed before."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, name: str) -> None:
        """Connect, here where a failure has a caller; answer callers on this loop."""
        self._connection = engine.connect()
        self._loop = loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"gatelodge-sql-{name}")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Do what was asked for, end the thread; nobody may submit any more."""
        self._jobs.put(None)
        self._thread.join()

    async def submit(self, unit: Unit[T]) -> T:
        """Run the unit on this thread's connection and return its result."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(Job(unit, answer))
        return await answer

    def work(self, connection: Connection, jobs: list[Job]) -> None:
        """Do a batch of jobs, noting in each what came of it; raises nothing."""
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
        """Wait for a job, then take those that came meanwhile. Empty: time to stop."""
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


def error_for_caller(error: Exception) -> Exception:
    """Return what to tell the caller whose own unit raised this."""
    if isinstance(error, DBAPIError):
        return refusal_for(error)
    if isinstance(error, StopIteration):  # which no future takes (PEP 479)
        ended = RuntimeError("the unit raised StopIteration")
        ended.__cause__ = error
        return ended
    return error


def refusal_for(error: Exception) -> Exception:
    """Say what a caller may believe after an error that was not its own.

    When making a commit durable failed, what the disk holds after a power cut is unknown.
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
