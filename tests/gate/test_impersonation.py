"""Whoever sees the application as another user does may do so while both have what it needs."""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatelodge.accounts.store import Role
from gatelodge.admin.authority import Administrator
from gatelodge.app import House
from gatelodge.audit import COMMAND, Actor
from gatelodge.gate.principal import Principal
from gatelodge.methods import BY_PASSWORD, with_second_factor
from gatelodge.sessions.refusals import InvalidRefreshToken
from gatelodge.sessions.service import SignedIn
from gatelodge.tokens.refusals import InvalidToken
from tests.contracts.builders import a_session, an_event
from tests.gate.houses import (
    STALENESS,
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
from tests.support.events import newest
from tests.support.people import HERE

ROUNDS = int(os.environ.get("GATELODGE_ROUNDS", "25"))
SUPPORT = Role("support", "Helps people.", ("account:manage", "users:impersonate"))
PROVED = with_second_factor(BY_PASSWORD, ("otp",))


@dataclass(frozen=True, slots=True)
class Scene:
    """Eve of the support sees the application as Bob does.

    Attributes:
        houses: two houses over one database.
        eve: her own session.
        bob: a session of Bob's own.
        viewed: the session in which she sees what Bob sees.
        opened: the same, with its refresh token.
    """

    houses: list[House]
    eve: Device
    bob: Device
    viewed: Device
    opened: SignedIn


async def begun(both: list[House], *roles: str) -> Scene:
    """Return the scene. Bob holds these roles besides `user`."""
    house = both[0]
    with contextlib.suppress(Exception):
        await house.stores.roles.add(SUPPORT, an_event())
    eve = await new_device(house, None, SUPPORT.name, methods=PROVED)
    bob = await new_device(house, None, *roles)
    opened = await begin(house, eve, bob)
    return Scene(both, eve, bob, device_of(opened), opened)


async def begin(house: House, eve: Device, bob: Device) -> SignedIn:
    """Let Eve see the application as Bob does."""
    principal = await house.gate.authenticate(eve.token)
    by = Administrator.of(principal, Actor(eve.user.id, HERE))
    return await house.impersonation.begin(bob.user.id, "Ticket 4711", by, eve.session)


def device_of(opened: SignedIn) -> Device:
    """Return the device of a session."""
    return Device(opened.user, opened.session, opened.tokens.access_token)


Loss = Callable[[House, Scene], Awaitable[object]]

LOSSES: dict[str, Loss] = {
    "her role is taken": lambda house, scene: house.stores.users.withdraw(
        scene.eve.user.id, SUPPORT.name, an_event()
    ),
    "the role loses the permission": lambda house, _: house.stores.roles.forbid(
        SUPPORT.name, "users:impersonate", an_event()
    ),
    "the role is deleted": lambda house, _: house.stores.roles.remove(SUPPORT.name, an_event()),
    "she loses a role that Bob holds": lambda house, scene: house.stores.users.withdraw(
        scene.eve.user.id, "user", an_event()
    ),
    "she is disabled": lambda house, scene: house.stores.users.disable(
        scene.eve.user.id, house.clock.now(), an_event()
    ),
    "she is deleted": lambda house, scene: house.stores.users.remove(scene.eve.user.id, an_event()),
    "she signs out everywhere": lambda house, scene: house.stores.users.raise_epoch(
        scene.eve.user.id, an_event()
    ),
    "she signs out": lambda house, scene: house.sessions.sign_out(
        scene.eve.session.id, Actor(scene.eve.user.id, HERE)
    ),
    "she changes her password elsewhere": lambda house, scene: house.stores.users.change_password(
        scene.eve.user, "$new", an_event(), continued=None
    ),
    "Bob ends it": lambda house, scene: house.sessions.end_own(
        scene.bob.user, scene.viewed.session.id, HERE
    ),
    "Bob signs out everywhere": lambda house, scene: house.stores.users.raise_epoch(
        scene.bob.user.id, an_event()
    ),
    "Bob is disabled": lambda house, scene: house.stores.users.disable(
        scene.bob.user.id, house.clock.now(), an_event()
    ),
    "Bob is deleted": lambda house, scene: house.stores.users.remove(scene.bob.user.id, an_event()),
    "Bob becomes an administrator": lambda house, scene: house.stores.users.grant(
        scene.bob.user.id, "admin", an_event()
    ),
    "Bob becomes a moderator": lambda house, scene: house.stores.users.grant(
        scene.bob.user.id, "moderator", an_event()
    ),
}
"""What ends it, each made by itself."""


@pytest.mark.parametrize("writer", [0, 1], ids=["same house", "another house"])
@pytest.mark.parametrize("what", LOSSES)
async def test_it_ends_at_the_next_check_when_either_loses_what_it_needs(
    pair: list[House], what: str, writer: int
) -> None:
    """Both houses knew it from memory. Its refresh token is worth nothing any more, either."""
    scene = await begun(pair)
    for house in (*pair, *pair):
        found = await asked(house, scene.viewed.token)
        assert isinstance(found, Principal)
        assert (found.subject, found.acting) == (scene.bob.user.id, scene.eve.user.id)

    await LOSSES[what](pair[writer], scene)

    for house in pair:
        assert await refused_in_time(house, scene.viewed)
        with pytest.raises(InvalidRefreshToken):
            await house.sessions.refresh(scene.opened.tokens.refresh_token, HERE)


async def test_it_goes_on_when_what_is_lost_does_not_matter(pair: list[House]) -> None:
    scene = await begun(pair)
    assert isinstance(await asked(pair[0], scene.viewed.token), Principal)

    await pair[1].stores.roles.forbid("user", "account:manage", an_event())  # Bob loses it, too
    await pair[1].sessions.sign_out(scene.bob.session.id, Actor(scene.bob.user.id, HERE))

    for house in pair:
        found = await asked(house, scene.viewed.token)
        assert isinstance(found, Principal)
        assert found == await read(house, scene.viewed)


@pytest.mark.parametrize("what", ["her role is taken", "Bob becomes a moderator"])
async def test_a_check_that_reads_while_something_is_lost_leaves_nothing_behind(
    pair: list[House], what: str
) -> None:
    """Its own caller may pass, since it came before. Every later one is refused."""
    scene = await begun(pair)
    async with fill_in_flight(pair[0], scene.viewed):
        await LOSSES[what](pair[1], scene)

    assert await refused_in_time(pair[0], scene.viewed)


async def test_what_is_given_back_within_the_time_is_seen_by_every_house(pair: list[House]) -> None:
    """Both remember that the session was over: they must not go on remembering it."""
    scene = await begun(pair)
    await LOSSES["her role is taken"](pair[0], scene)
    for house in pair:
        assert await refused_in_time(house, scene.viewed)

    await pair[1].stores.users.grant(scene.eve.user.id, SUPPORT.name, an_event())

    for house in pair:
        deadline = time.monotonic() + STALENESS
        while not isinstance(await asked(house, scene.viewed.token), Principal):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.002)


async def test_it_is_over_after_thirty_minutes_however_often_it_is_refreshed(
    tmp_path: Path, address: str
) -> None:
    """No token outlives it: also an application that never asks the server sees the end."""
    clock = FakeClock()
    async with houses(tmp_path, address, clock, 1) as both:
        scene, house = await begun(both), both[0]
        ends_at, tokens = scene.viewed.session.expires_at, scene.opened.tokens
        assert ends_at - clock.now() <= timedelta(minutes=30)
        for _ in range(5):
            clock.advance(timedelta(minutes=5, seconds=59))
            tokens = (await house.sessions.refresh(tokens.refresh_token, HERE)).tokens
            claims = await house.access_tokens.verify(tokens.access_token)
            assert claims.expires_at <= ends_at.timestamp()
        clock.advance(ends_at - timedelta(milliseconds=1) - clock.now())
        assert isinstance(await asked(house, tokens.access_token), Principal)
        clock.advance(timedelta(milliseconds=1))

        assert not isinstance(await asked(house, tokens.access_token), Principal)
        with pytest.raises(Exception, match="expired"):
            await house.sessions.refresh(tokens.refresh_token, HERE)


async def test_it_ends_with_her_own_session(tmp_path: Path, address: str) -> None:
    clock = FakeClock()
    async with houses(tmp_path, address, clock, 1) as both:
        scene, house = await begun(both), both[0]
        short = await new_device(house, scene.eve.user, life=timedelta(minutes=3), methods=PROVED)
        viewed = device_of(await begin(house, short, scene.bob))
        clock.advance(timedelta(minutes=2))
        assert isinstance(await asked(house, viewed.token), Principal)
        clock.advance(timedelta(minutes=1))
        assert not isinstance(await asked(house, viewed.token), Principal)


async def test_it_proves_nothing_and_asks_for_no_proof_of_bob(tmp_path: Path, address: str) -> None:
    """Bob must have a second factor here, and so must she, who has proved hers."""
    async with houses(tmp_path, address, second_factor="required", number=1) as both:
        scene = await begun(both)
        found = await asked(both[0], scene.viewed.token)
        assert isinstance(found, Principal)
        assert (found.methods, found.authenticated_at, found.held_back) == ((), 0, False)

        unproved = await new_device(both[0], scene.eve.user)
        session = replace(scene.viewed.session, id=a_session().id, begun_in=unproved.session.id)
        await both[0].stores.sessions.add(session)
        opened = both[0].sessions._signed_in(scene.bob.user, session)
        assert await asked(both[0], opened.tokens.access_token) is InvalidToken


async def test_nobody_is_impersonated_by_somebody_who_is_not_there_themselves(
    pair: list[House],
) -> None:
    """Bob may impersonate, and Eve sees what Bob sees: in his place she sees nobody."""
    house = pair[0]
    await house.stores.roles.ensure([SUPPORT])
    eve = await new_device(house, None, SUPPORT.name, "admin", methods=PROVED)
    bob = await new_device(house, None, SUPPORT.name, methods=PROVED)
    carol = await new_device(house)
    assert isinstance(await begin(house, bob, carol), SignedIn)
    as_bob = await begin(house, eve, bob)

    with pytest.raises(InvalidToken):
        await house.sessions.impersonate(carol.user, as_bob.session, "Ticket 4711", HERE)


async def test_a_thousand_checks_read_the_database_for_the_first_one_only(
    pair: list[House],
) -> None:
    """The first reads two sessions: the one that is asked about, and the one that it stands on."""
    scene = await begun(pair)
    sessions = Counted(pair[0].stores.sessions)
    house = reading_through(pair[0], sessions)
    for _ in range(1000):
        assert isinstance(await asked(house, scene.viewed.token), Principal)

    assert sessions.reads == 2


# Any interleaving


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def neighbours(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Neighbours]:
    """Yield two houses over a new database."""
    with two_neighbours(request, tmp_path_factory) as both:
        yield both


RETURNS: dict[str, Loss] = {
    "her role is given": lambda house, scene: house.stores.users.grant(
        scene.eve.user.id, SUPPORT.name, an_event()
    ),
    "her other role is given": lambda house, scene: house.stores.users.grant(
        scene.eve.user.id, "user", an_event()
    ),
    "the role gets the permission": lambda house, _: house.stores.roles.permit(
        SUPPORT.name, "users:impersonate", an_event(), limit=9
    ),
    "Bob is a moderator no more": lambda house, scene: house.stores.users.withdraw(
        scene.bob.user.id, "moderator", an_event()
    ),
    "Bob is no administrator any more": lambda house, scene: house.stores.users.withdraw(
        scene.bob.user.id, "admin", an_event()
    ),
}
BOTH_WAYS = RETURNS | {
    name: LOSSES[name]
    for name in (
        "her role is taken",
        "she loses a role that Bob holds",
        "the role loses the permission",
        "Bob becomes a moderator",
        "Bob becomes an administrator",
    )
}
"""What can be undone: so the walk goes on."""

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(BOTH_WAYS)), st.integers(0, 1)),
        st.lists(st.tuples(st.sampled_from(sorted(BOTH_WAYS)), st.integers(0, 1)), max_size=3),
    ),
    min_size=3,
    max_size=15,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_whatever_is_lost_and_given_back_both_houses_answer_as_the_database_would(
    neighbours: Neighbours, steps: list[tuple[str, int] | list[tuple[str, int]]]
) -> None:
    """Steps of a list happen at once, beside checks. On MongoDB an answer may be a second old."""

    async def walk() -> None:
        await neighbours.houses[0].stores.roles.ensure([SUPPORT])
        await BOTH_WAYS["the role gets the permission"](neighbours.houses[0], None)  # type: ignore[arg-type]
        scene = await begun(neighbours.houses)
        for step in steps:
            together = step if isinstance(step, list) else [step]
            await asyncio.gather(
                *(BOTH_WAYS[what](neighbours.houses[house], scene) for what, house in together),
                *(asked(house, scene.viewed.token) for house in neighbours.houses),
            )
            await agree(neighbours, scene.viewed)

    neighbours.runner.run(walk())


async def agree(neighbours: Neighbours, device: Device) -> None:
    """Check that both houses give the answer of the database: on MongoDB in time."""
    for house in neighbours.houses:
        right = await read(house, device)
        deadline = time.monotonic() + STALENESS
        while (answer := await asked(house, device.token)) != right:
            assert neighbours.tells
            assert time.monotonic() < deadline, (answer, right)
            await asyncio.sleep(0.002)


# Both at the same moment


async def test_whoever_loses_the_right_while_beginning_sees_nothing_afterwards(
    pair: list[House],
) -> None:
    """However the two fall together, many times: no session stands, and none is said to."""
    lasting = [what for what in LOSSES if what not in {"Bob ends it", "Bob signs out everywhere"}]
    chance = random.Random(7)
    for number in range(ROUNDS):
        house, what = pair[number % 2], lasting[number % len(lasting)]
        await house.stores.roles.ensure([SUPPORT])
        await RETURNS["the role gets the permission"](house, None)  # type: ignore[arg-type]
        eve = await new_device(house, None, SUPPORT.name, methods=PROVED)
        bob = await new_device(house)
        scene = Scene(pair, eve, bob, eve, None)  # type: ignore[arg-type]

        async def lose(loss: Loss = LOSSES[what], scene: Scene = scene) -> None:
            await asyncio.sleep(chance.random() / 200)
            await loss(pair[1], scene)

        began, lost = await asyncio.gather(begin(pair[0], eve, bob), lose(), return_exceptions=True)

        assert not isinstance(lost, BaseException), lost
        if isinstance(began, SignedIn):
            for each in pair:
                assert await refused_in_time(each, device_of(began)), what
        for session in await house.stores.sessions.list_stored(bob.user.id, limit=9):
            if session.impersonator is not None:
                assert await house.gate.lookup.find(bob.user.id, session.id) is None, what


async def test_beginning_leaves_nothing_of_the_user_changed(pair: list[House]) -> None:
    """Bob has not signed in."""
    scene = await begun(pair)

    assert await pair[0].stores.users.find(scene.bob.user.id) == scene.bob.user
    events = await newest(pair[0].stores.events, 9)
    began = next(each for each in events if each.name == "impersonation.began")
    assert (began.actor, began.target) == (scene.eve.user.id, scene.bob.user.id)
    assert began.detail == {"session": scene.viewed.session.id, "reason": "Ticket 4711"}
    assert "session.opened" not in {each.name for each in events if each.actor == scene.bob.user.id}


async def test_nobody_is_impersonated_who_has_signed_out_everywhere_meanwhile(
    pair: list[House],
) -> None:
    scene = await begun(pair)
    await pair[0].stores.users.raise_epoch(scene.bob.user.id, an_event())
    with pytest.raises(InvalidToken):  # with the record of before
        await pair[0].sessions.impersonate(scene.bob.user, scene.eve.session, "x", HERE)
    await pair[0].accounts.disable(scene.eve.user, COMMAND)
    bob = await pair[0].stores.users.find(scene.bob.user.id)
    assert bob is not None
    with pytest.raises(InvalidToken):
        await pair[0].sessions.impersonate(bob, scene.eve.session, "x", HERE)
