"""How often events happen: counted in memory by each process, and added to what is stored."""

import asyncio
from datetime import date, timedelta
from pathlib import Path

import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House, build
from gatelodge.audit import COMMAND, Origin, nobody_known
from gatelodge.data_folder import DATABASE
from gatelodge.errors import OutcomeUnknown
from gatelodge.settings import Settings
from gatelodge.stores import Stores
from gatelodge.tallies import KEPT, Tally, TallyService
from tests.contracts.failpoints import failing
from tests.gate.houses import houses
from tests.support.clock import NOON, FakeClock
from tests.support.databases import migrated
from tests.support.people import PASSWORD

TODAY = NOON.date()
A_DAY = timedelta(days=1)
STRANGER = nobody_known(Origin("203.0.113.7"))


async def numbers(house: House, day: date = TODAY) -> dict[str, int]:
    """Return what is stored of a day."""
    return (await house.stores.tallies.list_days(day, day)).get(day, {})


def note(house: House, times: int = 1) -> None:
    """Let something happen that is not stored."""
    for _ in range(times):
        house.audit.note("sign_in.failed", STRANGER, outcome="failure")


async def test_each_event_is_counted_once_stored_or_not(house: House) -> None:
    """Also one of a change, one of several changes, and one that only the log has."""
    await house.tallies.add()
    before = await numbers(house)
    ann = await house.accounts.sign_up(NewUser("ann", "ann@example.com", PASSWORD), Origin())
    await house.accounts.grant(ann, "moderator", COMMAND)
    assert not await house.accounts.grant(ann, "moderator", COMMAND)
    await house.audit.record(house.audit.event("invitation.withdrawn", COMMAND))
    note(house, 3)
    await house.tallies.add()

    after = await numbers(house)

    assert {name: count - before.get(name, 0) for name, count in after.items()} == {
        **dict.fromkeys(before, 0),
        "user.signed_up": 1,
        "role.granted": 1,
        "invitation.withdrawn": 1,
        "sign_in.failed": 3,
    }


async def test_numbers_of_many_processes_add_up(
    address: str, tmp_path: Path, clock: FakeClock
) -> None:
    database = address if address.startswith("mongodb") else ""
    async with houses(tmp_path, database, clock, 3) as several:
        for each in several:
            note(each, 5)
        await asyncio.gather(*(each.tallies.add() for each in several))
        await asyncio.gather(*(each.tallies.add() for each in several))

        assert (await numbers(several[0]))["sign_in.failed"] == 15


async def test_an_event_counts_for_its_day(house: House, clock: FakeClock) -> None:
    clock.instant = NOON.replace(hour=23, minute=59, second=59)
    note(house)
    clock.advance(timedelta(seconds=1))
    note(house, 2)
    await house.tallies.add()

    assert (await numbers(house))["sign_in.failed"] == 1
    assert (await numbers(house, TODAY + A_DAY))["sign_in.failed"] == 2


async def test_a_running_house_adds_them_by_itself(
    settings: Settings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrated(settings.data_dir / DATABASE)
    monkeypatch.setattr("gatelodge.foundation.ADDED_EVERY", timedelta(milliseconds=10))
    async with asyncio.timeout(20), build(settings, clock).serve() as built:
        note(built, 4)
        while (await numbers(built)).get("sign_in.failed") != 4:  # noqa: ASYNC110 - the store tells
            await asyncio.sleep(0.01)


async def test_what_was_counted_last_is_added_at_the_end(
    settings: Settings, clock: FakeClock
) -> None:
    """A server that ends loses nothing, nor does a command."""
    migrated(settings.data_dir / DATABASE)
    async with build(settings, clock).serve() as serving:
        note(serving, 2)
    async with build(settings, clock).open() as commanding:
        note(commanding)
    async with build(settings, clock).open() as built:
        assert (await numbers(built))["sign_in.failed"] == 3


async def test_while_the_database_is_away_it_goes_on_counting(
    settings: Settings, clock: FakeClock
) -> None:
    migrated(settings.data_dir / DATABASE)
    built = build(settings, clock)
    note(built, 2)
    await built.tallies.add()  # the database was not opened yet
    note(built)
    async with built.open():
        await built.tallies.add()

        assert (await numbers(built))["sign_in.failed"] == 3


async def test_nothing_is_counted_twice(mongodb_address: str, clock: FakeClock) -> None:
    """If nobody knows whether the database has added it, it is lost rather."""
    async with houses(Path("/nonexistent"), mongodb_address, clock, 1) as (built,):
        await built.tallies.add()
        note(built, 2)
        with (
            failing(mongodb_address, "update", collection="tallies", errorCode=11601),
            pytest.raises(OutcomeUnknown),
        ):
            await built.tallies.add()
        note(built)
        await built.tallies.add()

        assert (await numbers(built))["sign_in.failed"] == 1


async def test_days_are_forgotten_when_they_are_too_long_ago(
    stores: Stores, clock: FakeClock
) -> None:
    service = TallyService(stores.tallies, Tally(), clock)
    for day in (TODAY - A_DAY, TODAY):
        await stores.tallies.add({(day, "session.opened"): 1})

    clock.advance(KEPT)
    await service.sweep()

    assert sorted(await stores.tallies.list_days(date(2000, 1, 1), TODAY)) == [TODAY]
