"""Tells those who wait that something about a user, a session or a role has changed.

A request is checked when it comes. What stays open after it, such as a WebSocket, is not asked
again: it waits here, and is checked anew whenever its user, its session or a role changes.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from gatelodge.gate.feed import ChangeFeed
from gatelodge.ids import ROLE_PREFIX
from gatelodge.tasks import end, start

LOOK_EVERY_SECONDS = 0.02
"""How often the feed is asked while somebody waits. Requests ask it too, if there are any."""

_ROLE = f"{ROLE_PREFIX}:"


@dataclass(eq=False, slots=True)
class Watchers:
    """Those who wait for changes.

    Attributes:
        feed: tells what has changed.
    """

    feed: ChangeFeed
    _by_id: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    _everybody: set[asyncio.Event] = field(default_factory=set)
    _looking: asyncio.Task[None] | None = None

    def notify(self, changed: str | None) -> None:
        """Wake those who wait for a change of this user, session or role; None: wake everybody."""
        if changed is None or changed.startswith(_ROLE):
            woken = self._everybody
        else:
            woken = self._by_id.get(changed, set())
        for each in woken:
            each.set()

    @contextlib.contextmanager
    def waiting(self, *ids: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever something about a principal may have changed.

        Args:
            ids: the ids of the user and the session.
        """
        event = asyncio.Event()
        for each in ids:
            self._by_id.setdefault(each, set()).add(event)
        self._everybody.add(event)
        if self._looking is None or self._looking.done():
            self._looking = start(self._look)
        try:
            yield event
        finally:
            self._everybody.discard(event)
            for each in ids:
                self._by_id[each].discard(event)
                if not self._by_id[each]:
                    del self._by_id[each]

    async def close(self) -> None:
        """End the task that asks the feed."""
        if self._looking is not None:
            await end(self._looking)

    async def _look(self) -> None:
        """Ask the feed again and again, while somebody waits. It then calls `notify`."""
        while self._everybody:
            self.feed.catch_up()
            await asyncio.sleep(LOOK_EVERY_SECONDS)
