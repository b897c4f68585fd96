"""What every store promises about old events, and about what events say of a user."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gatelodge.audit import Blanked, Event, EventQuery
from gatelodge.ids import UserId
from gatelodge.stores import Stores, open_stores
from gatelodge.subscriptions.store import Message, Subscription
from tests.contracts.builders import A_MINUTE, NOON, a_user, an_event
from tests.contracts.failpoints import failing

ANN, BEN = UserId("usr_ann"), UserId("usr_ben")
RENAMED = {"changed": "username", "username": "ann", "former": "anna"}
FORGET = Subscription("shop.forget", ("user.renamed",), NOON)


async def listed(stores: Stores) -> list[Event]:
    """Return all events, the oldest first."""
    return await stores.events.list_since(None, limit=100)


async def add_all(stores: Stores, events: list[Event]) -> None:
    for event in events:
        await stores.events.add(event)


async def claimed(stores: Stores) -> Message | None:
    until = NOON + 2 * A_MINUTE
    return await stores.subscriptions.claim(
        [FORGET.name], NOON + A_MINUTE, until, latest=until + A_MINUTE
    )


async def test_old_events_are_removed_in_pages_the_oldest_first(stores: Stores) -> None:
    events = [an_event(at=NOON + n * A_MINUTE) for n in range(6)]
    await add_all(stores, events)

    assert await stores.events.remove_before(events[4].at, limit=3) == 3
    assert await listed(stores) == events[3:]
    assert await stores.events.remove_before(events[4].at, limit=3) == 1
    assert await stores.events.remove_before(events[4].at, limit=3) == 0
    assert await listed(stores) == events[4:]


async def test_an_event_of_the_instant_itself_stays(stores: Stores) -> None:
    events = [an_event(at=NOON - timedelta(milliseconds=1)), an_event(at=NOON)]
    await add_all(stores, events)

    assert await stores.events.remove_before(NOON, limit=9) == 1
    assert await listed(stores) == events[1:]


async def test_who_waits_to_be_told_of_a_removed_event_is_told(stores: Stores) -> None:
    """And afterwards it goes, at the latest."""
    await stores.subscriptions.put(FORGET)
    waiting, other = an_event(name="user.renamed"), an_event(at=NOON + A_MINUTE / 2)
    await add_all(stores, [waiting, other])

    await stores.events.remove_before(NOON + A_MINUTE, limit=9)

    assert other not in await listed(stores)
    assert await stores.subscriptions.count_waiting(FORGET.name) == 1
    message = await claimed(stores)
    assert message is not None
    assert message.event == waiting
    assert await stores.subscriptions.finish(message)
    await stores.events.remove_before(NOON + A_MINUTE, limit=9)
    assert await listed(stores) == []


THEIRS = {"address": "", "user_agent": ""}
BLANK_DETAILS = {"changed": "username", "username": "", "former": ""}


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (an_event(actor=ANN, target="ses_1"), THEIRS),
        (an_event(actor=ANN, target=ANN, detail=RENAMED), THEIRS | {"detail": BLANK_DETAILS}),
        (an_event(actor=BEN, target=ANN, detail=RENAMED), {"detail": BLANK_DETAILS}),
        (an_event(actor=None, target=ANN, detail=RENAMED), THEIRS | {"detail": BLANK_DETAILS}),
        (an_event(actor=ANN, target=BEN, detail=RENAMED), THEIRS),
        (an_event(actor=BEN, target=ANN, detail={"role": "moderator"}), {}),
        (an_event(actor=ANN, target=ANN, address="", user_agent="", detail={"former": ""}), {}),
        (an_event(actor=BEN, target=BEN, detail=RENAMED), {}),
        (an_event(actor=None, target=None, detail=RENAMED), {}),
    ],
    ids=[
        "their session",
        "themselves",
        "by somebody else",
        "by nobody known",
        "to somebody else",
        "nothing personal",
        "blank already",
        "others",
        "nobody",
    ],
)
async def test_what_an_event_says_of_a_user_is_blanked_and_the_rest_stays(
    stores: Stores, event: Event, changes: dict[str, Any]
) -> None:
    await stores.events.add(event)

    done = await stores.events.blank(ANN, after=None, limit=9)

    assert await listed(stores) == [replace(event, **changes)]
    assert done == Blanked(int(ANN in (event.actor, event.target)), int(bool(changes)), None)


async def test_events_of_a_user_are_blanked_in_pages(stores: Stores) -> None:
    """Whoever goes on from page to page has looked at each of them once."""
    events = [
        an_event(at=NOON + n * A_MINUTE, **values)
        for n, values in enumerate(
            [
                {"actor": ANN, "target": ANN},
                {"actor": BEN, "target": BEN},
                {"actor": ANN, "target": "ses_1"},
                {"actor": BEN, "target": ANN, "detail": RENAMED},
                {"actor": BEN, "target": "ses_2"},
                {"actor": ANN, "target": "ses_3"},
                {"actor": ANN, "target": ANN},
            ]
        )
    ]
    await add_all(stores, events)

    pages = [await stores.events.blank(ANN, after=None, limit=2)]
    while (after := pages[-1].after) is not None:
        pages.append(await stores.events.blank(ANN, after=after, limit=2))

    assert pages == [
        Blanked(2, 2, events[2].id),
        Blanked(2, 2, events[5].id),
        Blanked(1, 1, None),
    ]
    theirs = await stores.events.search(EventQuery(actor=ANN), before=None, limit=9)
    assert {(event.address, event.user_agent) for event in theirs.events} == {("", "")}
    assert [event for event in await listed(stores) if event.actor == BEN] == [
        events[1],
        replace(events[3], detail=BLANK_DETAILS),
        events[4],
    ]
    assert await stores.events.blank(ANN, after=None, limit=9) == Blanked(5, 0, None)


async def test_a_blanked_event_is_found_as_before_but_not_by_the_address(stores: Stores) -> None:
    event = an_event(actor=ANN, target=ANN)
    await stores.events.add(event)
    await stores.events.blank(ANN, after=None, limit=9)

    async def found(query: EventQuery) -> list[str]:
        page = await stores.events.search(query, before=None, limit=9)
        return [each.id for each in page.events]

    for query in (EventQuery(actor=ANN), EventQuery(target=ANN), EventQuery(name=event.name)):
        assert await found(query) == [event.id]
    assert await found(EventQuery(address=event.address)) == []


async def test_who_waits_to_be_told_of_a_blanked_event_is_told_the_blanked_one(
    stores: Stores,
) -> None:
    await stores.subscriptions.put(FORGET)
    event = an_event(name="user.renamed", actor=ANN, target=ANN, detail=RENAMED)
    other = an_event(name="user.renamed", actor=BEN, target=BEN, at=NOON + A_MINUTE / 2)
    await add_all(stores, [event, other])

    await stores.events.blank(ANN, after=None, limit=9)

    first, second = await claimed(stores), await claimed(stores)
    assert first is not None
    assert second is not None
    assert first.event == replace(event, address="", user_agent="", detail=BLANK_DETAILS)
    assert second.event == other


async def test_an_event_that_is_on_its_way_is_blanked_too(mongodb_address: str) -> None:
    """On MongoDB a change may be done, and its event not be among the others yet."""
    stores = open_stores(mongodb_address)
    await asyncio.to_thread(stores.database.migrate)
    await stores.database.start()
    user = a_user()
    event = an_event(name="user.signed_up", actor=user.id, target=user.id)
    with failing(mongodb_address, "insert", collection="events", errorCode=11601):
        await stores.users.add(user, event)
    assert await listed(stores) == []

    assert await stores.events.blank(user.id, after=None, limit=9) == Blanked(1, 1, None)
    assert await listed(stores) == [replace(event, address="", user_agent="")]
    await stores.database.stop()
