"""Questions to SQLite about many records follow the index that was chosen, and sort nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from gatelodge.audit import EventQuery
from gatelodge.ids import UserId
from gatelodge.sessions.store import SessionQuery
from gatelodge.stores import Stores, event_search
from tests.contracts.builders import NOON, a_session, an_event
from tests.support.databases import migrated

Asked = list[tuple[str, Any]]

ANN = UserId("usr_ann")
EVERYTHING = EventQuery(
    actor=ANN,
    target=ANN,
    about=ANN,
    name="session.opened",
    address="192.0.2.7",
    since=NOON,
    until=NOON,
)


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Return the path of an SQLite file: these tests need no other database."""
    return str(migrated(tmp_path / "gatelodge.sqlite3"))


@contextmanager
def listening(stores: Stores) -> Iterator[Asked]:
    """Yield the list of what SQLite is asked, with the values."""
    engine: Engine = stores.database._engine  # type: ignore[attr-defined]
    asked: Asked = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


def plans_of(address: str, asked: Asked) -> list[str]:
    """Return how SQLite answers, in its own words, a line for each statement."""
    with closing(sqlite3.connect(address)) as file:
        return [
            "; ".join(row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            for statement, values in asked
            if not isinstance(values, list)
        ]


@pytest.mark.parametrize(
    "query",
    [
        EventQuery(),
        EventQuery(since=NOON),
        EventQuery(actor=ANN),
        EventQuery(target=ANN, name="session.opened"),
        EventQuery(about=ANN),
        EventQuery(about=ANN, name="session.opened", since=NOON),
        EVERYTHING,
    ],
)
@pytest.mark.parametrize("before", [None, "evt_z"])
async def test_a_search_follows_an_index(
    stores: Stores, address: str, query: EventQuery, before: str | None
) -> None:
    await stores.events.add(an_event())
    with listening(stores) as asked:
        await stores.events.search(query, before=before, limit=5)

    plans = plans_of(address, asked)

    assert asked
    for plan in plans:
        assert "TEMP B-TREE" not in plan
        assert "SEARCH events USING" in plan
        if query not in (EventQuery(), EventQuery(since=NOON)):
            assert "INDEX ix_events_" in plan


@pytest.mark.parametrize("rare", ["actor", "target", "name", "address"])
async def test_the_rare_condition_is_followed(
    stores: Stores, address: str, monkeypatch: pytest.MonkeyPatch, rare: str
) -> None:
    """SQLite itself would take any index: it does not know what is rare."""
    monkeypatch.setattr(event_search, "FEW", 2)
    wanted = {"actor": ANN, "target": ANN, "name": "session.opened", "address": "192.0.2.7"}
    for _ in range(3):
        await stores.events.add(an_event(**wanted | {rare: "other"}))

    with listening(stores) as asked:
        await stores.events.search(EventQuery(**wanted), before=None, limit=5)

    assert f"INDEX ix_events_{rare} ({rare}=?" in plans_of(address, asked)[-1]


async def test_what_goes_on_in_the_background_follows_an_index(
    stores: Stores, address: str
) -> None:
    await stores.events.add(an_event(actor=ANN))
    with listening(stores) as asked:
        await stores.events.list_since("evt_0", limit=5)
        await stores.events.blank(ANN, after="evt_0", limit=5)
        await stores.events.remove_before(NOON, limit=5)

    plans = plans_of(address, asked)

    assert len(plans) == 5
    assert all("SEARCH events USING" in plan for plan in plans)
    assert not any("TEMP B-TREE" in plan or "SCAN events" in plan for plan in plans)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (SessionQuery(), "PRIMARY KEY (id"),
        (SessionQuery(user_id=ANN), "ix_sessions_user_id (user_id=? AND id"),
        (SessionQuery(address="192.0.2.7"), "ix_sessions_address (address=? AND id"),
        (SessionQuery(ANN, "192.0.2.7"), "ix_sessions_"),
    ],
)
async def test_a_list_of_sessions_follows_an_index(
    stores: Stores, address: str, monkeypatch: pytest.MonkeyPatch, query: SessionQuery, index: str
) -> None:
    """Both that finds where a page ends, and the page."""
    monkeypatch.setattr("gatelodge.stores.sql.sessions.LOOKED_AT", 1)
    await stores.sessions.add(a_session(user_id=ANN, address="192.0.2.7"))
    with listening(stores) as asked:
        await stores.sessions.search(query, NOON, used_after=NOON, before=None, limit=5)

    plans = plans_of(address, asked)

    assert len(plans) == 2
    for plan in plans:
        assert "SCAN sessions" not in plan
        assert plan.count("TEMP B-TREE") == plan.count("SEARCH user_roles")  # their order
        assert index in plan


async def test_counting_follows_an_index(
    stores: Stores, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatelodge.stores.sql.sessions.COUNTED_EXACTLY", 0)
    await stores.sessions.add(a_session())
    with listening(stores) as asked:
        await stores.sessions.count_live(NOON, used_after=NOON)

    plans = plans_of(address, asked)

    assert len(plans) == 1 + 62 + 1
    assert all("SEARCH sessions USING COVERING INDEX" in plan for plan in plans[1:])


@pytest.mark.parametrize("before", [None, "ltr_z"])
async def test_letters_of_a_state_are_listed_and_counted_by_an_index(
    stores: Stores, address: str, before: str | None
) -> None:
    with listening(stores) as asked:
        await stores.letters.list_letters(before=before, limit=5, states=["given_up"])
        await stores.letters.count("given_up", limit=5)

    listed, counted = plans_of(address, asked)

    assert "INDEX ix_letters_state (state=?" in listed
    assert "TEMP B-TREE" not in listed
    assert "INDEX ix_letters_state (state=?" in counted
