"""What a session says of how its user was proven, and the patience with a slow database."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, cast

import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND, Origin
from gatelodge.data_folder import DATABASE
from gatelodge.ids import SessionId
from gatelodge.methods import BY_PASSWORD
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.refusals import RefreshTokenReused
from gatelodge.sessions.store import SessionStore
from gatelodge.tokens.pair import Delivery
from tests.support.clock import NOON, FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD, new_user

Now: TypeAlias = Callable[[], datetime]

ORIGIN = Origin("192.0.2.7", "Browser/1.0", "req_1")
AN_HOUR = timedelta(hours=1)


async def test_a_session_keeps_how_and_when_its_user_was_proven(
    house: House, clock: FakeClock
) -> None:
    user = await house.accounts.create(NewUser("ann", "ann@example.com", PASSWORD), COMMAND)
    clock.advance(AN_HOUR)

    now = await house.sessions.open(user, BY_PASSWORD, "bearer", ORIGIN)
    earlier = await house.sessions.open(
        user, ("pwd", "otp"), "bearer", ORIGIN, authenticated_at=NOON
    )

    for opened, methods, at in ((now, ("pwd",), NOON + AN_HOUR), (earlier, ("pwd", "otp"), NOON)):
        kept = await house.stores.sessions.find(opened.session.id)
        assert kept == opened.session
        assert kept is not None
        assert (kept.methods, kept.authenticated_at) == (methods, at)
        assert kept.created_at == NOON + AN_HOUR


async def test_events_name_the_factor_as_people_do(house: House) -> None:
    user = await house.accounts.create(NewUser("ann", "ann@example.com", PASSWORD), COMMAND)
    await house.sessions.open(user, BY_PASSWORD, "bearer", ORIGIN)

    events = {each.name: each for each in await newest(house.stores.events, 9)}

    assert events["session.opened"].detail == {"factor": "password"}


@pytest.mark.parametrize("delivery", ["bearer", "cookie"])
async def test_a_session_that_goes_on_after_a_new_password_stays_as_proven_as_it_was(
    house: House, clock: FakeClock, delivery: Delivery
) -> None:
    """A browser's new session takes over what proved the user of the old one, and no more."""
    user = await house.accounts.create(NewUser("ann", "ann@example.com", PASSWORD), COMMAND)
    opened = await house.sessions.open(user, ("pwd", "otp"), delivery, ORIGIN)
    clock.advance(AN_HOUR)

    changed = await house.sign_in.change_password(
        Records(user, opened.session), PASSWORD, "eight wild geese", ORIGIN
    )

    assert (changed.session.id == opened.session.id) is (delivery == "bearer")
    assert changed.session.methods == ("pwd", "otp")
    assert changed.session.authenticated_at == NOON


@pytest.mark.parametrize(
    ("grace", "skew", "ahead", "lives"),
    [
        (10, 0, -9, True),
        (10, 0, -10, False),
        (10, 0, 1, True),  # one clock, read in two processes
        (10, 0, 3600, False),  # the clock was set back an hour
        (10, 30, -39, True),  # the other server is 30 seconds behind
        (10, 30, -40, False),
        (10, 30, 30, True),  # or ahead
        (10, 30, 31, False),
        (0, 30, 0, False),  # a grace of zero stays strict
        (0, 30, -1, False),
    ],
)
async def test_the_clock_of_another_server_is_believed_within_bounds(
    house: House, clock: FakeClock, grace: int, skew: int, ahead: int, lives: bool
) -> None:
    """A rotation that another server dates differently makes no thief, and forgives none for long.

    `ahead` is by how much the instant of the rotation lies before or after our own clock.
    """
    limits = replace(
        house.sessions.limits, grace=timedelta(seconds=grace), clock_skew=timedelta(seconds=skew)
    )
    ours = replace(house.sessions, limits=limits)
    other = FakeClock(clock.instant + timedelta(seconds=ahead))
    user = await new_user(house, "ann")
    opened = await ours.open(user, BY_PASSWORD, "bearer", ORIGIN)
    theirs = replace(ours, clock=other)
    await theirs.refresh(opened.tokens.refresh_token, ORIGIN)
    if lives:
        again = await ours.refresh(opened.tokens.refresh_token, ORIGIN)
        assert again.session.generation == 1
    else:
        with pytest.raises(RefreshTokenReused):
            await ours.refresh(opened.tokens.refresh_token, ORIGIN)


class Announcing:
    """A store that tells when a rotation is asked for, and passes everything on."""

    def __init__(self, sessions: SessionStore) -> None:
        """Stand in front of a real store."""
        self._sessions = sessions
        self.asked = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        """Return what the real store has."""
        return getattr(self._sessions, name)

    async def rotate(self, session_id: SessionId, generation: int, now: Now) -> bool:
        """Tell of the rotation. It waits for the database by the time anybody hears of it."""
        self.asked.set()
        return await self._sessions.rotate(session_id, generation, now)


async def test_the_wait_for_the_write_lock_is_no_part_of_the_grace(
    house: House, clock: FakeClock
) -> None:
    """The client did not wait for the answer, and asks again almost a whole grace later."""
    user = await new_user(house, "ann")
    token = (await house.sessions.open(user, BY_PASSWORD, "bearer", ORIGIN)).tokens.refresh_token
    store = Announcing(house.stores.sessions)
    sessions = replace(house.sessions, sessions=cast("SessionStore", store))
    almost = house.sessions.limits.grace - timedelta(seconds=1)
    with closing(sqlite3.connect(house.settings.data_dir / DATABASE)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(sessions.refresh(token, ORIGIN))
        await store.asked.wait()
        clock.advance(almost)
        assert not waiting.done()
        other.rollback()
    lost = await waiting
    clock.advance(almost)

    again = await sessions.refresh(token, ORIGIN)

    assert again.tokens.refresh_token == lost.tokens.refresh_token
    events = await newest(house.stores.events, 9)
    assert "refresh_token.reused" not in {event.name for event in events}
