"""Functions are told what has happened, whatever they, the processes and the database do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.notification import Notification
from gatelodge.subscriptions.service import (
    CLAIM,
    FORGOTTEN_AFTER,
    MAX_CLAIMS,
    TOLD,
    WAITS,
)
from gatelodge.subscriptions.store import Message
from tests.contracts.builders import a_user, an_event
from tests.contracts.failpoints import events_refused, failing
from tests.gate.houses import houses
from tests.support.clock import FakeClock
from tests.support.events import newest

NAME = "shop.forget"
EVENTS = {NAME: ("user.deleted",)}


@pytest.fixture
async def pair(address: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[list[House]]:
    """Yield two processes of an application that has subscribed to deletions."""
    database = address if address.startswith("mongodb") else ""
    async with houses(tmp_path, database, clock) as pair:
        await pair[0].subscriptions.subscribe(EVENTS)
        yield pair


async def claimed(house: House, now: datetime) -> Message | None:
    """Claim a message as a process does that dies then."""
    store = house.stores.subscriptions
    return await store.claim([NAME], now, now + CLAIM, latest=now + max(WAITS) + CLAIM)


async def deleted(house: House) -> User:
    """Delete a user, and return who it was."""
    user = a_user()
    await house.stores.users.add(user, an_event(name="user.signed_up"))
    assert await house.accounts.delete(user, COMMAND)
    return user


async def test_a_function_is_told_once_by_any_of_two_processes(pair: list[House]) -> None:
    heard: list[Notification] = []

    async def forget(what: Notification) -> None:
        await asyncio.sleep(0)
        heard.append(what)

    users = [await deleted(pair[0]) for _ in range(10)]
    for _ in range(10):
        await asyncio.gather(*(each.subscriptions.tell_next({NAME: forget}) for each in pair))

    assert sorted(str(each.subject) for each in heard) == sorted(user.id for user in users)
    assert {each.name for each in heard} == {"user.deleted"}
    assert {each.actor for each in heard} == {"command"}
    assert heard[0].uuid is not None
    assert not await pair[0].subscriptions.tell_next({NAME: forget})


async def test_a_function_that_fails_is_told_again_after_growing_waits(
    pair: list[House], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After a day it is given up, and an event says so."""
    heard: list[str] = []

    async def fail(what: Notification) -> None:
        heard.append(what.id)
        raise ConnectionError("the mail server is away")

    tell_next = pair[0].subscriptions.tell_next
    await deleted(pair[0])
    for wait in WAITS:
        assert await tell_next({NAME: fail})
        assert not await tell_next({NAME: fail})
        clock.advance(wait - timedelta(milliseconds=1))
        assert not await tell_next({NAME: fail})
        clock.advance(timedelta(milliseconds=1))
    assert await tell_next({NAME: fail})
    clock.advance(timedelta(days=30))
    assert not await tell_next({NAME: fail})

    assert heard == [heard[0]] * (len(WAITS) + 1)
    assert sum(WAITS, timedelta()) >= timedelta(hours=24)
    given_up = (await newest(pair[0].stores.events, 1))[0]
    assert (given_up.name, given_up.target) == ("message.given_up", heard[0])
    assert dict(given_up.detail) == {"subscription": NAME, "told": "user.deleted"}
    assert [each.message for each in caplog.records].count("message.failed") == len(heard)


async def test_a_function_that_is_cancelled_by_what_it_awaits_has_failed(
    pair: list[House], clock: FakeClock
) -> None:
    """It waits like any other that fails."""
    heard: list[str] = []

    async def fail(what: Notification) -> None:
        heard.append(what.id)
        raise asyncio.CancelledError

    await deleted(pair[0])
    assert await pair[0].subscriptions.tell_next({NAME: fail})
    assert not await pair[0].subscriptions.tell_next({NAME: fail})
    clock.advance(WAITS[0])
    assert await pair[0].subscriptions.tell_next({NAME: fail})
    assert len(heard) == 2


async def test_a_message_that_kills_whoever_is_told_is_given_up(
    pair: list[House], clock: FakeClock
) -> None:
    """Each process dies, so that none can say that it has failed."""
    heard: list[str] = []

    async def forget(what: Notification) -> None:
        heard.append(what.id)

    await deleted(pair[0])
    for _ in range(MAX_CLAIMS):
        assert await claimed(pair[0], clock.now())
        clock.advance(CLAIM)
    assert await pair[0].subscriptions.tell_next({NAME: forget})
    assert heard == []
    listed = await newest(pair[0].stores.events, 1)
    assert listed[0].name == "message.given_up"
    assert await pair[0].stores.subscriptions.count_waiting(NAME) == 0


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
async def test_a_message_is_not_given_up_without_its_event(
    pair: list[House], clock: FakeClock
) -> None:
    store, tell_next = pair[0].stores.subscriptions, pair[0].subscriptions.tell_next

    async def forget(_what: Notification) -> None:
        """Take it."""

    await deleted(pair[0])
    for _ in range(MAX_CLAIMS):
        assert await claimed(pair[0], clock.now())
        clock.advance(CLAIM)
    with (
        events_refused(pair[0].settings.database_address),
        pytest.raises(StoreUnavailable),
    ):
        await tell_next({NAME: forget})

    assert await store.count_waiting(NAME) == 1
    clock.advance(CLAIM)
    assert await tell_next({NAME: forget})
    assert await store.count_waiting(NAME) == 0


async def test_a_claim_is_kept_as_long_as_a_function_runs(
    pair: list[House], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatelodge.subscriptions.service.RENEWED_EVERY", timedelta(milliseconds=5))
    begun, over = asyncio.Event(), asyncio.Event()

    async def dawdle(_what: Notification) -> None:
        begun.set()
        await over.wait()

    async def forget(_what: Notification) -> None:
        raise AssertionError

    await deleted(pair[0])
    telling = asyncio.create_task(pair[0].subscriptions.tell_next({NAME: dawdle}))
    await begun.wait()
    for _ in range(4):
        clock.advance(CLAIM / 2)
        await asyncio.sleep(0.2)  # it is renewed meanwhile
        assert not await pair[1].subscriptions.tell_next({NAME: forget})
    over.set()
    assert await telling
    assert await pair[0].stores.subscriptions.count_waiting(NAME) == 0


async def test_what_a_process_was_telling_when_it_died_is_told_by_another(
    pair: list[House], clock: FakeClock
) -> None:
    """It dies without a word, so the claim must end first."""
    heard: list[Notification] = []

    async def forget(what: Notification) -> None:
        heard.append(what)

    await deleted(pair[0])
    now = clock.now()
    assert await claimed(pair[0], now)  # then it dies
    assert not await pair[1].subscriptions.tell_next({NAME: forget})
    clock.advance(CLAIM)
    assert await pair[1].subscriptions.tell_next({NAME: forget})
    assert len(heard) == 1


async def test_an_event_that_a_clock_far_ahead_has_dated_is_told_now(
    pair: list[House], clock: FakeClock
) -> None:
    """What only waits for its next try does not come earlier."""
    heard: list[str] = []

    async def forget(what: Notification) -> None:
        heard.append(what.id)

    store, now = pair[0].stores.events, clock.now()
    await store.add(an_event(name="user.deleted", at=now + max(WAITS) + CLAIM))
    ahead = an_event(name="user.deleted", at=now + timedelta(days=365))
    await store.add(ahead)
    for house in pair:
        while await house.subscriptions.tell_next({NAME: forget}):
            pass
    assert heard == [ahead.id]


async def test_what_a_process_was_telling_when_it_was_stopped_is_told_at_once(
    pair: list[House],
) -> None:
    begun = asyncio.Event()

    async def dawdle(_what: Notification) -> None:
        begun.set()
        await asyncio.sleep(60)

    heard: list[Notification] = []

    async def forget(what: Notification) -> None:
        heard.append(what)

    await deleted(pair[0])
    async with pair[0].subscriptions.telling({NAME: dawdle}, EVENTS):
        await begun.wait()
    assert await pair[1].subscriptions.tell_next({NAME: forget})
    assert len(heard) == 1


async def test_a_subscription_is_kept_as_long_as_a_process_asks_for_it(
    pair: list[House], clock: FakeClock
) -> None:
    for _ in range(3):
        clock.advance(FORGOTTEN_AFTER)
        await pair[1].subscriptions.subscribe(EVENTS)
        await pair[0].subscriptions.sweep()
        assert await pair[0].stores.subscriptions.find(NAME) is not None
    clock.advance(FORGOTTEN_AFTER + timedelta(seconds=1))
    await deleted(pair[0])

    assert await pair[0].subscriptions.sweep()
    assert await pair[0].stores.subscriptions.find(NAME) is None
    assert await pair[0].stores.subscriptions.count_waiting(NAME) == 0
    listed = await newest(pair[0].stores.events, 20)
    assert ("subscription.removed", NAME) in [(each.name, each.target) for each in listed]


def test_one_can_hear_of_what_changes_something_and_not_of_what_is_said_of_messages() -> None:
    """Else a function that fails would be told that it has failed."""
    assert "user.deleted" in TOLD
    assert not {"message.given_up", "subscription.removed"} & TOLD


async def test_on_mongodb_no_event_is_without_its_message(
    mongodb_address: str, tmp_path: Path, clock: FakeClock
) -> None:
    """The message is made before the event; if it cannot be made, both come with the next sweep."""
    async with houses(tmp_path, mongodb_address, clock, number=1) as (house,):
        await house.subscriptions.subscribe(EVENTS)
        user = a_user()
        await house.stores.users.add(user, an_event(name="user.signed_up"))
        with failing(mongodb_address, "insert", collection="messages", errorCode=11600):
            with contextlib.suppress(OutcomeUnknown):
                await house.accounts.delete(user, COMMAND)
            assert await house.stores.users.find(user.id) is None
        names = [each.name for each in await newest(house.stores.events, 9)]
        assert "user.deleted" not in names
        assert await house.stores.subscriptions.count_waiting(NAME) == 0
        users = house.stores.users
        await users.outbox.sweep()  # type: ignore[attr-defined]
        await users.sweep_names()  # type: ignore[attr-defined]
        names = [each.name for each in await newest(house.stores.events, 9)]
        assert "user.deleted" in names
        assert await house.stores.subscriptions.count_waiting(NAME) == 1


async def test_on_mongodb_a_sweep_takes_nothing_from_who_has_just_subscribed(
    mongodb_address: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They subscribe, and something happens, after the sweep has looked who is there."""
    async with houses(tmp_path, mongodb_address, clock, number=1) as (house,):
        store: Any = house.stores.subscriptions
        collection = type(store._messages)
        delete_many = collection.delete_many

        async def late(self: Any, *given: Any, **named: Any) -> Any:
            if self.name == "messages":
                await house.subscriptions.subscribe(EVENTS)
                await house.stores.events.add(an_event(name="user.deleted"))
            return await delete_many(self, *given, **named)

        monkeypatch.setattr(collection, "delete_many", late)
        await store.sweep()
        assert await store.count_waiting(NAME) == 1
