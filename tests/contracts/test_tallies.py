"""What every store promises about how often events happen."""

import asyncio
from datetime import date, timedelta

from gatelodge.stores import Stores

MARCH_1 = date(2026, 3, 1)
A_DAY = timedelta(days=1)


async def test_numbers_add_up_by_day_and_name(stores: Stores) -> None:
    await stores.tallies.add({(MARCH_1, "session.opened"): 3, (MARCH_1, "sign_in.failed"): 1})
    await stores.tallies.add({(MARCH_1, "session.opened"): 4, (MARCH_1 + A_DAY, "user.deleted"): 2})

    assert await stores.tallies.list_days(MARCH_1, MARCH_1 + A_DAY) == {
        MARCH_1: {"session.opened": 7, "sign_in.failed": 1},
        MARCH_1 + A_DAY: {"user.deleted": 2},
    }


async def test_nothing_is_added_by_nothing(stores: Stores) -> None:
    await stores.tallies.add({})

    assert await stores.tallies.list_days(date.min, MARCH_1) == {}


async def test_of_many_who_add_at_the_same_time_all_count(stores: Stores) -> None:
    """The first of them make the number."""
    days = [MARCH_1 + n % 3 * A_DAY for n in range(60)]

    await asyncio.gather(
        *(stores.tallies.add({(day, "session.refreshed"): 2, (day, "b"): 1}) for day in days)
    )

    assert await stores.tallies.list_days(MARCH_1, MARCH_1 + 2 * A_DAY) == {
        MARCH_1 + n * A_DAY: {"session.refreshed": 40, "b": 20} for n in range(3)
    }


async def test_only_the_days_asked_for_are_listed(stores: Stores) -> None:
    for n in range(-2, 3):
        await stores.tallies.add({(MARCH_1 + n * A_DAY, "session.opened"): n + 10})

    listed = await stores.tallies.list_days(MARCH_1 - A_DAY, MARCH_1 + A_DAY)

    assert [numbers["session.opened"] for numbers in listed.values()] == [9, 10, 11]
    assert sorted(listed) == [MARCH_1 - A_DAY, MARCH_1, MARCH_1 + A_DAY]
    assert await stores.tallies.list_days(MARCH_1, MARCH_1) == {MARCH_1: {"session.opened": 10}}
    assert await stores.tallies.list_days(MARCH_1 + A_DAY, MARCH_1) == {}


async def test_days_before_one_are_removed(stores: Stores) -> None:
    for n in range(4):
        await stores.tallies.add({(MARCH_1 + n * A_DAY, "session.opened"): 1})

    await stores.tallies.remove_before(MARCH_1 + 2 * A_DAY)

    left = await stores.tallies.list_days(MARCH_1, MARCH_1 + 9 * A_DAY)
    assert sorted(left) == [MARCH_1 + 2 * A_DAY, MARCH_1 + 3 * A_DAY]


async def test_the_last_day_of_a_year_comes_before_the_first_of_the_next(stores: Stores) -> None:
    await stores.tallies.add({(date(2025, 12, 31), "a:b"): 1, (date(2026, 1, 1), "a:b"): 2})

    assert await stores.tallies.list_days(date(2025, 12, 31), date(2026, 1, 1)) == {
        date(2025, 12, 31): {"a:b": 1},
        date(2026, 1, 1): {"a:b": 2},
    }
