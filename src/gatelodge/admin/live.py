"""What happens now: new events, for those who look on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from gatelodge.admin.refusals import TooManyOnlookers
from gatelodge.audit import EVENT_PREFIX, Event, EventQuery, EventStore
from gatelodge.clock import Clock, from_milliseconds
from gatelodge.errors import Unavailable
from gatelodge.ids import first_id, id_to_bytes
from gatelodge.tasks import end, start, when_told_to_end

MOST_ONLOOKERS = 32
"""How many look on at the same time in one process."""

LOOK_EVERY_SECONDS = 1.0
"""How often the events are read while somebody looks on."""

OVERLAP = timedelta(seconds=60)
"""How far back each read begins: an event is stored a little after its id was made, and the clocks
of servers with one database differ."""

_PAGE = 500
_MOST_AT_ONCE = 2_000
"""How many events one look reads at most, and how many of them are sent to one onlooker."""

_KNOWN = 500
"""How many events a read repeats at most, however many happen within `OVERLAP`."""


def _do_nothing() -> None:
    """Do nothing."""


@dataclass(eq=False, slots=True)
class Onlooker:
    """Somebody who looks on.

    Attributes:
        wanted: which events.
        arrived: those that have happened and were not taken yet, the oldest first.
        woken: set about once a second.
        behind: whether there were too many to keep.
    """

    wanted: EventQuery
    arrived: list[Event] = field(default_factory=list)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    behind: bool = False

    def tell(self, events: Iterable[Event]) -> None:
        """Keep those of these events that are wanted, and wake up.

        Whoever is behind gets no more: they may be hanging on a line that takes nothing. What they
        miss comes when they come back.
        """
        if not self.behind:
            self.arrived += [each for each in events if matches(self.wanted, each)]
            self.behind = len(self.arrived) > _MOST_AT_ONCE
        self.woken.set()

    def take(self) -> list[Event]:
        """Return what has arrived since the last call."""
        taken, self.arrived = self.arrived, []
        return taken


@dataclass(eq=False, slots=True)
class EventTail:
    """Reads new events about once a second while somebody looks on, once for all of them.

    Attributes:
        events: the stored events.
        clock: tells the current time.
    """

    events: EventStore
    clock: Clock
    _onlookers: set[Onlooker] = field(default_factory=set)
    _reading: asyncio.Task[None] | None = None
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False
    _forget_signals: Callable[[], None] = _do_nothing
    _after: str = ""
    _known: set[str] = field(default_factory=set)

    def join(self, wanted: EventQuery) -> Onlooker:
        """Begin to look on, until `leave`.

        Raises:
            TooManyOnlookers: there are as many as this process serves, or it is about to end.
        """
        if self._closed or len(self._onlookers) >= MOST_ONLOOKERS:
            raise TooManyOnlookers(retry_after=5)
        onlooker = Onlooker(wanted)
        if not self._onlookers:
            self._forget_signals = when_told_to_end(self._end_all)
        self._onlookers.add(onlooker)
        if self._reading is None or self._reading.done():
            self._begun.clear()
            self._reading = start(self._read_on)
        return onlooker

    def leave(self, onlooker: Onlooker) -> None:
        """Look on no more."""
        self._onlookers.discard(onlooker)
        if not self._onlookers:
            self._forget_signals()

    async def follow(
        self,
        onlooker: Onlooker,
        after: str | None,
        still_may: Callable[[], Awaitable[bool]],
        *,
        seconds: float,
    ) -> AsyncIterator[list[Event]]:
        """Yield about once a second what has happened, the oldest first; often that is nothing.

        It ends when the onlooker may look on no more, after these seconds, when too much happens,
        or when the server ends. Nothing is yielded before `still_may` has said yes once more. An
        event may come twice to somebody who comes back, but not twice to one onlooker.

        Args:
            onlooker: who looks on.
            after: the id of the last event that they know; what came after it comes first. None:
                only what happens from now on.
            still_may: says whether they may still see events.
            seconds: how long they look on.

        Raises:
            Unavailable: the database does not answer.
        """
        ends_at = asyncio.get_running_loop().time() + seconds
        await self._begun.wait()
        new = [] if after is None else await self._missed(onlooker, after)
        sent = {each.id for each in new}
        while await still_may():
            yield new
            left = ends_at - asyncio.get_running_loop().time()
            if self._closed or onlooker.behind or left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 2 * LOOK_EVERY_SECONDS)):
                    await onlooker.woken.wait()
            onlooker.woken.clear()
            new = [each for each in onlooker.take() if each.id not in sent]

    async def close(self) -> None:
        """End what everybody sees."""
        self._end_all()
        if self._reading is not None:
            await end(self._reading)

    def _end_all(self) -> None:
        self._closed = True
        self._begun.set()
        for each in self._onlookers:
            each.woken.set()

    async def _read_on(self) -> None:
        """Tell the onlookers what is new, again and again, while there are any."""
        try:
            self._after, self._known = self._overlap_from(), set()
            await self._look()
        finally:
            self._begun.set()
        while self._onlookers:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            new = await self._look()
            for each in self._onlookers:
                each.tell(new)

    async def _look(self) -> list[Event]:
        """Return what was stored since the last look; nothing if the database does not answer."""
        found: list[Event] = []
        after = self._after
        with contextlib.suppress(Unavailable):
            while len(found) < _MOST_AT_ONCE:
                page = await self.events.list_since(after, limit=_PAGE)
                found += page
                if len(page) < _PAGE:
                    break
                after = page[-1].id
        new = [each for each in found if each.id not in self._known]
        self._known.update(each.id for each in new)
        self._move_on()
        return new

    def _move_on(self) -> None:
        """Let the next look begin later, and forget the events before that."""
        newest = sorted(self._known)[-_KNOWN - 1 :]
        if len(newest) > _KNOWN:
            self._after = max(self._after, newest[0])
        self._after = max(self._after, self._overlap_from())
        self._known = {each for each in newest if each > self._after}

    def _overlap_from(self) -> str:
        return first_id(EVENT_PREFIX, self.clock.now() - OVERLAP)

    async def _missed(self, onlooker: Onlooker, after: str) -> list[Event]:
        """Return what came after an event, and what was stored below it since, if that is not much.

        If there is too much, the rest comes when the onlooker comes back.
        """
        found = await self._stored_late(after)
        since = after
        for _ in range(_MOST_AT_ONCE // _PAGE):
            page = await self.events.list_since(since, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                break
            since = page[-1].id
        else:
            onlooker.behind = True
        return [each for each in found if matches(onlooker.wanted, each)]

    async def _stored_late(self, after: str) -> list[Event]:
        """Return the events of the minute before an event, if they are not too many."""
        try:
            made = int.from_bytes(id_to_bytes(EVENT_PREFIX, after)[:6], "big")
            since = from_milliseconds(made) - OVERLAP
        except (ValueError, OverflowError):  # no id, or of a year after 9999
            return []
        page = await self.events.list_since(first_id(EVENT_PREFIX, since), limit=_PAGE)
        earlier = [each for each in page if each.id < after]
        return earlier if len(earlier) < _PAGE else []


def matches(query: EventQuery, event: Event) -> bool:
    """Return whether an event is one that a search would find."""
    return (
        query.actor in {None, event.actor}
        and query.target in {None, event.target}
        and query.about in {None, event.actor, event.target}
        and query.name in {None, event.name}
        and query.address in {None, event.address}
        and (query.since is None or event.at >= query.since)
        and (query.until is None or event.at < query.until)
    )
