"""Long work on the event loop, in turns with other requests."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

TURN_SECONDS = 0.000_2
"""How long a turn lasts, which is how long a token check waits for it."""


class Turns:
    """Work that is done a turn at a time. In between, others on the event loop go on.

    A worker has one event loop. Whoever computes there for milliseconds keeps all others waiting.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        """Begin the first turn."""
        self._until = time.perf_counter() + TURN_SECONDS

    async def next(self) -> None:
        """Let others go on if the turn has lasted long enough; call it after each small step."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + TURN_SECONDS


async def in_turns(function: Callable[[T], R], values: Iterable[T]) -> list[R]:
    """Return what a function returns for each value, in order; others go on in between."""
    turns, results = Turns(), []
    for value in values:
        results.append(function(value))
        await turns.next()
    return results
