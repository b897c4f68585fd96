"""How things stand, as administrators see it."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.permissions import (
    EVENTS_READ,
    LETTERS_MANAGE,
    SETTINGS_READ,
    USERS_READ,
)
from gatelodge.admin import kept
from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.support.clock import FakeClock
from tests.support.people import Person, new_user, signed_in, signed_in_by_the_door

OVERVIEW = "/api/admin/overview"
A_DAY = timedelta(days=1)
LATER = timedelta(minutes=5)
"""Figures are kept for ten seconds, and longer where a busy machine took long to find them."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for new figures as long as it takes, also on a busy machine."""
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 20.0)


async def seen(person: Person) -> dict[str, Any]:
    """Return what somebody sees."""
    answer = await person.get(OVERVIEW)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_the_figures_of_thirty_days_are_counted(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Users who were made on a day, sign-ins, failures and refusals; the oldest day first."""
    await new_user(house, "ann")
    clock.advance(10 * A_DAY)
    bob = await signed_in_by_the_door(client, house, "bob")
    body = {"username": "bob", "password": "wrong password"}
    assert (await client.post("/api/auth/signin", json=body)).status_code == 401
    assert (await bob.get("/api/test/admin")).status_code == 403
    assert (await bob.get("/api/test/mod")).status_code == 403
    await house.tallies.add()
    clock.advance(A_DAY)
    root = await signed_in(client, house, "adele", "admin")

    told = await seen(root)

    assert told["users"] == {"number": 3, "exact": True}
    assert told["sessions"] == {"number": 2, "exact": True}
    days = {each["day"]: each for each in told["days"]}
    assert len(told["days"]) == 30
    assert list(days) == sorted(days)
    assert [each for each in days if each != "2026-05-14" and days[each]["failures"]] == []
    assert days["2026-05-04"]["newUsers"] == 1
    assert days["2026-05-14"] == {
        "day": "2026-05-14",
        "newUsers": 1,
        "signIns": 1,
        "failures": 1,
        "refusals": 2,
    }
    assert days["2026-05-15"]["newUsers"] == 1
    assert days["2026-05-15"]["signIns"] == 1


async def test_figures_are_kept_for_ten_seconds(
    house: House, clock: FakeClock, root: Person
) -> None:
    """Those of days that are over longer; when a day ends, it is counted as one of them."""
    assert (await seen(root))["users"]["number"] == 1
    await new_user(house, "ann")

    before = await seen(root)
    clock.advance(LATER)
    now = await seen(root)
    clock.advance(A_DAY)
    await house.sessions.sweep()
    again = await signed_in(root.client, house, "adele2", "admin")
    tomorrow = await seen(again)

    assert (before["users"]["number"], before["days"][-1]["newUsers"]) == (1, 1)
    assert (now["users"]["number"], now["days"][-1]["newUsers"]) == (2, 2)
    assert [each["newUsers"] for each in tomorrow["days"][-2:]] == [2, 1]


async def test_the_state_of_the_server_is_told(house: House, root: Person) -> None:
    """What the doctor remarks comes at the first look, or soon after."""
    server = (await seen(root))["server"]
    while server["findings"] is None:
        server = (await seen(root))["server"]

    assert server["database"] == "sqlite"
    assert server["feed"] == "fresh"
    assert server["hashThreads"] == house.hashing_pool.threads
    assert (server["hashRunning"], server["hashWaiting"]) == (0, 0)
    codes = [each["code"] for each in server["findings"]]
    assert "passwords_short" in codes
    assert "admins_without_second_factor" in codes
    assert all(each["message"] and each["remedy"] for each in server["findings"])


async def test_letters_that_have_not_arrived_are_counted(
    house: House, clock: FakeClock, root: Person
) -> None:
    assert (await seen(root))["letters"]["waiting"] == {"number": 0, "exact": True}
    await root.client.post("/api/auth/password/forgot", json={"email": "adele@example.com"})
    clock.advance(LATER)

    letters = (await seen(root))["letters"]

    assert letters["waiting"] == {"number": 1, "exact": True}
    assert letters["givenUp"] == {"number": 0, "exact": True}


@pytest.mark.parametrize(
    ("permissions", "days", "letters", "server"),
    [
        ((), False, False, False),
        ((EVENTS_READ,), True, False, False),
        ((LETTERS_MANAGE,), False, True, False),
        ((SETTINGS_READ,), False, False, True),
    ],
)
async def test_what_somebody_may_not_see_is_left_out(
    client: httpx2.AsyncClient,
    house: House,
    permissions: tuple[str, ...],
    days: bool,
    letters: bool,
    server: bool,
) -> None:
    """Also when the figures were found for somebody else before."""
    await house.roles.create("helper", "Helps", (USERS_READ, *permissions), COMMAND)
    await seen(await signed_in(client, house, "adele", "admin"))

    told = await seen(await signed_in(client, house, "holly", "helper"))

    assert (told["days"][-1]["signIns"] is not None) == days
    assert (told["days"][-1]["failures"] is not None) == days
    assert (told["letters"] is not None) == letters
    assert (told["server"] is not None) == server


async def test_without_users_read_there_is_no_overview(
    client: httpx2.AsyncClient, house: House
) -> None:
    await house.roles.create("auditor", "Looks on", (EVENTS_READ, SETTINGS_READ), COMMAND)
    olga = await signed_in(client, house, "olga", "auditor")

    assert (await olga.get(OVERVIEW)).status_code == 403
