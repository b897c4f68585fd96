"""How long events are kept, and what becomes of those about a deleted user, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.admin import retention
from gatelodge.admin.refusals import UserNotDeleted
from gatelodge.admin.retention import EventRetention
from gatelodge.app import House, build
from gatelodge.audit import COMMAND, Actor, Event, EventQuery, Origin
from gatelodge.ids import UserId
from gatelodge.settings import Settings
from tests.contracts.builders import an_event
from tests.gate.houses import houses
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD

A_DAY, A_SECOND = timedelta(days=1), timedelta(seconds=1)
OPERATOR = Actor("usr_operator", Origin("198.51.100.4", "Browser/2.0"))


@pytest.fixture
async def house(address: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[House]:
    """Yield a house over each database."""
    database = address if address.startswith("mongodb") else ""
    async with houses(tmp_path, database, clock) as pair:
        yield pair[0]


async def signed_up(house: House, name: str = "ann") -> User:
    """Sign somebody up."""
    wanted = NewUser(name, f"{name}@example.com", PASSWORD)
    origin = Origin("203.0.113.7", "Browser/1.0", "req_1")
    return await house.accounts.sign_up(wanted, origin)


async def everything(house: House) -> list[Event]:
    return await house.stores.events.list_since(None, limit=2000)


async def about(house: House, user_id: str) -> list[Event]:
    """Return the events about a user, the newest first."""
    query = EventQuery(about=user_id)
    return (await house.stores.events.search(query, before=None, limit=999)).events


async def test_events_are_deleted_when_they_are_too_old(house: House, clock: FakeClock) -> None:
    """Those that are a moment younger stay."""
    await house.event_retention.sweep()
    first = await everything(house)
    clock.advance(A_DAY)
    ann = await signed_up(house)

    clock.advance(house.settings.events_kept - A_DAY)
    assert await house.event_retention.sweep() == 0
    clock.advance(timedelta(milliseconds=1))
    assert await house.event_retention.sweep() == len(first)

    assert [event.name for event in await everything(house)] == ["user.signed_up"]
    assert await about(house, ann.id) == await everything(house)


async def test_many_old_events_are_deleted_page_by_page(
    house: House, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PAGE", 3)
    await house.event_retention.sweep()
    before = len(await everything(house))
    for _ in range(10):
        await house.stores.events.add(an_event(at=clock.now()))

    clock.advance(house.settings.events_kept + A_DAY)

    assert await house.event_retention.sweep() == before + 10
    assert await everything(house) == []


async def test_a_running_house_deletes_them_by_itself(
    address: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = asyncio.Event()

    async def sweep(service: EventRetention) -> int:
        done = await swept(service)
        removed.set()
        return done

    swept = EventRetention.sweep
    monkeypatch.setattr(EventRetention, "sweep", sweep)
    monkeypatch.setattr("gatelodge.foundation.SWEEP_EVERY", timedelta(milliseconds=10))
    database = address if address.startswith("mongodb") else ""
    built = build(Settings(data_dir=tmp_path / "house", database=database), clock)
    await asyncio.to_thread(built.stores.database.migrate)
    async with asyncio.timeout(20), built.serve():
        old = an_event(at=clock.now() - built.settings.events_kept - A_DAY)
        await built.stores.events.add(old)
        for _ in range(2):  # the first one may have begun before
            removed.clear()
            await removed.wait()
        assert old not in await everything(built)


async def test_of_a_deleted_user_only_the_id_is_left(
    house: House, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PAGE", 2)
    ann, ben = await signed_up(house), await signed_up(house, "ben")
    clock.advance(A_SECOND)
    await house.accounts.grant(ann, "moderator", OPERATOR)
    clock.advance(A_SECOND)
    await house.accounts.delete(ann, OPERATOR)
    before = await about(house, ann.id)
    told: list[int] = []
    clock.advance(A_SECOND)

    changed = await house.event_retention.blank(ann.id, OPERATOR, told.append)

    newest, *after = await about(house, ann.id)
    assert (newest.name, newest.actor, newest.target) == ("events.blanked", OPERATOR.name, ann.id)
    assert newest.detail == {"events": "1"}
    assert changed == 1
    assert told == [2, 3]
    assert after[:2] == before[:2]
    assert {event.address for event in after[:2]} == {OPERATOR.origin.address}
    assert after[2:] == [replace(before[2], address="", user_agent="")]
    assert after[2].name == "user.signed_up"
    assert {event.address for event in await about(house, ben.id)} == {"203.0.113.7"}


async def test_it_can_be_done_again(house: House, clock: FakeClock) -> None:
    """Nothing is left to change, and what was said before stays."""
    ann = await signed_up(house)
    clock.advance(A_SECOND)
    await house.accounts.delete(ann, COMMAND)
    clock.advance(A_SECOND)
    await house.event_retention.blank(ann.id, OPERATOR)
    clock.advance(A_SECOND)

    assert await house.event_retention.blank(ann.id, OPERATOR) == 0

    first, second, *_ = await about(house, ann.id)
    assert (first.detail, second.detail) == ({"events": "0"}, {"events": "1"})
    assert second.address == OPERATOR.origin.address


async def test_events_of_a_user_who_exists_are_not_blanked(house: House) -> None:
    ann = await signed_up(house)
    before = await everything(house)

    with pytest.raises(UserNotDeleted):
        await house.event_retention.blank(ann.id, COMMAND)

    assert await everything(house) == before


@pytest.mark.parametrize("name", ["command", "server", "moderator"])
async def test_what_is_no_user_is_not_blanked(house: House, name: str) -> None:
    """Events name commands and roles where they name users; what they did stays as it is."""
    await house.stores.events.add(an_event(actor=name, address="203.0.113.9", user_agent="Shell"))
    await house.stores.events.add(an_event(target=name, detail={"email": "ann@example.com"}))
    before = await everything(house)

    with pytest.raises(NoSuchUser):
        await house.event_retention.blank(UserId(name), OPERATOR)

    assert await everything(house) == before


@pytest.mark.parametrize("user_id", ["usr_nobody", "", "$ne", "ann\x00", "é" * 30])
async def test_nobody_has_an_id_of_which_no_event_tells(house: House, user_id: str) -> None:
    before = await everything(house)

    with pytest.raises(NoSuchUser):
        await house.event_retention.blank(UserId(user_id), COMMAND)

    assert await everything(house) == before
