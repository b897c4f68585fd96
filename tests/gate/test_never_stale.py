"""The gate's answers from memory are the answers that the database would give."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatelodge.accounts.store import Role
from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.errors import AlreadyExists
from gatelodge.gate.principal import Principal
from gatelodge.stores.mongo import feed
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from tests.contracts.builders import a_session, an_event
from tests.gate.houses import (
    STALENESS,
    Answer,
    Counted,
    Device,
    Neighbours,
    asked,
    fill_in_flight,
    houses,
    new_device,
    read,
    reading_through,
    refused_in_time,
    two_neighbours,
)
from tests.support.clock import FakeClock

# Any interleaving


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def neighbours(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Neighbours]:
    """Yield two houses over a new database."""
    with two_neighbours(request, tmp_path_factory, second_factor_required_for=(KEEPER,)) as both:
        yield both


Change = Callable[[House, Device], Any]


async def change_password(house: House, device: Device) -> None:
    """Change the password as the service does: this session goes on, all others end."""
    user = await house.stores.users.find(device.user.id)
    if user is None:
        return
    await house.stores.users.change_password(user, "$new", an_event(), continued=device.session.id)


async def sign_in(house: House, device: Device) -> None:
    """Sign in on one more device."""
    user = await house.stores.users.find(device.user.id)
    if user is not None:
        session = a_session(user_id=user.id, epoch=user.epoch)
        await house.stores.sessions.open(session, an_event())


async def rename(house: House, device: Device) -> None:
    """Give the user another username, or the first one again."""
    user = await house.stores.users.find(device.user.id)
    if user is None:
        return
    first = device.user.username
    username = f"{first}x" if user.username == first else first
    await house.stores.users.rename(
        user, an_event(), name=user.name, username=username, username_key=username
    )


async def name(house: House, device: Device) -> None:
    """Call the user something else, or nothing."""
    user = await house.stores.users.find(device.user.id)
    if user is None:
        return
    await house.stores.users.rename(
        user,
        an_event(),
        name="" if user.name else "Ann",
        username=user.username,
        username_key=user.username_key,
    )


KEEPER = "keeper"
"""A role that comes and goes; people go on holding its name."""


async def add_role(house: House, _device: Device) -> None:
    """Make the role, where it is not there, with one permission."""
    with contextlib.suppress(AlreadyExists):
        await house.stores.roles.add(Role(KEEPER, "", ("doors:open",)), an_event())


CHANGES: dict[str, Change] = {
    "add role": add_role,
    "remove role": lambda house, _: house.stores.roles.remove(KEEPER, an_event()),
    "describe role": lambda house, _: house.stores.roles.describe(
        KEEPER, "In other words.", an_event()
    ),
    "permit open": lambda house, _: house.stores.roles.permit(
        KEEPER, "doors:open", an_event(), limit=9
    ),
    "permit close": lambda house, _: house.stores.roles.permit(
        KEEPER, "doors:close", an_event(), limit=9
    ),
    "forbid open": lambda house, _: house.stores.roles.forbid(KEEPER, "doors:open", an_event()),
    "forbid close": lambda house, _: house.stores.roles.forbid(KEEPER, "doors:close", an_event()),
    "permit user": lambda house, _: house.stores.roles.permit(
        "user", "doors:close", an_event(), limit=9
    ),
    "forbid user": lambda house, _: house.stores.roles.forbid("user", "doors:close", an_event()),
    "grant keeper": lambda house, d: house.stores.users.grant(d.user.id, KEEPER, an_event()),
    "withdraw keeper": lambda house, d: house.stores.users.withdraw(d.user.id, KEEPER, an_event()),
    "grant": lambda house, d: house.stores.users.grant(d.user.id, "admin", an_event()),
    "withdraw": lambda house, d: house.stores.users.withdraw(d.user.id, "admin", an_event()),
    "withdraw user": lambda house, d: house.stores.users.withdraw(d.user.id, "user", an_event()),
    "disable": lambda house, d: house.stores.users.disable(
        d.user.id, house.clock.now(), an_event()
    ),
    "enable": lambda house, d: house.stores.users.enable(d.user.id, an_event()),
    "raise epoch": lambda house, d: house.stores.users.raise_epoch(d.user.id, an_event()),
    "remove": lambda house, d: house.stores.users.remove(d.user.id, an_event()),
    "revoke": lambda house, d: house.stores.sessions.revoke(
        d.session.id, house.clock.now(), "x", an_event()
    ),
    "change password": change_password,
    "name": name,
    "rename": rename,
    "sign in": sign_in,
    "rotate": lambda house, d: house.stores.sessions.rotate(d.session.id, 0, house.clock.now),
}


change = st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 1), st.integers(0, 3))
check = st.tuples(st.just("check"), st.integers(0, 1), st.integers(0, 3))
together = st.lists(st.one_of(change, check), min_size=2, max_size=4)
steps = st.lists(st.one_of(change, check, check, together), min_size=5, max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_any_interleaving_of_changes_and_checks_gives_the_answers_of_the_database(
    neighbours: Neighbours, steps: list[Any]
) -> None:
    """On SQLite, every answer is right. On MongoDB, it was right at most `MAX_STALENESS` ago."""
    neighbours.runner.run(Story(neighbours).tell(steps))


@dataclass
class Story:
    """Two users with two devices each, and the answers that were right for them, and when.

    Attributes:
        past: for each device, the answers that were right before. Each has the time from which on
            it was wrong.
    """

    neighbours: Neighbours
    devices: list[Device] = field(default_factory=list)
    past: dict[int, list[tuple[Answer, float]]] = field(default_factory=dict)

    async def tell(self, steps: list[Any]) -> None:
        """Take every step. The steps of a list inside the list happen at once."""
        house = self.neighbours.houses[0]
        for _ in range(2):
            first = await new_device(house, None, KEEPER)
            self.devices += [first, await new_device(house, first.user)]
        for step in steps:
            if isinstance(step, list):
                await asyncio.gather(*(self._happen(*each) for each in step))
                await self._all_agree()
            elif step[0] == "check":
                await self._check(*step[1:])
            else:
                await self._change(*step)
        await self._all_agree()

    async def _happen(self, what: str, house: int, device: int) -> None:
        """Make a change or a check while others run. The right answer is not known yet."""
        if what == "check":
            await asked(self.neighbours.houses[house], self.devices[device].token)
        else:
            await CHANGES[what](self.neighbours.houses[house], self.devices[device])

    async def _change(self, what: str, house: int, device: int) -> None:
        before = [await self._right(number) for number in range(len(self.devices))]
        await CHANGES[what](self.neighbours.houses[house], self.devices[device])
        for number, answer in enumerate(before):
            self.past.setdefault(number, []).append((answer, time.monotonic()))

    async def _check(self, house: int, device: int) -> None:
        started_at = time.monotonic()
        answer = await asked(self.neighbours.houses[house], self.devices[device].token)
        right = [await self._right(device)]
        if self.neighbours.tells:
            right += [
                was for was, until in self.past.get(device, ()) if until >= started_at - STALENESS
            ]
        assert answer in right

    async def _all_agree(self) -> None:
        """Check that both houses give the right answer: on SQLite at once, on MongoDB in time."""
        for house in self.neighbours.houses:
            for number, device in enumerate(self.devices):
                right = await self._right(number)
                answer = await asked(house, device.token)
                deadline = time.monotonic() + STALENESS
                while self.neighbours.tells and answer != right and time.monotonic() < deadline:
                    await asyncio.sleep(0.002)
                    answer = await asked(house, device.token)
                assert answer == right

    async def _right(self, device: int) -> Answer:
        return await read(self.neighbours.houses[0], self.devices[device])


# A change while a check is reading


@pytest.mark.parametrize("writer", [0, 1], ids=["same house", "another house"])
@pytest.mark.parametrize("what", ["revoke", "disable", "remove", "raise epoch"])
async def test_a_read_that_a_change_overtakes_leaves_nothing_behind(
    pair: list[House], what: str, writer: int
) -> None:
    """The read began before the change, so its own caller may pass. Every later one is refused."""
    device = await new_device(pair[0])
    async with fill_in_flight(pair[0], device) as filling:
        await CHANGES[what](pair[writer], device)

    assert isinstance(filling.result(), Principal)
    assert await refused_in_time(pair[0], device)


async def test_a_read_that_the_news_of_a_change_overtakes_is_not_kept(pair: list[House]) -> None:
    """Otherwise memory would keep it, and no later news would remove it."""
    device = await new_device(pair[0])
    async with fill_in_flight(pair[0], device):
        known = pair[0].gate.memory.changes
        await CHANGES["disable"](pair[1], device)
        while pair[0].gate.memory.changes == known:
            assert pair[0].gate.feed.catch_up()
            await asyncio.sleep(0.002)

    assert pair[0].gate.recall(device.token.encode()) is None
    assert await asked(pair[0], device.token) is InvalidToken


async def test_a_session_that_goes_on_is_never_dead(pair: list[House]) -> None:
    """The password is changed, and the session goes on: no check in between finds it dead."""
    device = await new_device(pair[0])
    changing = asyncio.create_task(change_password(pair[1], device))

    while not changing.done():
        assert isinstance(await asked(pair[0], device.token), Principal)
        await asyncio.sleep(0)  # an answer from memory lets nobody else run
    await changing
    assert isinstance(await asked(pair[0], device.token), Principal)


async def test_a_token_of_a_key_that_was_dropped_elsewhere_is_refused(pair: list[House]) -> None:
    """The private key has leaked, so its tokens must be refused from the next check on."""
    device = await new_device(pair[0])
    assert isinstance(await asked(pair[0], device.token), Principal)
    kid, _ = pair[0].signing_keys.signing_key()

    await pair[1].signing_keys.drop(kid, COMMAND)

    assert await refused_in_time(pair[0], device)


async def test_a_token_whose_time_is_over_is_refused_however_well_it_is_known(
    tmp_path: Path, address: str
) -> None:
    clock = FakeClock()
    async with houses(tmp_path, address, clock, number=1) as (house,):
        device = await new_device(house)
        assert isinstance(await asked(house, device.token), Principal)
        clock.advance(house.settings.access_token_life)
        assert await asked(house, device.token) is ExpiredToken


async def test_a_session_that_ends_before_its_token_ends_it(tmp_path: Path, address: str) -> None:
    """This holds for a token that memory knows too."""
    clock = FakeClock()
    async with houses(tmp_path, address, clock, number=1) as (house,):
        device = await new_device(house, life=timedelta(seconds=60))
        assert isinstance(await asked(house, device.token), Principal)
        clock.advance(timedelta(seconds=59))
        assert isinstance(await asked(house, device.token), Principal)
        clock.advance(timedelta(seconds=1))
        assert await asked(house, device.token) is InvalidToken


async def test_a_session_lets_in_nobody_but_its_user(pair: list[House]) -> None:
    """A token that names another user is refused, although our key signed it."""
    device, other = await new_device(pair[0]), await new_device(pair[0])
    token = another_token(pair[0], Device(other.user, device.session, ""))
    assert await asked(pair[0], token) is InvalidToken
    assert isinstance(await asked(pair[0], device.token), Principal)
    assert await asked(pair[0], token) is InvalidToken


# Checks without reads


@pytest.mark.parametrize("path", ["/api/test/user", "/api/test/mod", "/api/auth/verify"])
@pytest.mark.parametrize("door", ["fast", "fastapi"])
async def test_a_thousand_checks_read_the_database_for_the_first_one_only(
    pair: list[House], path: str, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is trusted for a minute here: on a busy machine the change stream may be silent."""
    monkeypatch.setattr(feed, "MAX_STALENESS", timedelta(minutes=1))
    sessions = Counted(pair[0].stores.sessions)
    house = reading_through(pair[0], sessions)
    device = await new_device(house, None, "moderator")
    headers = device.headers | ({"Origin": "http://localhost:8080"} if door == "fastapi" else {})
    transport = httpx2.ASGITransport(app=create_app(house), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        assert (await client.get(path, headers=headers)).status_code == 200
        assert sessions.reads == 1
        for _ in range(1000 if door == "fast" else 100):
            assert (await client.get(path, headers=headers)).status_code == 200
            await asyncio.sleep(0)  # requests inside a process never wait; the feed must hear

    assert sessions.reads == 1


async def test_a_new_token_of_a_session_reads_once(pair: list[House]) -> None:
    """Every session gets a new access token every ten minutes."""
    sessions = Counted(pair[0].stores.sessions)
    house = reading_through(pair[0], sessions)
    device = await new_device(house)
    first = await asked(house, device.token)
    token = another_token(house, device)
    assert [await asked(house, token) for _ in range(5)] == [first] * 5
    assert sessions.reads == 2

    await CHANGES["disable"](house, device)

    assert await asked(house, another_token(house, device)) is InvalidToken


async def test_a_change_of_somebody_else_has_nobody_read_again(pair: list[House]) -> None:
    """Nor does it have a signature checked again."""
    sessions = Counted(pair[0].stores.sessions)
    house = reading_through(pair[0], sessions)
    device, other = await new_device(house), await new_device(house)
    assert isinstance(await asked(house, device.token), Principal)
    for what in ("revoke", "disable"):
        await CHANGES[what](house, other)
        assert isinstance(await asked(house, device.token), Principal)
    assert sessions.reads == 1


def another_token(house: House, device: Device) -> str:
    """Return a new access token of a session."""
    return house.access_tokens.issue(
        subject=device.user.id,
        session_id=device.session.id,
        roles=device.user.roles,
        authenticated_at=device.session.authenticated_at,
        methods=device.session.methods,
    )
