"""What every store promises about events."""

import asyncio

from gatelodge.stores import Stores
from tests.contracts.builders import A_MINUTE, NOON, an_event
from tests.support.events import newest


async def test_an_event_comes_back_as_it_was_kept(stores: Stores) -> None:
    event = an_event(detail={"reason": "“odd”\n\u2028text", "role": "admin"})
    await stores.events.add(event)

    assert await newest(stores.events, 10) == [event]
    assert await stores.events.find(event.id) == event
    assert await stores.events.find("evt_nothing") is None


async def test_an_event_without_actor_and_target_comes_back_as_it_was_kept(stores: Stores) -> None:
    event = an_event(actor=None, target=None, detail={})
    await stores.events.add(event)

    assert await newest(stores.events, 10) == [event]


async def test_events_are_listed_in_pages_the_newest_first(stores: Stores) -> None:
    events = [an_event(at=NOON + n * A_MINUTE) for n in range(5)]
    await asyncio.gather(*(stores.events.add(event) for event in events))
    newest_first = events[::-1]

    assert await newest(stores.events, 2) == newest_first[:2]
    assert await newest(stores.events, 2, before=events[3].id) == newest_first[2:4]
    assert await newest(stores.events, 2, before=events[0].id) == []
