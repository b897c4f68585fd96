"""Work that several callers wait for together: one does it, all get its outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gatelodge.tasks import end

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flight(Generic[T]):
    """Work that has begun.

    Attributes:
        began_at: when it began, in milliseconds since 1970.
        task: the work; it goes on when a caller is cancelled.
    """

    began_at: int
    task: asyncio.Task[T]

    async def outcome(self) -> T:
        """Wait for the work, and return or raise what it returns or raises."""
        return await asyncio.shield(self.task)


class Flights(Generic[T]):
    """The work that is going on, by key. It may be used in one event loop after the other."""

    def __init__(self) -> None:
        """Start without any work."""
        self._flights: dict[Hashable, Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def find(self, key: Hashable) -> Flight[T] | None:
        """Return the work that began last under a key, if it is still going on."""
        if self._loop is not asyncio.get_running_loop():
            return None
        return self._flights.get(key)

    def start(self, key: Hashable, work: Callable[[], Awaitable[T]], at: int) -> Flight[T]:
        """Begin work under a key, at this time in milliseconds since 1970."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # what another loop has begun goes on there
            self._loop, self._flights, self._tasks = loop, {}, set()

        async def run() -> T:
            return await work()

        flight = Flight(at, loop.create_task(run()))
        self._flights[key] = flight
        self._tasks.add(flight.task)

        def land(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            if self._flights.get(key) is flight:
                del self._flights[key]
            if not task.cancelled():
                task.exception()  # whoever waited for it may be gone; asyncio would complain

        flight.task.add_done_callback(land)
        return flight

    async def end(self) -> None:
        """Cancel all that is going on, and wait for its end."""
        if self._loop is asyncio.get_running_loop():
            await end(*self._tasks)
