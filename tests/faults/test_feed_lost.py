"""The change stream is cut: memory that answers a check is never older than `MAX_STALENESS`."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from gatelodge.app import House, build, create_app
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.gate.principal import Principal
from gatelodge.stores import Stores, open_stores
from gatelodge.stores.mongo.feed import MAX_STALENESS
from tests.contracts.builders import an_event
from tests.contracts.failpoints import failing
from tests.gate.houses import Device, asked, houses, new_device, trusted
from tests.support.clock import NOON
from tests.support.mongod import Mongod, ReplicaSet, wait_until

pytestmark = [
    pytest.mark.faults,
    # When the driver loses its primary, it leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STALENESS = MAX_STALENESS.total_seconds()
ELECTION_SECONDS = 30.0
CALL_SECONDS = 0.05


@pytest.fixture
def database(three: ReplicaSet, request: pytest.FixtureRequest) -> str:
    """Return the address of a new database for this test, whose writes may wait for long."""
    return three.url.replace("/?", f"/{request.node.name[-40:]}?wTimeoutMS=20000&")


@pytest.fixture
async def house(tmp_path: Path, database: str) -> AsyncIterator[House]:
    """Yield a house that follows the change stream."""
    async with houses(tmp_path, database, number=1) as (only,):
        yield only


@pytest.fixture
async def elsewhere(house: House, database: str) -> AsyncIterator[Stores]:
    """Yield the stores of another node. The house hears of its changes only by the stream."""
    stores = open_stores(database)
    await stores.database.start()
    yield stores
    await stores.database.stop()


class Witness:
    """Asks memory about one device all the time.

    Attributes:
        answered_at: when memory last let the device in.
        trusted_until: when memory was last trusted.
    """

    def __init__(self, house: House, device: Device) -> None:
        """Prepare to watch this device."""
        self._house = house
        self._device = device
        self.answered_at = 0.0
        self.trusted_until = 0.0

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator["Witness"]:
        """Ask until the context ends."""
        asking = asyncio.create_task(self._keep_asking())
        try:
            yield self
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    async def _keep_asking(self) -> None:
        while True:
            now = time.monotonic()
            if self._house.gate.feed.catch_up():
                self.trusted_until = now
            if self._house.gate.recall(self._device.token.encode()) is not None:
                self.answered_at = now
            await asyncio.sleep(0.001)


class Caller:
    """Makes requests of one device all the time. Memory answers, or else the database.

    Attributes:
        admitted_at: when the last request began that was let in.
        refused_at: when the last request began that was refused.
        roles: all roles that the device ever had.
    """

    def __init__(self, house: House, device: Device) -> None:
        """Prepare to be this device."""
        self._house = house
        self._device = device
        self.admitted_at = 0.0
        self.refused_at = 0.0
        self.roles: set[str] = set()

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator["Caller"]:
        """Make requests until the context ends. The first was answered when it begins."""
        async with asyncio.TaskGroup() as requests:
            making = requests.create_task(self._keep_calling(requests))
            try:
                async with asyncio.timeout(ELECTION_SECONDS):
                    while not (self.admitted_at or self.refused_at):  # noqa: ASYNC110 - as below
                        await asyncio.sleep(CALL_SECONDS)
                yield self
            finally:
                making.cancel()

    async def is_refused_after(self, instant: float) -> None:
        """Return when a request was refused that began after this instant."""
        async with asyncio.timeout(ELECTION_SECONDS):
            while self.refused_at <= instant:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(CALL_SECONDS)

    async def _keep_calling(self, requests: asyncio.TaskGroup) -> None:
        while True:
            requests.create_task(self._call())
            await asyncio.sleep(CALL_SECONDS)

    async def _call(self) -> None:
        began_at = time.monotonic()
        try:
            answer = await asked(self._house, self._device.token)
        except StoreUnavailable:
            return
        if isinstance(answer, Principal):
            self.admitted_at = max(self.admitted_at, began_at)
            self.roles.update(answer.roles)
        else:
            self.refused_at = max(self.refused_at, began_at)


async def known_device(house: House) -> Device:
    """Return a device that memory knows."""
    device = await new_device(house)
    while house.gate.recall(device.token.encode()) is None:
        await asyncio.sleep(0.005)
        assert isinstance(await asked(house, device.token), Principal)
    return device


async def raise_epoch(stores: Stores, device: Device) -> float:
    """End every session of a user at another node. Return the time of the acknowledgement."""
    deadline = time.monotonic() + ELECTION_SECONDS
    while True:
        try:
            await stores.users.raise_epoch(device.user.id, an_event())
        except (StoreUnavailable, OutcomeUnknown):
            assert time.monotonic() < deadline
        else:
            return time.monotonic()


async def ready(house: House) -> httpx2.Response:
    """Return the answer of `/readyz`."""
    transport = httpx2.ASGITransport(app=create_app(house), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        return await client.get("/readyz")


async def test_a_primary_that_steps_down(
    three: ReplicaSet, house: House, elsewhere: Stores
) -> None:
    """A change at the new primary is known within `MAX_STALENESS`."""
    device = await known_device(house)
    async with Witness(house, device).watching() as witness:
        await asyncio.to_thread(three.step_down)
        acknowledged_at = await raise_epoch(elsewhere, device)
        await asyncio.sleep(STALENESS + 0.5)
        await trusted(house)
        assert witness.answered_at <= acknowledged_at + STALENESS
    assert not isinstance(await asked(house, device.token), Principal)
    assert (await ready(house)).status_code == 200


async def test_a_primary_that_hands_over_just_after_a_change(
    three: ReplicaSet, house: House, elsewhere: Stores
) -> None:
    """The new primary has the change, and may not know yet that a majority has it.

    What it answers then is older than what the stream has told already.
    """
    quiet, device = await known_device(house), await known_device(house)
    async with Caller(house, device).calling() as caller:
        acknowledged_at = await raise_epoch(elsewhere, device)
        await asyncio.to_thread(hand_over, three)
        await caller.is_refused_after(acknowledged_at + STALENESS)
        await is_followed_anew(house, quiet)
    assert caller.admitted_at <= acknowledged_at + STALENESS
    assert not isinstance(await asked(house, device.token), Principal)


def hand_over(three: ReplicaSet) -> None:
    """Make the primary stand back for a node that has everything, which takes over at once."""
    first = three.wait_for_primary()
    with three.nodes[first].client() as client:
        client.admin.command("replSetStepDown", 1, secondaryCatchUpPeriodSecs=1)
    wait_until(lambda: three.primary() not in {None, first}, "nobody took over", ELECTION_SECONDS)


async def is_followed_anew(house: House, quiet: Device) -> None:
    """Return when memory is trusted, and has forgotten a device that did not change.

    So the stream ended, and the next one began with an empty memory.
    """
    token = quiet.token.encode()
    async with asyncio.timeout(ELECTION_SECONDS):
        while not house.gate.feed.catch_up() or house.gate.recall(token):  # noqa: ASYNC110
            await asyncio.sleep(CALL_SECONDS)


async def test_a_change_that_is_rolled_back_was_never_seen(
    three: ReplicaSet, house: House, database: str
) -> None:
    """The old primary disables one user and promotes another, and no majority has it.

    The new primary, which does not know of it, ends all sessions of the other user.
    """
    disabled, other = await known_device(house), await known_device(house)
    quiet = await known_device(house)
    first = three.wait_for_primary()
    frozen = three.nodes[first].process
    assert frozen is not None
    async with (
        Caller(house, disabled).calling() as stays,
        Caller(house, other).calling() as goes,
    ):
        with three.held_back():
            await asyncio.to_thread(change_alone, three.nodes[first], database, disabled, other)
            os.kill(frozen.pid, signal.SIGSTOP)
        try:
            acknowledged_at = await asyncio.to_thread(
                write_at_the_successor, three, first, database, other
            )
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        await asyncio.to_thread(
            wait_until,
            lambda: is_rolled_back(three.nodes[first], database, disabled),
            "nothing was rolled back",
            ELECTION_SECONDS,
        )
        await goes.is_refused_after(acknowledged_at + STALENESS)
        await is_followed_anew(house, quiet)
    assert goes.admitted_at <= acknowledged_at + STALENESS
    assert goes.roles == {"user"}
    assert stays.refused_at == 0.0
    assert isinstance(await asked(house, disabled.token), Principal)
    assert not isinstance(await asked(house, other.token), Principal)


def change_alone(node: Mongod, database: str, disabled: Device, promoted: Device) -> None:
    """Disable a user and promote another, at one node only."""
    name = urlsplit(database).path.removeprefix("/")
    with node.client() as client:
        users = client.get_database(name, write_concern=WriteConcern(1)).users
        users.update_one({"_id": disabled.user.id}, {"$set": {"disabled_at": NOON}})
        users.update_one({"_id": promoted.user.id}, {"$push": {"roles": "admin"}})


def is_rolled_back(node: Mongod, database: str, disabled: Device) -> bool:
    """Say whether a node that had disabled a user has undone it."""
    with node.client() as client, contextlib.suppress(PyMongoError):
        if client.admin.command("hello")["secondary"]:
            there = client[urlsplit(database).path.removeprefix("/")]
            user = there.users.find_one({"_id": disabled.user.id})
            return user is not None and user.get("disabled_at") is None
    return False


async def test_a_primary_that_freezes_and_comes_back(
    three: ReplicaSet, house: House, database: str
) -> None:
    """First no node answers, then a new primary does.

    Then the old one continues, and still believes that it is the primary.
    """
    device, other = await known_device(house), await known_device(house)
    first = three.wait_for_primary()
    frozen = three.nodes[first].process
    assert frozen is not None
    async with Witness(house, device).watching() as witness:
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            stopped_at = time.monotonic()
            await asyncio.sleep(STALENESS + 0.2)
            assert not house.gate.feed.catch_up()
            assert witness.trusted_until <= stopped_at + STALENESS
            acknowledged_at = await asyncio.to_thread(
                write_at_the_successor, three, first, database, device
            )
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        await trusted(house)
        await asyncio.sleep(STALENESS)
        assert witness.answered_at <= acknowledged_at + STALENESS
    assert not isinstance(await asked(house, device.token), Principal)
    assert isinstance(await asked(house, other.token), Principal)
    assert (await ready(house)).status_code == 200


def write_at_the_successor(three: ReplicaSet, frozen: int, database: str, device: Device) -> float:
    """Raise a user's epoch at the new primary, while the old one is frozen."""
    deadline = time.monotonic() + ELECTION_SECONDS
    while (ruler := three.primary()) in {None, frozen}:
        assert time.monotonic() < deadline
    assert ruler is not None
    with three.nodes[ruler].client() as client:
        change_at(client, database, device)
    return time.monotonic()


def change_at(client: MongoClient[dict[str, Any]], database: str, device: Device) -> None:
    """Raise a user's epoch, and wait for the acknowledgement of the majority."""
    name = urlsplit(database).path.removeprefix("/")
    users = client.get_database(name, write_concern=WriteConcern("majority")).users
    assert users.update_one({"_id": device.user.id}, {"$inc": {"epoch": 1}}).modified_count == 1


async def test_a_change_that_is_under_way_when_a_stream_opens_is_told(
    three: ReplicaSet, house: House, database: str
) -> None:
    """The primary has the change, and the majority does not have it yet.

    Reads do not see it, so the stream must tell it later.
    """
    devices = [await new_device(house, None, "admin"), await new_device(house)]
    tokens = [device.token for device in devices]
    other = build(house.settings)
    await other.stores.database.start()  # the first read from a primary waits for a majority
    await other.stores.sessions.find(devices[0].session.id)
    await other.stores.database.stop()
    with three.held_back():
        changing = asyncio.gather(
            house.stores.users.withdraw(devices[0].user.id, "admin", an_event()),
            house.stores.sessions.revoke(
                devices[1].session.id, house.clock.now(), "signed_out", an_event()
            ),
        )
        await asyncio.to_thread(
            wait_until, lambda: has_changed(three, database, devices), "nothing was changed", 20
        )
        serving = contextlib.AsyncExitStack()
        await serving.enter_async_context(other.serve())
        await trusted(other)
        before = [await asked(other, token) for token in tokens]
        assert not changing.done()
    async with serving:
        assert await changing == [True, True]
        await asyncio.sleep(STALENESS)
        await trusted(other)
        assert [other.gate.recall(token.encode()) for token in tokens] == [None, None]
        admin, out = [await asked(other, token) for token in tokens]

    assert [getattr(answer, "roles", None) for answer in before] == [("user", "admin"), ("user",)]
    assert isinstance(admin, Principal)
    assert admin.roles == ("user",)
    assert not isinstance(out, Principal)


def has_changed(three: ReplicaSet, database: str, devices: list[Device]) -> bool:
    """Say whether the primary has taken the role away and ended the session, confirmed or not."""
    with three.nodes[three.wait_for_primary()].client() as client:
        there = client[urlsplit(database).path.removeprefix("/")]
        user = there.users.find_one({"_id": devices[0].user.id})
        session = there.sessions.find_one({"_id": devices[1].session.id})
    assert user is not None
    assert session is not None
    return user["roles"] == ["user"] and session.get("revoked_at") is not None


async def test_a_stream_that_stands_still_while_the_database_goes_on(
    house: House, elsewhere: Stores, database: str
) -> None:
    """Only the feed's questions are delayed. The checks read the database, and are right."""
    device = await known_device(house)
    with failing(database, "getMore", blockConnection=True, blockTimeMS=3000):
        await asyncio.sleep(STALENESS + 0.5)
        assert not house.gate.feed.catch_up()
        assert house.gate.recall(device.token.encode()) is None
        assert isinstance(await asked(house, device.token), Principal)
        await raise_epoch(elsewhere, device)
        assert not isinstance(await asked(house, device.token), Principal)
        answer = await ready(house)
        assert answer.status_code == 200
        assert answer.json()["feed"] == "behind"
        assert answer.json()["feedLagSeconds"] > STALENESS
    await trusted(house)
    assert not isinstance(await asked(house, device.token), Principal)


async def test_a_stream_that_fails_is_followed_anew(house: House, elsewhere: Stores) -> None:
    """The error has a code after which the driver does not resume the stream.

    When a new stream begins, everything in memory is forgotten. So changes that were made between
    the two streams are seen.
    """
    device = await known_device(house)
    with failing(house.settings.database, "getMore", "aggregate", errorCode=8000):
        deadline = time.monotonic() + 10
        while house.gate.feed.catch_up():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await raise_epoch(elsewhere, device)
        assert not isinstance(await asked(house, device.token), Principal)
        state = house.gate.feed.state()
        assert (state.kind, state.trusted) == ("stream", False)
        assert state.lag is not None  # it is still reported
    await trusted(house)
    assert house.gate.recall(device.token.encode()) is None
    assert not isinstance(await asked(house, device.token), Principal)


async def test_an_event_loop_that_stands_still(
    house: House, database: str, three: ReplicaSet
) -> None:
    """Changes that arrive meanwhile wait in the socket. Memory is not used until they are read."""
    device = await known_device(house)
    started = threading.Event()

    def change() -> None:
        with MongoClient[dict[str, Any]](database) as client:
            started.wait()
            change_at(client, database, device)

    thread = threading.Thread(target=change)
    thread.start()
    started.set()
    time.sleep(STALENESS + 0.5)  # noqa: ASYNC251 - on purpose
    assert not house.gate.feed.catch_up()
    assert house.gate.recall(device.token.encode()) is None
    thread.join()
    assert not isinstance(await asked(house, device.token), Principal)
    await trusted(house)
    assert not isinstance(await asked(house, device.token), Principal)
