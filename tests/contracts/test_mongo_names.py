"""Names in MongoDB: what becomes of them when sign-ups and removals die halfway."""

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from gatelodge.accounts.store import User
from gatelodge.clock import SystemClock
from gatelodge.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from gatelodge.stores import Stores
from gatelodge.stores.mongo import MongoDatabase, MongoUsers
from gatelodge.stores.mongo.last_holder import LastHolders
from gatelodge.stores.mongo.names import UNSETTLED_FOR, Names
from gatelodge.stores.mongo.outbox import Outbox
from tests.contracts.builders import A_MINUTE, NOON, a_session, a_user, an_event
from tests.contracts.failpoints import failing
from tests.support.clock import FakeClock
from tests.support.databases import with_collections
from tests.support.mongod import connections_of, observed, wait_until

pytestmark = [
    pytest.mark.usefixtures("lost_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

LATER = UNSETTLED_FOR + A_MINUTE


@pytest.fixture
def address(mongodb_address: str) -> str:
    """Run on MongoDB alone."""
    return with_collections(mongodb_address)


@pytest.fixture
def database(stores: Stores) -> MongoDatabase:
    """Return the database under the stores."""
    assert isinstance(stores.database, MongoDatabase)
    return stores.database


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock by which claims grow old."""
    return FakeClock(SystemClock().now())


@pytest.fixture
def users(database: MongoDatabase, clock: FakeClock) -> MongoUsers:
    """Return the users, by that clock."""
    outbox = Outbox(database)
    names, last_holders = Names(database, clock, outbox), LastHolders(database, clock)
    return MongoUsers(database, names, outbox, last_holders)


async def test_a_settled_user_has_two_claims(users: MongoUsers, database: MongoDatabase) -> None:
    ada = a_user("Ada")
    await users.add(ada, an_event())

    assert await documents(database, "names") == [
        {"_id": "email:ada@example.org", "user_id": ada.id},
        {"_id": "username:ada", "user_id": ada.id},
    ]


async def test_the_names_of_a_dead_sign_up_are_taken_over(
    users: MongoUsers, clock: FakeClock
) -> None:
    await users.names.claim(a_user("Ada"))  # and it dies
    clock.advance(LATER)
    successor = a_user("Ada")

    await users.add(successor, an_event())

    assert await users.find_by_username("ada") == successor
    assert await users.find_by_email("ada@example.org") == successor


async def test_one_dead_name_among_two_is_taken_over(users: MongoUsers, clock: FakeClock) -> None:
    await users.names.claim(a_user("Ada"))
    clock.advance(LATER)

    other = a_user("Other", email_key="ada@example.org")
    await users.add(other, an_event())
    third = a_user("Ada", email_key="third@example.org")
    await users.add(third, an_event())

    assert await users.find_by_email("ada@example.org") == other
    assert await users.find_by_username("ada") == third


async def test_a_sign_up_under_way_keeps_its_names(users: MongoUsers, clock: FakeClock) -> None:
    await users.names.claim(a_user("Ada"))
    clock.advance(UNSETTLED_FOR)

    with pytest.raises(AlreadyExists, match="username"):
        await users.add(a_user("Ada"), an_event())
    assert await users.sweep_names() == 0


async def test_a_name_that_is_only_claimed_finds_nobody(users: MongoUsers) -> None:
    await users.names.claim(a_user("Ada"))

    assert await users.find_by_username("ada") is None
    assert await users.find_by_email("ada@example.org") is None


async def test_the_names_of_a_user_are_never_taken_over(
    users: MongoUsers, database: MongoDatabase, address: str, clock: FakeClock
) -> None:
    """A sign-up that died after its decision is complete, however old its note."""
    ada = a_user("Ada")
    with failing(address, "update", collection="names", closeConnection=True):
        await users.add(ada, an_event())
    assert await database.collection("names").count_documents({"unsettled_at": {"$ne": None}}) == 2
    clock.advance(LATER)

    with pytest.raises(AlreadyExists, match="username"):
        await users.add(a_user("Ada"), an_event())
    assert await users.sweep_names() == 0

    assert await users.find_by_username("ada") == ada
    assert await database.collection("names").count_documents({"unsettled_at": {"$ne": None}}) == 0


async def test_the_sweep_frees_the_names_of_dead_sign_ups(
    users: MongoUsers, database: MongoDatabase, clock: FakeClock
) -> None:
    await users.names.claim(a_user("Ada"))
    clock.advance(LATER)
    await users.names.claim(a_user("Bob"))
    await users.add(a_user("Eve"), an_event())

    assert await users.sweep_names() == 2
    assert await users.sweep_names() == 0

    left = [document["_id"] for document in await documents(database, "names")]
    assert left == [
        "email:bob@example.org",
        "email:eve@example.org",
        "username:bob",
        "username:eve",
    ]


async def test_a_sign_up_that_slept_too_long_is_refused(
    users: MongoUsers, address: str, clock: FakeClock
) -> None:
    """It wakes up behind somebody who took its names over, and leaves them alone."""
    sleeper, successor = a_user("Ada"), a_user("Ada")
    sleep = {"blockConnection": True, "blockTimeMS": 1000}
    with failing(address, "insert", collection="users", mode={"times": 1}, **sleep) as fault:
        sleeping = asyncio.create_task(users.add(sleeper, an_event()))
        await fault.met()
        assert await users.names.find("email", sleeper.email_key) == sleeper.id
        clock.advance(LATER)
        await users.add(successor, an_event())
        with pytest.raises(AlreadyExists, match="username"):
            await sleeping

    assert await users.find_by_username("ada") == successor
    assert await users.find_by_email("ada@example.org") == successor
    assert await users.list_users(after=None, limit=10) == [successor]


async def test_a_void_id_is_no_user(
    users: MongoUsers, database: MongoDatabase, clock: FakeClock
) -> None:
    ghost = a_user("Ghost", password_hash=None)
    await users.names.claim(ghost)
    clock.advance(LATER)
    await users.sweep_names()
    assert len(await documents(database, "users")) == 1

    assert await users.find(ghost.id) is None
    assert await users.list_users(after=None, limit=10) == []
    assert not await users.grant(ghost.id, "admin", an_event())
    assert not await users.withdraw(ghost.id, "user", an_event())
    assert not await users.disable(ghost.id, NOON, an_event())
    assert not await users.enable(ghost.id, an_event())
    assert not await users.raise_epoch(ghost.id, an_event())
    assert not await users.remove(ghost.id, an_event())
    assert await users.change_password(ghost, "new", an_event(), continued=None) is None
    assert not await users.anyone_holds("admin")
    assert not await users.record_sign_in(a_session(user_id=ghost.id))
    assert await documents(database, "users") == [{"_id": ghost.id, "void_since": clock.now()}]


async def test_of_many_that_take_over_one_name_exactly_one_stays(
    users: MongoUsers, clock: FakeClock
) -> None:
    await users.names.claim(a_user("Wanted"))
    clock.advance(LATER)
    rivals = [a_user("Wanted") for _ in range(50)]

    outcomes = await asyncio.gather(
        *(users.add(user, an_event()) for user in rivals),
        *(users.sweep_names() for _ in range(5)),
        return_exceptions=True,
    )

    added = [user for user, outcome in zip(rivals, outcomes, strict=False) if outcome is None]
    assert len(added) == 1
    assert await users.find_by_username("wanted") == added[0]
    assert await users.find_by_email(added[0].email_key) == added[0]


async def test_a_sign_up_that_could_not_reach_the_primary_can_be_repeated(
    users: MongoUsers, address: str
) -> None:
    labels = ["RetryableWriteError", "NoWritesPerformed"]
    with (
        failing(address, "insert", collection="users", errorCode=10107, errorLabels=labels),
        pytest.raises(StoreUnavailable),
    ):
        await users.add(a_user("Ada"), an_event())

    await users.add(a_user("Ada"), an_event())


async def test_a_removal_that_died_is_finished_by_the_sweep(
    users: MongoUsers, database: MongoDatabase, address: str
) -> None:
    ada = a_user("Ada")
    await users.add(ada, an_event())
    with (
        failing(address, "delete", collection="names", closeConnection=True),
        pytest.raises(OutcomeUnknown),
    ):
        await users.remove(ada.id, an_event())

    assert await users.find(ada.id) is None
    assert await users.find_by_username("ada") is None
    assert not await users.remove(ada.id, an_event())
    assert await users.sweep_names() == 2

    assert await documents(database, "users") == []
    assert await documents(database, "names") == []
    await users.add(a_user("Ada"), an_event())


async def test_what_lands_after_a_sweep_is_left_to_the_next(
    users: MongoUsers, database: MongoDatabase, address: str, clock: FakeClock
) -> None:
    """Its sign-up was cancelled when the database had its claims in hand already."""
    held = {"blockConnection": True, "blockTimeMS": 300}
    with failing(address, "insert", collection="names", mode={"times": 1}, **held) as fault:
        dying = asyncio.create_task(users.add(a_user("Ada"), an_event()))
        await fault.met()
        dying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dying
        clock.advance(LATER)
        assert await users.sweep_names() == 0
        assert await documents(database, "names") == []

    await nothing_is_under_way(database, address)
    assert len(await documents(database, "names")) == 2
    assert await users.sweep_names() == 2
    await users.add(a_user("Ada"), an_event())


async def test_a_removal_leaves_nothing_behind(users: MongoUsers, database: MongoDatabase) -> None:
    ada = a_user("Ada")
    await users.add(ada, an_event())

    await users.remove(ada.id, an_event())

    assert await documents(database, "users") == []
    assert await documents(database, "names") == []


async def test_an_id_can_be_used_once_only(users: MongoUsers) -> None:
    ada = a_user("Ada")
    await users.add(ada, an_event())

    with pytest.raises(AlreadyExists):
        await users.add(ada, an_event())
    with pytest.raises(AlreadyExists):
        await users.add(replace(ada, username_key="other"), an_event())
    with pytest.raises(AlreadyExists):
        await users.add(
            replace(ada, username_key="other", email_key="other@example.org"), an_event()
        )

    assert await users.find_by_username("ada") == ada
    assert await users.find_by_email("ada@example.org") == ada
    assert await users.find_by_username("other") is None
    await users.add(a_user("Other"), an_event())


# Renaming


async def to(users: MongoUsers, user: User, username: str) -> User | None:
    """Rename the user."""
    return await users.rename(
        user, an_event(), name="", username=username, username_key=username.lower()
    )


async def claims_of(database: MongoDatabase) -> dict[str, Any]:
    """Return whose each name is, and check that each claim is settled."""
    claims = await documents(database, "names")
    assert [each for each in claims if "unsettled_at" in each] == []
    return {claim["_id"]: claim["user_id"] for claim in claims}


async def test_a_renamed_user_has_two_claims(users: MongoUsers, database: MongoDatabase) -> None:
    ada = a_user("Ada")
    await users.add(ada, an_event())

    await to(users, ada, "Countess")

    names = {"email:ada@example.org": ada.id, "username:countess": ada.id}
    assert await claims_of(database) == names


@dataclass(frozen=True)
class Cut:
    """Where a change of names dies.

    Attributes:
        command: the command whose connection breaks.
        collection: its collection.
        skipped: how many such commands go through before.
        is_decided: whether the change has happened by then.
    """

    command: str
    collection: str
    skipped: int
    is_decided: bool

    @contextmanager
    def at(self, address: str) -> Iterator[None]:
        """Let a change that is made inside die here."""
        mode: Any = {"skip": self.skipped} if self.skipped else "alwaysOn"
        command, collection = self.command, self.collection
        fault = failing(address, command, collection=collection, mode=mode, closeConnection=True)
        with fault, suppress(OutcomeUnknown, StoreUnavailable):
            yield


CUTS = {
    "before anything": Cut("insert", "names", 0, is_decided=False),
    "after the claim": Cut("update", "names", 0, is_decided=False),
    "before it is decided": Cut("findAndModify", "users", 0, is_decided=False),
    "before the names are tidied": Cut("delete", "names", 0, is_decided=True),
    "before the new name is settled": Cut("update", "names", 1, is_decided=True),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_renaming_that_died_is_tidied_by_the_sweep(
    users: MongoUsers,
    database: MongoDatabase,
    address: str,
    clock: FakeClock,
    cut: Cut,
) -> None:
    """It has happened or not; either way the user has two claims, and no other name is taken."""
    ada = a_user("Ada")
    await users.add(ada, an_event())
    with cut.at(address):
        await to(users, ada, "Countess")

    has, has_not = ("countess", "ada") if cut.is_decided else ("ada", "countess")
    found = await users.find(ada.id)
    assert await users.find_by_username(has) == found
    assert await users.find_by_username(has_not) is None
    clock.advance(LATER)
    await users.sweep_names()

    names = {"email:ada@example.org": ada.id, f"username:{has}": ada.id}
    assert await claims_of(database) == names
    await users.add(a_user(has_not, email_key="new@example.org"), an_event())


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_change_of_the_address_that_died_is_tidied_by_the_sweep(
    users: MongoUsers,
    database: MongoDatabase,
    address: str,
    clock: FakeClock,
    cut: Cut,
) -> None:
    ada = a_user("Ada")
    await users.add(ada, an_event())
    with cut.at(address):
        await users.set_email(
            ada, an_event(), email="new@x.org", email_key="new@x.org", verified_at=NOON
        )

    has, has_not = ("new@x.org", ada.email_key) if cut.is_decided else (ada.email_key, "new@x.org")
    found = await users.find(ada.id)
    assert await users.find_by_email(has) == found
    assert await users.find_by_email(has_not) is None
    clock.advance(LATER)
    await users.sweep_names()

    assert await claims_of(database) == {f"email:{has}": ada.id, "username:ada": ada.id}
    await users.add(a_user("Other", email_key=has_not), an_event())


async def test_the_username_and_the_address_change_at_once(
    users: MongoUsers, database: MongoDatabase
) -> None:
    """Either may be refused, but no name is lost or held for nothing."""
    for number in range(10):
        user = a_user(f"User{number}")
        await users.add(user, an_event())
        email = f"new{number}@x.org"
        await asyncio.gather(
            to(users, user, f"Renamed{number}"),
            users.set_email(user, an_event(), email=email, email_key=email, verified_at=NOON),
        )
        now = await users.find(user.id)
        assert now is not None
        assert (now.username_key, now.email_key) != (user.username_key, user.email_key)
        held = {name for name, whose in (await claims_of(database)).items() if whose == user.id}
        assert held == {f"username:{now.username_key}", f"email:{now.email_key}"}


async def test_after_a_renaming_that_died_the_user_may_try_again_at_once(
    users: MongoUsers, database: MongoDatabase, address: str
) -> None:
    """The claim that it left is the user's own. Another user has to wait for the sweep."""
    ada = a_user("Ada")
    await users.add(ada, an_event())
    with (
        failing(address, "findAndModify", collection="users", closeConnection=True),
        pytest.raises(OutcomeUnknown),
    ):
        await to(users, ada, "Countess")

    with pytest.raises(AlreadyExists, match="username"):
        await users.add(a_user("Countess"), an_event())
    assert await to(users, ada, "Countess")

    names = {"email:ada@example.org": ada.id, "username:countess": ada.id}
    assert await claims_of(database) == names


async def test_a_renaming_that_slept_too_long_is_refused(
    users: MongoUsers, database: MongoDatabase, address: str, clock: FakeClock
) -> None:
    """It wakes up behind somebody who took the name over, and leaves it alone."""
    ada, successor = a_user("Ada"), a_user("Countess")
    await users.add(ada, an_event())
    sleep = {"blockConnection": True, "blockTimeMS": 1000}
    with failing(address, "findAndModify", collection="users", mode={"times": 1}, **sleep) as fault:
        sleeping = asyncio.create_task(to(users, ada, "Countess"))
        await fault.met()
        clock.advance(LATER)
        await users.add(successor, an_event())
        assert await sleeping is None

    assert await users.find_by_username("countess") == successor
    assert await users.find_by_username("ada") == ada
    assert await claims_of(database) == {
        "email:ada@example.org": ada.id,
        "email:countess@example.org": successor.id,
        "username:ada": ada.id,
        "username:countess": successor.id,
    }


async def test_a_user_who_is_deleted_while_they_are_renamed_leaves_no_name(
    users: MongoUsers, database: MongoDatabase, address: str
) -> None:
    ada = a_user("Ada")
    await users.add(ada, an_event())
    sleep = {"blockConnection": True, "blockTimeMS": 500}
    with failing(address, "update", collection="names", mode={"times": 1}, **sleep) as fault:
        renaming = asyncio.create_task(to(users, ada, "Countess"))
        await fault.met()
        assert await users.remove(ada.id, an_event())
        assert await renaming is None

    assert await claims_of(database) == {}
    for name in ("Ada", "Countess"):
        await users.add(a_user(name), an_event())


async def test_a_user_who_was_renamed_after_they_were_read_leaves_no_name(
    users: MongoUsers, database: MongoDatabase, address: str
) -> None:
    """The deletion frees the names that the user has when it is decided."""
    ada = a_user("Ada")
    await users.add(ada, an_event())
    sleep = {"blockConnection": True, "blockTimeMS": 500}
    with failing(address, "findAndModify", collection="users", mode={"times": 1}, **sleep) as fault:
        removing = asyncio.create_task(users.remove(ada.id, an_event()))
        await fault.met()
        assert await to(users, ada, "Countess")
        assert await removing

    assert await claims_of(database) == {}
    assert await documents(database, "users") == []


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_dies_and_whenever_names_stay_unique_and_are_never_lost(
    users: MongoUsers, database: MongoDatabase, address: str, clock: FakeClock, seed: int
) -> None:
    """Sign-ups, renamings, removals and sweeps are cut off at random, by us and the database."""
    chance = random.Random(seed)
    for how in ({"closeConnection": True}, {"writeConcernError": {"code": 64, "errmsg": "lost"}}):
        commands = ("insert", "update", "delete", "findAndModify")
        with failing(address, *commands, mode={"activationProbability": 0.15}, **how):
            await mayhem(users, clock, chance)
    await nothing_is_under_way(database, address)
    clock.advance(LATER)
    await users.sweep_names()

    kept = await users.list_users(after=None, limit=1000)
    claims = {claim["_id"]: claim["user_id"] for claim in await documents(database, "names")}
    expected = {f"username:{user.username_key}": user.id for user in kept}
    expected |= {f"email:{user.email_key}": user.id for user in kept}
    assert claims == expected
    assert len(claims) == 2 * len(kept)


async def mayhem(users: MongoUsers, clock: FakeClock, chance: random.Random) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for _ in range(6):
        tasks = [asyncio.create_task(one_of_many(users, chance)) for _ in range(15)]
        for task in chance.sample(tasks, 5):
            asyncio.get_running_loop().call_later(chance.random() * 0.02, task.cancel)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            outcomes[type(outcome).__name__] += 1
        clock.advance(chance.choice([A_MINUTE / 60, LATER]))
    return outcomes


async def one_of_many(users: MongoUsers, chance: random.Random) -> None:
    with suppress(AlreadyExists, OutcomeUnknown, StoreUnavailable):
        if chance.random() < 0.6:
            await users.add(someone(chance), an_event())
        elif chance.random() < 0.3:
            await users.sweep_names()
        elif chance.random() < 0.6:
            found = await users.find_by_username(f"name{chance.randrange(8)}")
            if found is not None:
                await to(users, found, f"Name{chance.randrange(8)}")
        else:
            found = await users.find_by_username(f"name{chance.randrange(8)}")
            if found is not None:
                await users.remove(found.id, an_event())


def someone(chance: random.Random) -> User:
    return a_user(f"Name{chance.randrange(8)}", email_key=f"{chance.randrange(8)}@example.org")


async def nothing_is_under_way(database: MongoDatabase, address: str) -> None:
    """Return when the database has done what it was asked for, by calls that were cancelled too.

    Who cancels a call closes its connection, and the server goes on with what it has read. It has
    finished when it has let go of every connection, and what it did is seen by majority reads from
    the next confirmed write on. The driver may leave a socket open (see `lost_sockets`), but nobody
    sends anything on it any more: then the server has finished when it has been idle for a second.
    """
    await database.stop()
    gc.collect()  # the driver leaves it some sockets, see `lost_sockets`
    name = urlsplit(address).path.removeprefix("/")
    seen = observed(address)
    idle_since = time.monotonic()

    def is_let_go() -> bool:
        nonlocal idle_since
        connections = connections_of(seen.client, name)
        if any(each["active"] for each in connections):
            idle_since = time.monotonic()
        return not connections or time.monotonic() - idle_since > 1

    await asyncio.to_thread(wait_until, is_let_go, "a connection is still there", 20)
    seen.observed.insert_one({})
    await database.start()


async def documents(database: MongoDatabase, collection: str) -> list[dict[str, Any]]:
    return await database.collection(collection).find().sort("_id", 1).to_list()
