"""The feed: a follower hears of every change that a check must see, and of no other change."""

import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from gatelodge.accounts.store import SET_PASSWORD, Role, User
from gatelodge.ids import new_id, role_id
from gatelodge.sessions.store import Session
from gatelodge.stores import Stores, open_stores
from gatelodge.stores.mongo import MongoDatabase
from gatelodge.stores.mongo.feed import MAX_AT_ONCE
from gatelodge.stores.mongo.records import to_document
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.feed import MAX_CHANGES, _prune
from gatelodge.tokens.keys import KEY_PREFIX
from tests.contracts.builders import A_MINUTE, NOON, a_session, a_signing_key, a_user, an_event
from tests.contracts.failpoints import failing
from tests.support.mongod import Standalone, require_mongod

KEY = new_id(KEY_PREFIX, NOON)
ROLE = Role("usr_editor", "A role may have a name like this.", ("pages:write",))
PATIENCE_SECONDS = 10.0

Change = Callable[[Stores, User, Session], Awaitable[object]]


@dataclass
class Follower:
    """A process that follows the changes.

    Attributes:
        stores: its own stores, over the same database as other processes.
        heard: everything that it was told to forget, in order.
    """

    stores: Stores
    heard: list[str | None] = field(default_factory=list)

    async def begin(self) -> None:
        """Follow the feed, and wait until memory may be trusted."""
        await self.stores.feed.follow(self.heard.append)
        await until(self.stores.feed.catch_up)

    async def hears(self, changed: str) -> bool:
        """Wait until the follower hears of a change. Return False if that takes too long."""
        return await until(lambda: self.stores.feed.catch_up() and changed in self.heard)


async def until(holds: Callable[[], object]) -> bool:
    """Wait until the condition holds. Return False if that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


@pytest.fixture
async def follower(stores: Stores, address: str) -> AsyncIterator[Follower]:
    """Yield a second process over the database of `stores`, which follows the feed."""
    async for each in another_follower(address):
        yield each


@pytest.fixture
async def second_follower(stores: Stores, address: str) -> AsyncIterator[Follower]:
    """Yield a third process, which follows the feed too."""
    async for each in another_follower(address):
        yield each


async def another_follower(address: str) -> AsyncIterator[Follower]:
    """Yield a separate process that follows the feed."""
    other = open_stores(address)
    await other.database.start()
    follower = Follower(other)
    await follower.begin()
    try:
        yield follower
    finally:
        await other.feed.leave()
        await other.database.stop()


@dataclass(frozen=True)
class People:
    """The users who exist before the followers begin.

    Attributes:
        user: the user who is changed.
        session: a session of that user.
        marker: another user, who is changed last. A follower that hears of it has heard of all
            changes before.
    """

    user: User
    session: Session
    marker: User


@pytest.fixture
async def people(stores: Stores) -> People:
    """Return these users, stored with a session and a signing key."""
    user, marker = a_user(roles=("user", "moderator")), a_user()
    session = a_session(user_id=user.id)
    await asyncio.gather(
        stores.users.add(user, an_event()),
        stores.users.add(marker, an_event()),
        stores.sessions.add(session),
    )
    await stores.signing_keys.add(a_signing_key(1, kid=KEY), an_event())
    await stores.roles.ensure([ROLE])
    return People(user, session, marker)


async def enable(stores: Stores, user: User, _session: Session) -> None:
    await stores.users.disable(user.id, NOON, an_event())
    await stores.users.enable(user.id, an_event())


OF_THE_USER: dict[str, Change] = {
    "grant": lambda stores, user, _: stores.users.grant(user.id, "admin", an_event()),
    "withdraw": lambda stores, user, _: stores.users.withdraw(user.id, "moderator", an_event()),
    "disable": lambda stores, user, _: stores.users.disable(user.id, NOON, an_event()),
    "enable": enable,
    "change_password": lambda stores, user, session: stores.users.change_password(
        user, "$argon2id$new", an_event(), continued=session.id
    ),
    "reset_password": lambda stores, user, _: stores.users.reset_password(
        user, "$argon2id$new", an_event(), at=NOON
    ),
    "set_email": lambda stores, user, _: stores.users.set_email(
        user, an_event(), email="new@x.org", email_key="new@x.org", verified_at=NOON
    ),
    "require": lambda stores, user, _: stores.users.require(user.id, SET_PASSWORD, an_event()),
    "raise_epoch": lambda stores, user, _: stores.users.raise_epoch(user.id, an_event()),
    "rename": lambda stores, user, _: stores.users.rename(
        user, an_event(), name=user.name, username="Renamed", username_key="renamed"
    ),
    "name": lambda stores, user, _: stores.users.rename(
        user, an_event(), name="Ann", username=user.username, username_key=user.username_key
    ),
    "remove": lambda stores, user, _: stores.users.remove(user.id, an_event()),
}

OF_THE_SESSION: dict[str, Change] = {
    "revoke": lambda stores, _, session: stores.sessions.revoke(
        session.id, NOON, "signed_out", an_event()
    ),
}

OF_A_KEY: dict[str, Change] = {
    "add": lambda stores, *_: stores.signing_keys.add(
        a_signing_key(2, kid=new_id(KEY_PREFIX, NOON)), an_event()
    ),
    "retire": lambda stores, *_: stores.signing_keys.retire(
        KEY, an_event(), retires_at=NOON, gone_at=NOON
    ),
}

OF_A_ROLE: dict[str, Change] = {
    "permit": lambda stores, *_: stores.roles.permit(ROLE.name, "a:b", an_event(), limit=256),
    "forbid": lambda stores, *_: stores.roles.forbid(ROLE.name, "pages:write", an_event()),
    "remove": lambda stores, *_: stores.roles.remove(ROLE.name, an_event()),
}

BENIGN: dict[str, Change] = {
    "sign in": lambda stores, user, _: stores.sessions.open(
        a_session(user_id=user.id, epoch=user.epoch), an_event()
    ),
    "replace_password_hash": lambda stores, user, _: stores.users.replace_password_hash(
        user.id, user.password_hash or "", "$argon2id$stronger"
    ),
    "rotate": lambda stores, _, session: stores.sessions.rotate(session.id, 0, lambda: NOON),
    "touch": lambda stores, _, session: stores.sessions.touch(session.id, NOON + A_MINUTE),
    "add a session": lambda stores, user, _: stores.sessions.add(a_session(user_id=user.id)),
    "add a user": lambda stores, *_: stores.users.add(a_user(roles=()), an_event()),
    "describe a role": lambda stores, *_: stores.roles.describe(
        ROLE.name, "In other words.", an_event()
    ),
    "permit what is permitted": lambda stores, *_: stores.roles.permit(
        ROLE.name, "pages:write", an_event(), limit=256
    ),
    "forbid what is not permitted": lambda stores, *_: stores.roles.forbid(
        ROLE.name, "a:b", an_event()
    ),
    "grant what is held": lambda stores, user, _: stores.users.grant(user.id, "user", an_event()),
    "withdraw what is not held": lambda stores, user, _: stores.users.withdraw(
        user.id, "admin", an_event()
    ),
}


@pytest.mark.parametrize("name", OF_THE_USER)
async def test_a_change_of_a_user_is_heard(
    stores: Stores, people: People, follower: Follower, name: str
) -> None:
    await OF_THE_USER[name](stores, people.user, people.session)

    assert await follower.hears(people.user.id)


@pytest.mark.parametrize("name", OF_THE_SESSION)
async def test_a_change_of_a_session_is_heard(
    stores: Stores, people: People, follower: Follower, name: str
) -> None:
    await OF_THE_SESSION[name](stores, people.user, people.session)

    assert await follower.hears(people.session.id)


@pytest.mark.parametrize("name", OF_A_ROLE)
async def test_a_change_of_a_role_is_heard(
    stores: Stores, people: People, follower: Follower, name: str
) -> None:
    await OF_A_ROLE[name](stores, people.user, people.session)

    assert await follower.hears(role_id(ROLE.name))
    assert set(follower.heard) <= {role_id(ROLE.name), None}


async def test_a_new_role_is_heard(stores: Stores, people: People, follower: Follower) -> None:
    """Somebody may hold its name already, of a role that was deleted."""
    await stores.roles.add(Role("new", ""), an_event())
    await stores.roles.ensure([Role("newer", "")])

    assert await follower.hears(role_id("new"))
    assert await follower.hears(role_id("newer"))


@pytest.mark.parametrize("name", OF_A_KEY)
async def test_a_change_of_the_signing_keys_is_heard(
    stores: Stores, people: People, follower: Follower, name: str
) -> None:
    await OF_A_KEY[name](stores, people.user, people.session)

    assert await until(
        lambda: (
            follower.stores.feed.catch_up()
            and any(each and each.startswith(f"{KEY_PREFIX}_") for each in follower.heard)
        )
    )


@pytest.mark.parametrize("name", BENIGN)
async def test_nothing_is_told_of_what_no_check_depends_on(
    stores: Stores, people: People, follower: Follower, name: str
) -> None:
    """Sign-ins and rotations, for example: there are thousands of them."""
    follower.heard.clear()
    await BENIGN[name](stores, people.user, people.session)
    await stores.users.raise_epoch(people.marker.id, an_event())

    assert await follower.hears(people.marker.id)
    assert set(follower.heard) == {people.marker.id}


async def test_every_follower_hears_of_it(
    stores: Stores, people: People, follower: Follower, second_follower: Follower
) -> None:
    """One of the followers may be the process that makes the change."""
    await follower.stores.users.disable(people.user.id, NOON, an_event())
    await second_follower.stores.sessions.revoke(people.session.id, NOON, "signed_out", an_event())

    for each in (follower, second_follower):
        assert await each.hears(people.user.id)
        assert await each.hears(people.session.id)


async def test_who_makes_a_change_has_heard_of_it_when_it_is_acknowledged(
    people: People, follower: Follower
) -> None:
    """So after an answer, the process that gave it never uses memory from before the change."""
    users, feed = follower.stores.users, follower.stores.feed
    for change in (
        users.grant(people.user.id, "admin", an_event()),
        users.withdraw(people.user.id, "admin", an_event()),
        users.raise_epoch(people.user.id, an_event()),
        users.change_password(
            replace(people.user, epoch=1), "$argon2id$new", an_event(), continued=None
        ),
        users.disable(people.user.id, NOON, an_event()),
        users.enable(people.user.id, an_event()),
        users.remove(people.user.id, an_event()),
    ):
        follower.heard.clear()
        await change
        assert feed.catch_up()
        assert people.user.id in follower.heard


async def test_who_changes_a_role_has_heard_of_it_when_it_is_acknowledged(
    people: People, follower: Follower
) -> None:
    roles, feed = follower.stores.roles, follower.stores.feed
    for change in (
        roles.permit(ROLE.name, "a:b", an_event(), limit=256),
        roles.forbid(ROLE.name, "a:b", an_event()),
        roles.remove(ROLE.name, an_event()),
        roles.add(ROLE, an_event()),
    ):
        follower.heard.clear()
        await change
        assert feed.catch_up()
        assert role_id(ROLE.name) in follower.heard


async def test_who_follows_no_more_is_not_trusted(stores: Stores) -> None:
    follower = Follower(stores)
    assert not stores.feed.catch_up()
    await follower.begin()

    await stores.feed.leave()

    assert not stores.feed.catch_up()
    assert not stores.feed.state().trusted


async def test_a_follower_may_come_back(stores: Stores, people: People) -> None:
    follower = Follower(stores)
    await follower.begin()
    await stores.feed.leave()

    await follower.begin()
    await stores.users.raise_epoch(people.user.id, an_event())

    assert await follower.hears(people.user.id)
    await stores.feed.leave()


async def test_leaving_ends_at_whatever_moment_it_comes(stores: Stores, people: People) -> None:
    """The driver may lose a cancellation that comes together with an answer.

    The server must be able to stop even then.
    """
    for _ in range(30):
        follower = Follower(stores)
        await follower.begin()
        await stores.users.raise_epoch(people.user.id, an_event())
        while people.user.id not in follower.heard:
            stores.feed.catch_up()
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await stores.feed.leave()


async def test_leaving_what_was_never_followed_does_nothing(stores: Stores) -> None:
    await stores.feed.leave()

    assert not stores.feed.catch_up()


# SQLite: each check asks the file


sqlite_only = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


@sqlite_only
async def test_what_another_process_wrote_is_heard_by_the_very_next_question(
    stores: Stores, people: People, follower: Follower
) -> None:
    """A change that was acknowledged before the question is heard at once, without exception."""
    for number in range(200):
        await stores.users.raise_epoch(people.user.id, an_event())
        follower.heard.clear()
        assert follower.stores.feed.catch_up()
        assert follower.heard == [people.user.id], f"change {number}"


@sqlite_only
async def test_who_asks_all_the_time_has_heard_of_a_write_when_it_is_answered(
    stores: Stores, people: People, follower: Follower
) -> None:
    """Questions that were asked during the write do not hide it."""
    for _ in range(50):
        follower.heard.clear()
        writing = asyncio.create_task(stores.users.raise_epoch(people.user.id, an_event()))
        while not writing.done():
            follower.stores.feed.catch_up()
            await asyncio.sleep(0)
        assert follower.stores.feed.catch_up()
        assert follower.heard == [people.user.id]


@sqlite_only
async def test_following_and_leaving_keep_the_locks_of_sqlite(stores: Stores, address: str) -> None:
    """Closing any descriptor of a file releases all POSIX locks that the process holds on it.

    Then the next process that opens the file would believe it is the only one, and truncate it
    (howtocorrupt.html of SQLite, section 2.2).
    """
    held = locks_on(f"{address}-shm")
    assert held

    await stores.feed.follow([].append)
    assert stores.feed.catch_up()
    assert locks_on(f"{address}-shm") == held

    await stores.feed.leave()
    assert locks_on(f"{address}-shm") == held


def locks_on(file: str) -> list[str]:
    """Return the locks on a file, as the kernel lists them."""
    listed = Path("/proc/locks")
    if not listed.exists():
        pytest.skip("the kernel lists no locks here")
    inode = f":{Path(file).stat().st_ino} "
    return sorted(
        line.partition(":")[2] for line in listed.read_text().splitlines() if inode in line
    )


@sqlite_only
async def test_other_processes_may_come_and_go(
    stores: Stores, people: People, follower: Follower, address: str
) -> None:
    """Commands do that while a server runs. The server hears of each change and keeps running."""
    script = (
        "import sqlite3, sys\n"
        "for _ in range(50):\n"
        "    with sqlite3.connect(sys.argv[1], timeout=10) as connection:\n"
        "        connection.execute('UPDATE users SET epoch = epoch + 1')\n"
        "    connection.close()\n"
    )
    command = await asyncio.create_subprocess_exec(sys.executable, "-c", script, address)
    over = asyncio.create_task(command.wait())
    while not over.done():
        assert follower.stores.feed.catch_up()
        await stores.sessions.touch(people.session.id, NOON)
    assert over.result() == 0
    assert follower.stores.feed.catch_up()
    assert follower.heard.count(people.user.id) == 50


@sqlite_only
async def test_a_follower_behind_the_oldest_kept_change_forgets_everything(
    stores: Stores, follower: Follower, second_follower: Follower
) -> None:
    """Pruning keeps the newest changes.

    They are enough for a follower that is a little behind. One that is further behind forgets all.
    """
    database = stores.database
    assert isinstance(database, SqlDatabase)
    await database.write(lambda connection: _write_down(connection, "usr_early", 50))
    assert second_follower.stores.feed.catch_up()
    second_follower.heard.clear()
    await database.write(lambda connection: _write_down(connection, "usr_late", MAX_CHANGES))
    assert await database.write(_prune) == 50

    assert follower.stores.feed.catch_up()
    assert second_follower.stores.feed.catch_up()

    assert follower.heard[0] is None
    assert second_follower.heard == ["usr_late"] * MAX_CHANGES


@sqlite_only
async def test_who_is_far_behind_forgets_everything_at_once(
    stores: Stores, people: People, follower: Follower
) -> None:
    """A role that is taken from a million users is a million changes; what comes next is told."""
    database = stores.database
    assert isinstance(database, SqlDatabase)
    await database.write(lambda connection: _write_down(connection, "usr_many", MAX_CHANGES + 1))

    assert follower.stores.feed.catch_up()
    assert follower.heard == [None]

    await stores.users.raise_epoch(people.user.id, an_event())
    assert follower.stores.feed.catch_up()
    assert follower.heard == [None, people.user.id]


def _write_down(connection: Connection, changed: str, times: int) -> None:
    """Add rows to the table `changes`, as the triggers do."""
    for _ in range(times):
        connection.exec_driver_sql("INSERT INTO changes (changed) VALUES (?)", (changed,))


@sqlite_only
async def test_a_change_that_is_undone_is_not_told(
    stores: Stores, people: People, follower: Follower
) -> None:
    """The triggers write in the same transaction as the change."""
    database = stores.database
    assert isinstance(database, SqlDatabase)

    def change_and_fail(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE users SET epoch = epoch + 1")
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(change_and_fail)

    assert follower.stores.feed.catch_up()
    assert follower.heard == []


@sqlite_only
async def test_a_file_that_cannot_be_read_is_not_trusted(
    stores: Stores, people: People, follower: Follower
) -> None:
    """When it can be read again, the changes made meanwhile are heard."""
    database = stores.database
    assert isinstance(database, SqlDatabase)
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE changes RENAME TO elsewhere"))
    assert not follower.stores.feed.catch_up()
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE elsewhere RENAME TO changes"))
    await stores.users.raise_epoch(people.user.id, an_event())

    assert follower.stores.feed.catch_up()
    assert people.user.id in follower.heard


# MongoDB: the database sends its changes


mongodb_only = pytest.mark.parametrize("address", ["mongodb"], indirect=True)


@mongodb_only
async def test_the_stream_is_trusted_soon_and_says_how_fresh_it_is(follower: Follower) -> None:
    state = follower.stores.feed.state()

    assert state.kind == "stream"
    assert state.trusted
    assert state.lag is not None
    assert 0 <= state.lag < 1


@mongodb_only
async def test_more_changes_than_one_answer_holds_are_all_heard(
    stores: Stores, follower: Follower
) -> None:
    """Here one command changes thousands of users."""
    database = stores.database
    assert isinstance(database, MongoDatabase)
    crowd = [a_user() for _ in range(3_000)]
    await database.collection("users").insert_many([to_document(user) for user in crowd])
    marker = crowd[-1].id
    await database.collection("users").update_many({}, {"$inc": {"epoch": 1}})
    await stores.users.raise_epoch(marker, an_event())

    assert await until(lambda: follower.heard.count(marker) == 2)
    assert {user.id for user in crowd} <= set(follower.heard)


async def test_a_standalone_mongod_is_never_trusted(tmp_path: Path) -> None:
    """It has no change stream, so every check reads the database."""
    require_mongod()
    with Standalone(tmp_path / "mongod") as standalone:
        stores = open_stores(f"{standalone.url}gatelodge")
        await asyncio.to_thread(stores.database.migrate)
        await stores.database.start()
        await stores.feed.follow([].append)
        for _ in range(20):
            assert not stores.feed.catch_up()
            await stores.database.ping()
        assert stores.feed.state().kind == "none"
        await stores.feed.leave()
        await stores.database.stop()


@mongodb_only
async def test_who_makes_a_change_does_not_wait_for_the_stream_to_tell(
    people: People, follower: Follower, address: str
) -> None:
    """The stream is held up; what this process changes it says itself."""
    stores = follower.stores
    with failing(address, "getMore", blockConnection=True, blockTimeMS=2000):
        await asyncio.sleep(0.3)  # the question of before is answered
        for changed, change in (
            (role_id(ROLE.name), stores.roles.permit(ROLE.name, "a:b", an_event(), limit=256)),
            (role_id(ROLE.name), stores.roles.forbid(ROLE.name, "a:b", an_event())),
            (role_id(ROLE.name), stores.roles.remove(ROLE.name, an_event())),
            (role_id(ROLE.name), stores.roles.add(ROLE, an_event())),
            (people.user.id, stores.users.withdraw(people.user.id, "moderator", an_event())),
        ):
            follower.heard.clear()
            await change
            assert changed in follower.heard


@mongodb_only
async def test_an_answer_that_is_late_is_as_old_as_its_question(
    follower: Follower, address: str
) -> None:
    """Something may have changed just after the server asked, and the answer would not tell it."""
    feed = follower.stores.feed
    with failing(address, "getMore", blockConnection=True, blockTimeMS=700) as fault:
        await fault.met(2)  # the first one that was held up is answered
        lags = []
        for _ in range(150):
            lags.append(feed.state().lag or 0.0)
            await asyncio.sleep(0.01)

    assert min(lags) >= 0.65


@mongodb_only
async def test_behind_an_answer_that_is_full_there_may_be_more(
    stores: Stores, address: str
) -> None:
    """After a full answer, the feed is not up to date: the next changes may be just as old."""
    database = stores.database
    assert isinstance(database, MongoDatabase)
    users = database.collection("users")
    many = [to_document(a_user()) for _ in range(MAX_AT_ONCE + 200)]
    await users.insert_many(many)
    heard_at: list[float] = []

    def note(_changed: str | None) -> None:
        heard_at.append(time.monotonic() - (stores.feed.state().lag or 0.0))

    await stores.feed.follow(note)
    try:
        assert await until(stores.feed.catch_up)
        heard_at.clear()
        with failing(address, "getMore", blockConnection=True, blockTimeMS=1000) as fault:
            await fault.met()
            await users.update_many({}, {"$inc": {"epoch": 1}})
            assert await until(lambda: len(heard_at) == len(many))
    finally:
        await stores.feed.leave()

    assert heard_at[MAX_AT_ONCE] == pytest.approx(heard_at[0], abs=0.02)


@sqlite_only
async def test_an_answer_counts_for_one_turn_of_the_event_loop(
    address: str, people: People, follower: Follower
) -> None:
    """A request of this turn was sent before the question was put; later ones ask anew."""
    feed = follower.stores.feed
    outcomes: list[bool] = []
    assert feed.catch_up()
    follower.heard.clear()
    await asyncio.sleep(0)
    assert feed.catch_up()
    with contextlib.closing(sqlite3.connect(address, isolation_level=None)) as other:
        other.execute("UPDATE users SET epoch = epoch + 1 WHERE id = ?", [people.user.id])
    asyncio.get_running_loop().call_soon(lambda: outcomes.append(feed.catch_up()))
    assert feed.catch_up()
    assert follower.heard == []

    await asyncio.sleep(0)

    assert outcomes == [True]
    assert follower.heard == [people.user.id]
