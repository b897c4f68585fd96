"""A store whose answers are held up on their way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Held:
    """Stands in front of a store, and hands on what it is asked.

    Attributes:
        arrived: set once the store has answered.
        let_go: to be set for such answers to go on.
    """

    def __init__(self, store: object, method: str) -> None:
        """Hold up the answers of one method."""
        self._store = store
        self._method = method
        self.arrived = asyncio.Event()
        self.let_go = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        """Return the store's own, or what holds its answer up."""
        asked = getattr(self._store, name)
        return self._hold_up(asked) if name == self._method else asked

    def _hold_up(self, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(*question: Any, **named: Any) -> Any:
            answer = await ask(*question, **named)
            self.arrived.set()
            await self.let_go.wait()
            return answer

        return asked
