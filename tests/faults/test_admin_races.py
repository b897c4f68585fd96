"""Two administrators act on each other in the same instant, on two workers: one is left each time.

There are no others. Whoever comes second is refused: they are no administrator any more, or the
last one.
"""

import itertools
from collections.abc import Callable

import pytest

from gatelodge.accounts.roles import ADMIN
from tests.contracts.builders import an_event
from tests.faults.pairs import Ask, Pair, Race, run_races
from tests.gate.houses import Device

USERS = "/api/admin/users"

Act = Callable[[Device, Device], Ask]
"""What the first one does to the second one."""

REFUSED = {
    "demote": {"last_admin", "forbidden"},
    "disable": {"last_admin", "token_invalid"},
    "delete": {"last_admin", "token_invalid"},
}
"""What whoever comes second is told, by what the other one did."""


def demote(by: Device, whom: Device) -> Ask:
    return Ask("DELETE", f"{USERS}/{whom.user.id}/roles/{ADMIN}", by.headers)


def disable(by: Device, whom: Device) -> Ask:
    return Ask("POST", f"{USERS}/{whom.user.id}/disable", by.headers, {"reason": "No trust."})


def delete(by: Device, whom: Device) -> Ask:
    return Ask("DELETE", f"{USERS}/{whom.user.id}", by.headers)


def all_at_once(by: Device, whom: Device) -> Ask:
    """Disable both by one act on many: nobody disables themselves, so the other one it is."""
    ids = [by.user.id, whom.user.id]
    return Ask("POST", f"{USERS}/bulk", by.headers, {"ids": ids, "act": "disable"})


def race_of(first: Act, second: Act) -> Race:
    """Return the race of two acts."""

    async def race(pair: Pair) -> None:
        ann, bob = await pair.device(ADMIN), await pair.device(ADMIN)
        asks = first(ann, bob), second(bob, ann)

        statuses = await pair.together(*asks)

        assert await pair.house.accounts.has_admin(), statuses
        assert statuses.count(200) == 1, [each.answer for each in asks]
        winner, loser = (asks[statuses.index(200)], asks[1 - statuses.index(200)])
        won = (first, second)[asks.index(winner)]
        assert loser.answer["code"] in REFUSED[won.__name__], loser.answer
        left = ann if winner is asks[0] else bob
        assert await pair.is_admitted(left.token)
        for each in (ann, bob):
            await pair.house.stores.users.remove(each.user.id, an_event())

    race.__name__ = f"{first.__name__}_and_{second.__name__}"
    return race


ACTS = (demote, disable, delete)
RACES = [race_of(*acts) for acts in itertools.combinations_with_replacement(ACTS, 2)]


async def test_whoever_is_first_one_administrator_is_left(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_races(pair, RACES, capsys)


async def many_at_once(pair: Pair) -> None:
    """Acts on many report the same: one of the two is disabled, and never both."""
    ann, bob = await pair.device(ADMIN), await pair.device(ADMIN)
    asks = all_at_once(ann, bob), all_at_once(bob, ann)

    statuses = await pair.together(*asks)

    assert await pair.house.accounts.has_admin()
    reports = [each.answer["items"] for each in asks if "items" in each.answer]
    done = [item["id"] for report in reports for item in report if item["done"]]
    assert len(done) == 1, (statuses, reports)
    refusals = {item["code"] for report in reports for item in report} - {None}
    assert refusals <= {"not_yourself", "last_admin"}
    for each in (ann, bob):
        await pair.house.stores.users.remove(each.user.id, an_event())


async def test_whoever_is_first_one_administrator_is_left_by_acts_on_many(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_races(pair, [many_at_once], capsys)
