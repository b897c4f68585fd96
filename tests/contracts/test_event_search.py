"""What every store promises about looking for events, against a model of a few lines."""

import random
from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest

from gatelodge.audit import EVENT_PREFIX, Event, EventPage, EventQuery
from gatelodge.ids import first_id
from gatelodge.stores import Stores, event_search
from tests.contracts.builders import A_MINUTE, NOON, an_event

ANN, BEN, COMMAND = "usr_ann", "usr_ben", "command"
A_MICROSECOND = timedelta(microseconds=1)
A_MILLISECOND = timedelta(milliseconds=1)

VALUES: dict[str, list[str | None]] = {
    "actor": [ANN, BEN, COMMAND, None],
    "target": [ANN, BEN, "ses_1", None],
    "name": ["session.opened", "session.ended", "user.renamed"],
    "address": ["192.0.2.7", "2001:db8::7", ""],
}


def matches(event: Event, query: EventQuery) -> bool:
    """Say whether an event is one that is looked for: the model."""
    return (
        query.actor in (None, event.actor)
        and query.target in (None, event.target)
        and query.name in (None, event.name)
        and query.address in (None, event.address)
        and (query.about is None or query.about in (event.actor, event.target))
        and (query.since is None or event.at >= query.since)
        and (query.until is None or event.at < query.until)
    )


def found_by(query: EventQuery, among: list[Event]) -> list[Event]:
    """Return what a search must find, the newest first."""
    found = [event for event in among if matches(event, query)]
    return sorted(found, key=lambda event: event.id, reverse=True)


def some_events(chance: random.Random, number: int) -> list[Event]:
    """Return events with few values; several happened in the same millisecond."""
    return [
        an_event(
            at=NOON + chance.randrange(number // 3) * A_MILLISECOND,
            **{field: chance.choice(values) for field, values in VALUES.items()},
        )
        for _ in range(number)
    ]


def a_query(chance: random.Random, number: int) -> EventQuery:
    """Return a search with some conditions, or none; its instants lie between milliseconds too."""

    def instant() -> datetime:
        halves = chance.randrange(-1, 2 * number // 3)
        return NOON + halves * A_MILLISECOND / 2

    named = {field: chance.choice(values) for field, values in VALUES.items()}
    given = {field: value for field, value in named.items() if chance.random() < 0.35}
    query = EventQuery(**given)
    if chance.random() < 0.35:
        query = replace(query, about=chance.choice([ANN, BEN]))
    if chance.random() < 0.35:
        query = replace(query, since=instant())
    if chance.random() < 0.35:
        query = replace(query, until=instant())
    return query


async def add_all(stores: Stores, events: list[Event]) -> None:
    for event in events:
        await stores.events.add(event)


async def walked(stores: Stores, query: EventQuery, limit: int) -> list[EventPage]:
    """Return all pages of a search."""
    pages = [await stores.events.search(query, before=None, limit=limit)]
    while pages[-1].before is not None:
        pages.append(await stores.events.search(query, before=pages[-1].before, limit=limit))
    return pages


@pytest.mark.parametrize("seed", range(3))
async def test_a_search_finds_what_matches_the_newest_first(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever the conditions are, and however few events are looked at for a page."""
    chance = random.Random(seed)
    events = some_events(chance, 90)
    await add_all(stores, events)

    for _ in range(60):
        query, limit = a_query(chance, 90), chance.choice([1, 4, 100])
        monkeypatch.setattr(event_search, "EXAMINED", chance.choice([1, 7, 1000]))
        monkeypatch.setattr(event_search, "FEW", chance.choice([0, 5]))

        pages = await walked(stores, query, limit)

        assert [event for page in pages for event in page.events] == found_by(query, events)
        assert all(len(page.events) <= limit for page in pages)


@pytest.mark.parametrize("field", ["actor", "target", "name", "address", "about"])
async def test_each_condition_holds(stores: Stores, field: str) -> None:
    wanted = {"about": ANN, "name": "session.opened"}.get(field, "wanted")
    other = dict.fromkeys(VALUES, "other")
    fitting = {"actor": ANN} if field == "about" else {field: wanted}
    event, another = an_event(**{**other, **fitting}), an_event(**other)
    await add_all(stores, [event, another])

    page = await stores.events.search(EventQuery(**{field: wanted}), before=None, limit=9)

    assert page == EventPage([event], None)


async def test_a_search_about_a_user_finds_each_event_once(stores: Stores) -> None:
    """Also one of what the user did to themselves."""
    done = an_event(at=NOON, actor=ANN, target="ses_1")
    own = an_event(at=NOON + A_MINUTE, actor=ANN, target=ANN)
    suffered = an_event(at=NOON + 2 * A_MINUTE, actor=COMMAND, target=ANN)
    await add_all(stores, [own, suffered, done, an_event(actor=BEN, target=BEN)])

    pages = await walked(stores, EventQuery(about=ANN), 1)

    assert [page.events for page in pages] == [[suffered], [own], [done]]


async def test_the_bounds_of_the_time_are_exact(stores: Stores) -> None:
    """`since` is the first instant that counts, `until` the first that does not."""
    events = [an_event(at=NOON + n * A_MILLISECOND) for n in range(4)]
    await add_all(stores, events)

    async def found(since: datetime | None, until: datetime | None) -> list[Event]:
        query = EventQuery(since=since, until=until)
        return (await stores.events.search(query, before=None, limit=9)).events[::-1]

    assert await found(events[1].at, events[3].at) == events[1:3]
    assert await found(events[1].at + A_MICROSECOND, None) == events[2:]
    assert await found(None, events[1].at + A_MICROSECOND) == events[:2]
    assert await found(datetime.min.replace(tzinfo=NOON.tzinfo), NOON) == []
    assert await found(NOON, datetime.max.replace(tzinfo=NOON.tzinfo)) == events


async def test_a_rare_pair_of_frequent_values_ends_a_page_early(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says where the next one goes on, so that no request looks at everything."""
    monkeypatch.setattr(event_search, "EXAMINED", 10)
    rare = an_event(at=NOON, actor=ANN, name="user.renamed")
    frequent = [
        an_event(
            at=NOON + n * A_MINUTE,
            actor=ANN if n % 2 else BEN,
            name="session.opened" if n % 2 else "user.renamed",
        )
        for n in range(1, 101)
    ]
    await add_all(stores, [rare, *frequent])

    pages = await walked(stores, EventQuery(actor=ANN, name="user.renamed"), 5)

    assert [page.events for page in pages] == [[]] * 5 + [[rare]]
    assert pages[0].before == frequent[80].id


async def test_the_condition_that_fewest_events_meet_is_followed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So one page is enough, wherever the rare value stands."""
    monkeypatch.setattr(event_search, "EXAMINED", 10)
    monkeypatch.setattr(event_search, "FEW", 3)
    usual = {"actor": ANN, "target": ANN, "name": "session.opened", "address": "192.0.2.7"}
    await add_all(stores, [an_event(at=NOON + n * A_MINUTE, **usual) for n in range(1, 50)])

    for field in usual:
        event = an_event(**usual | {field: "rare"})
        await stores.events.add(event)

        query = EventQuery(**usual | {field: "rare"})
        assert await stores.events.search(query, before=None, limit=5) == EventPage([event], None)


@pytest.mark.parametrize(
    "query",
    [
        EventQuery(),
        EventQuery(actor=ANN),
        EventQuery(about=ANN),
        EventQuery(name="session.opened", address="192.0.2.7"),
        EventQuery(about=ANN, name="session.opened", since=NOON, until=NOON + 90 * A_MINUTE),
    ],
    ids=["all", "actor", "about", "two", "much"],
)
async def test_what_stays_is_seen_exactly_once_while_others_come_and_go(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, query: EventQuery
) -> None:
    """New events, old ones that go, and events that are stored later than their ids were made."""
    monkeypatch.setattr(event_search, "EXAMINED", 6)
    chance = random.Random(7)

    def at(minute: int) -> Event:
        values = {field: chance.choice(values) for field, values in VALUES.items()}
        return an_event(at=NOON + minute * A_MINUTE, **values)

    events = [at(minute) for minute in range(80)]
    await add_all(stores, events)
    seen: list[Event] = []
    before: str | None = None
    removed = 0
    while True:
        page = await stores.events.search(query, before=before, limit=3)
        seen += page.events
        if (before := page.before) is None:
            break
        await add_all(stores, [at(100 + len(seen)), at(chance.randrange(80))])
        removed += await stores.events.remove_before(NOON + 20 * A_MINUTE, limit=3)

    left = {event.id for event in await stores.events.list_since(None, limit=1000)}
    stayed = [event for event in events if event.id in left]
    ids = [event.id for event in seen]
    assert ids == sorted(set(ids), reverse=True)
    assert [event for event in seen if event in stayed] == found_by(query, stayed)
    assert removed >= 6


async def test_events_are_listed_upwards(stores: Stores) -> None:
    events = [an_event(at=NOON + n * A_MINUTE) for n in range(5)]
    await add_all(stores, events[::-1])

    assert await stores.events.list_since(None, limit=2) == events[:2]
    assert await stores.events.list_since(events[1].id, limit=2) == events[2:4]
    assert await stores.events.list_since(events[3].id, limit=2) == events[4:]
    assert await stores.events.list_since(events[4].id, limit=2) == []


def test_the_first_id_of_an_instant_divides_the_ids() -> None:
    """Those that were made before it are below it, all others are not."""
    for at in (NOON, NOON + A_MILLISECOND, NOON + 12_345 * A_MINUTE):
        first = first_id(EVENT_PREFIX, at)
        made = [an_event(at=at).id for _ in range(50)]
        earlier = [an_event(at=at - A_MILLISECOND).id for _ in range(50)]
        assert max(earlier) < first <= min(made)
        assert first_id(EVENT_PREFIX, at - A_MICROSECOND) == first


def test_the_model_knows_every_condition() -> None:
    """A new condition of `EventQuery` needs a line in `matches`."""
    known = {"actor", "target", "about", "name", "address", "since", "until"}
    assert {field.name for field in fields(EventQuery)} == known
