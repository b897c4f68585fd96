"""The MongoDB connection, and the shape of the database."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from gatelodge.accounts.search import UserQuery
from gatelodge.errors import AlreadyExists, ConfigurationError, StoreUnavailable
from gatelodge.stores import Stores, open_stores
from gatelodge.stores.mongo import MongoDatabase, connection
from tests.contracts.builders import NOON, a_session, a_user, an_event
from tests.support.mongod import (
    Mongod,
    Standalone,
    observed,
    require_mongod,
    wait_until,
    with_database,
)
from tests.support.server import free_port

pytestmark = [
    pytest.mark.usefixtures("lost_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def address(mongodb_address: str) -> str:
    """Return the address of a MongoDB database: these tests need no other database."""
    return mongodb_address


def test_a_migration_says_what_it_made_and_makes_it_once(address: str) -> None:
    database = MongoDatabase(address)

    steps = database.migrate()

    assert "created collection names" in steps
    assert "created index names.unsettled_at" in steps
    assert database.migrate() == []


def test_many_servers_may_migrate_at_once(address: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(MongoDatabase(address).migrate) for _ in range(8)]
        for future in futures:
            future.result()

    assert MongoDatabase(address).migrate() == []
    database = observed(address)
    for name in ("users", "names", "sessions"):
        indexes = database[name].index_information().values()
        assert not any("expireAfterSeconds" in index for index in indexes)
        assert not any("unique" in index for index in indexes)


async def test_the_address_cannot_loosen_what_keeps_data_safe() -> None:
    database = MongoDatabase("mongodb://localhost/x?w=1&journal=false&readPreference=secondary")
    await database.start()
    options = database.client.options
    await database.stop()

    assert options.write_concern.document["w"] == "majority"
    assert options.write_concern.document["j"] is True
    assert options.read_concern.level == "majority"
    assert options.read_preference.mode == 0  # primary
    assert options.retry_writes


async def test_the_address_may_choose_its_patience_and_its_database() -> None:
    impatient = MongoDatabase("mongodb://localhost/else?serverSelectionTimeoutMS=123")
    usual = MongoDatabase("mongodb://localhost/?replicaSet=rs0")
    for database in (impatient, usual):
        await database.start()

    assert impatient.client.options.server_selection_timeout == 0.123
    assert impatient.collection("users").full_name == "else.users"
    assert usual.client.options.server_selection_timeout == 3.75
    assert usual.client.options.pool_options.appname == "gatelodge"
    assert usual.collection("users").full_name == "gatelodge.users"

    for database in (impatient, usual):
        await database.stop()


def test_a_database_that_was_not_started_says_so() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        MongoDatabase("mongodb://localhost/").collection("users")


async def test_a_database_can_be_started_again(address: str) -> None:
    stores = open_stores(address)
    for _ in range(2):
        await stores.database.start()
        await stores.database.ping()
        await stores.database.stop()
    await stores.database.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        "mongodb://",
        "mongodb://ann:s3cr3t@[::1",
        "mongodb://ann:s3/cr3t@127.0.0.1/x",
        "mongodb://ann:s3@cr3t@127.0.0.1/x",
        "mongodb://ann:s3%zzcr3t@127.0.0.1:port/x",
        "mongodb://ann:s3?cr3t=1@127.0.0.1/x",
    ],
)
def test_an_address_that_is_none_is_explained_without_its_password(wrong: str) -> None:
    for ask in (MongoDatabase(wrong).migrate, MongoDatabase(wrong).exists):
        with pytest.raises(ConfigurationError, match="MongoDB cannot be used") as refusal:
            ask()
        assert "cr3t" not in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert refusal.value.__cause__ is None


def test_an_address_where_nobody_listens_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_UNREACHABLE_SECONDS", 0.3)
    address = f"mongodb://ann:s3cr3t@127.0.0.1:{free_port()}/x?serverSelectionTimeoutMS=100"
    for ask in (MongoDatabase(address).migrate, MongoDatabase(address).exists):
        with pytest.raises(StoreUnavailable, match="MongoDB cannot be reached") as refusal:
            ask()
        assert "s3cr3t" not in refusal.value.message
        assert len(refusal.value.message) <= 300


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("serverSelectionTimeoutMS=abc", "serverSelectionTimeoutMS"),
        ("replicaSet=rs0&repliaSet=rs1", "repliaSet"),
        ("tls=maybe", "tls"),
        ("useNewUrlParser=true", "useNewUrlParser"),
        ("authSource=", "authSource"),
    ],
)
def test_a_wrong_option_of_the_address_is_named_without_its_value(
    recwarn: pytest.WarningsRecorder, options: str, named: str
) -> None:
    """The driver would warn, and go on without it."""
    database = MongoDatabase(f"mongodb://ann:s3cr3t@127.0.0.1:1/x?{options}")
    for ask in (database.migrate, database.exists):
        with pytest.raises(ConfigurationError) as refusal:
            ask()
        assert str(refusal.value) == (
            f"GATELODGE_DATABASE: MongoDB knows no option {named}, or not with this value. "
            "Correct it, or remove it."
        )
    assert not recwarn.list


def test_a_name_that_no_name_server_knows_is_unreachable() -> None:
    for ask in (
        MongoDatabase("mongodb+srv://gatelodge.invalid/x").migrate,
        MongoDatabase("mongodb+srv://ann:s3cr3t@gatelodge.invalid/x").exists,
    ):
        with pytest.raises(StoreUnavailable, match="no name server knows") as refusal:
            ask()
        assert "s3cr3t" not in refusal.value.message


async def test_the_database_of_another_program_is_left_alone(mongodb_address: str) -> None:
    """It has users and roles of its own, such as the tutorial's server makes them."""
    database = observed(mongodb_address)
    database.roles.insert_one({"name": "moderator", "__v": 0})
    for ask in (MongoDatabase(mongodb_address).migrate, MongoDatabase(mongodb_address).exists):
        with pytest.raises(ConfigurationError, match="belongs to another program"):
            await asyncio.to_thread(ask)
    assert database.list_collection_names() == ["roles"]
    assert database.roles.count_documents({}) == 1


async def test_to_look_for_a_database_makes_none(mongodb_address: str) -> None:
    database = MongoDatabase(mongodb_address)
    assert not await asyncio.to_thread(database.exists)
    assert observed(mongodb_address).list_collection_names() == []
    await asyncio.to_thread(database.migrate)
    assert await asyncio.to_thread(database.exists)


def test_a_migration_waits_for_the_election(tmp_path: Path) -> None:
    require_mongod()
    node = Mongod(tmp_path, "--replSet", "late", "--oplogSize", "64")
    node.start()
    try:
        address = f"mongodb://{node.address}/x?replicaSet=late"
        with ThreadPoolExecutor(1) as threads, node.client() as client:
            met = connections_to(client)
            migration = threads.submit(MongoDatabase(address).migrate)
            wait_until(lambda: connections_to(client) > met, "the migration asked nobody", 20)
            with pytest.raises(TimeoutError):  # a node that answers is waited for
                migration.result(10)
            members = [{"_id": 0, "host": node.address}]
            client.admin.command("replSetInitiate", {"_id": "late", "members": members})
            assert "created collection users" in migration.result(40)
    finally:
        node.stop()


def connections_to(client: MongoClient[dict[str, Any]]) -> int:
    """Return how many connections a server has ever had."""
    return int(client.admin.command("serverStatus")["connections"]["totalCreated"])


async def test_a_standalone_server_works_as_well(tmp_path: Path) -> None:
    require_mongod()
    with Standalone(tmp_path) as standalone:
        address = with_database(standalone.url, "alone") + "?serverSelectionTimeoutMS=500"
        stores = open_stores(address)
        await asyncio.to_thread(stores.database.migrate)
        await stores.database.start()
        try:
            await _sign_up_and_leave(stores)
            standalone.node.kill()
            with pytest.raises(StoreUnavailable):
                await stores.database.ping()
        finally:
            await stores.database.stop()


async def _sign_up_and_leave(stores: Stores) -> None:
    ada, session = a_user("Ada"), a_session()
    await stores.users.add(ada, an_event())
    with pytest.raises(AlreadyExists):
        await stores.users.add(a_user("Ada"), an_event())
    await stores.sessions.add(session)
    outcomes = await asyncio.gather(
        *(stores.sessions.rotate(session.id, 0, lambda: NOON) for _ in range(20))
    )
    assert outcomes.count(True) == 1
    assert await stores.users.find_by_username("ada") == ada
    assert await stores.users.change_password(ada, "new", an_event(), continued=None)
    assert await stores.users.remove(ada.id, an_event())


async def test_chores_are_done_while_the_database_runs(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chore that fails is done again later."""
    monkeypatch.setattr(connection, "_CHORES_EVERY", timedelta(milliseconds=10))
    database = MongoDatabase(address)
    done = 0

    async def chore() -> None:
        nonlocal done
        done += 1
        if done == 1:
            raise StoreUnavailable

    database.repeat(chore)
    await database.start()
    await asyncio.to_thread(wait_until, lambda: done >= 3, "no chore was done")
    await database.stop()
    stopped_at = done
    await asyncio.sleep(0.05)

    assert done == stopped_at


async def test_a_name_that_nobody_has_costs_as_many_reads(stores: Stores, address: str) -> None:
    """Else the time of a sign-in tells which names exist."""
    await stores.users.add(a_user("ann"), an_event())
    database = observed(address)
    reads = {}
    for name in ("ann", "nobody", "ann@example.org", "nobody@example.org"):
        database.command("profile", 2)
        find = stores.users.find_by_email if "@" in name else stores.users.find_by_username
        await find(name)
        database.command("profile", 0)
        found = database["system.profile"].find({"command.find": {"$in": ["names", "users"]}})
        reads[name] = [each["command"]["find"] for each in found]
        database["system.profile"].drop()

    assert len(reads) == 4
    assert all(each == ["names", "users"] for each in reads.values())


async def test_names_that_the_version_before_has_written_get_their_keys(address: str) -> None:
    """At the next migration, or by a chore of a server; names without a key are not found."""
    stores = open_stores(address)
    await asyncio.to_thread(stores.database.migrate)
    users = observed(address).users
    await stores.database.start()
    everybody = [a_user(name=name) for name in ("Ann", "ANNA", "")]
    for user in everybody:
        await stores.users.add(user, an_event())
    query = UserQuery(text="ann")
    for complete in (
        lambda: asyncio.to_thread(stores.database.migrate),
        stores.users.complete_names,  # type: ignore[attr-defined]
    ):
        users.update_many({}, {"$unset": {"name_key": ""}})
        assert (await stores.users.search(query, after=None, limit=9)).users == []

        await complete()

        found = (await stores.users.search(query, after=None, limit=9)).users
        assert found == everybody[:2]
    assert users.count_documents({"name_key": {"$exists": True}}) == 2
    assert MongoDatabase(address).migrate() == []
    await stores.database.stop()
