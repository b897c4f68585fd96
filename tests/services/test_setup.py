"""The link for the first administrator is used several times at once, on every store."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatelodge.accounts.refusals import UsernameTaken
from gatelodge.accounts.service import NewUser
from gatelodge.app import House, build
from gatelodge.audit import Origin
from gatelodge.settings import Settings
from gatelodge.setup.refusals import InvalidSetupLink
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD

ORIGIN = Origin(address="192.0.2.7")


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    """Return settings with a database of the test's own."""
    return Settings(data_dir=tmp_path, database=database, hash_threads=1)


@pytest.fixture
async def houses(settings: Settings, clock: FakeClock) -> AsyncIterator[list[House]]:
    """Yield two houses over one database, like two workers."""
    one, other = build(settings, clock), build(settings, clock)
    await asyncio.to_thread(one.stores.database.migrate)
    async with one.open(), other.open():
        yield [one, other]


def wanted(name: str) -> NewUser:
    """Return the form of a user with this name."""
    return NewUser(name, f"{name}@example.com", PASSWORD)


async def together(houses: list[House], forms: list[NewUser]) -> list[str]:
    """Send the forms at once, in turn to the two houses.

    Return for each form the name of the new user, or of the refusal.
    """
    secret = await houses[0].setup.invite()
    assert secret is not None
    outcomes = await asyncio.gather(
        *(
            houses[number % 2].setup.make_admin(secret, form, ORIGIN)
            for number, form in enumerate(forms)
        ),
        return_exceptions=True,
    )
    for outcome in outcomes:
        assert isinstance(outcome, InvalidSetupLink | UsernameTaken) or not isinstance(
            outcome, BaseException
        )
    return [
        type(outcome).__name__ if isinstance(outcome, BaseException) else outcome.username
        for outcome in outcomes
    ]


async def test_who_loses_the_race_for_the_link_leaves_no_user(houses: list[House]) -> None:
    """This holds for reserved names too, which may be used here."""
    names = ["admin", "root", "support", "system", "account", "setup"]

    outcomes = await together(houses, [wanted(name) for name in names])

    assert outcomes.count("InvalidSetupLink") == len(names) - 1
    users = await houses[0].stores.users.list_users(after=None, limit=99)
    assert [(user.username, user.roles) for user in users] == [
        (next(name for name in outcomes if name in names), ("user", "admin"))
    ]


async def test_one_form_sent_many_times_makes_one_administrator(houses: list[House]) -> None:
    """Every answer is a success, since the browser may show any of them."""
    outcomes = await together(houses, [wanted("admin")] * 6)

    assert outcomes == ["admin"] * 6
    users = await houses[0].stores.users.list_users(after=None, limit=99)
    assert [(user.username, user.roles) for user in users] == [("admin", ("user", "admin"))]


async def test_a_name_that_is_taken_at_the_last_moment_does_not_use_the_link_up(
    houses: list[House],
) -> None:
    """Somebody signs up at another worker while the form's password waits to be hashed."""
    house, other = houses
    secret = await house.setup.invite()
    assert secret is not None
    hash_at_last = threading.Event()
    hashing = asyncio.create_task(house.hashing_pool.run(hash_at_last.wait, 10))
    making = asyncio.create_task(house.setup.make_admin(secret, wanted("ann"), ORIGIN))
    while house.hashing_pool.waiting < 1:  # noqa: ASYNC110 - the pool has no event for it
        await asyncio.sleep(0.01)

    await other.accounts.sign_up(wanted("ann"), ORIGIN)
    hash_at_last.set()
    await hashing

    with pytest.raises(UsernameTaken):
        await making
    made = await house.setup.make_admin(secret, wanted("bob"), ORIGIN)
    assert made.roles == ("user", "admin")
