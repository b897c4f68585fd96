"""What every database says of itself, and what the doctor makes of it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatelodge.audit import Event
from gatelodge.doctor.database import check_feed
from gatelodge.errors import ConfigurationError
from gatelodge.ids import new_id
from gatelodge.stores import Database, Stores, open_stores
from gatelodge.stores.sql import gradual
from gatelodge.stores.sql.database import HEAD, create_sqlite_engine, upgrade
from tests.contracts.builders import a_user, an_event
from tests.support.databases import migrated, of_revision

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_clock_that_is_right_is_not_off(stores: Stores) -> None:
    state = await stores.database.examine(now)

    assert abs(state.clock_behind) < timedelta(seconds=2)
    assert state.kind in {"file", "replica_set"}
    assert (state.members, state.arbiters) == (1, 0)


async def test_a_clock_that_was_set_back_is_behind(stores: Stores) -> None:
    """An SQLite file has no clock: its newest event is from before the clock was set."""
    at = now()
    await stores.events.add(Event(new_id("evt", at), at, "user.created"))

    state = await stores.database.examine(lambda: now() - HOUR)

    assert abs(state.clock_behind - HOUR) < timedelta(seconds=5)


async def test_a_clock_that_is_ahead_is_told_where_there_is_another(stores: Stores) -> None:
    state = await stores.database.examine(lambda: now() + HOUR)

    expected = timedelta(0) if state.kind == "file" else -HOUR
    assert abs(state.clock_behind - expected) < timedelta(seconds=5)


async def test_a_feed_that_answers_is_nothing_to_tell(stores: Stores) -> None:
    state = await stores.database.examine(now)

    assert await check_feed(stores.feed, state) == []
    assert not stores.feed.catch_up()  # it follows no more


# Migrations


async def test_a_migrated_database_has_nothing_to_come(stores: Stores) -> None:
    await stores.users.add(a_user(name="Ann"), an_event())

    assert await stores.database.schema() == "current"


@asynccontextmanager
async def started(address: str | Path) -> AsyncIterator[Database]:
    """Yield a database that is not migrated before."""
    database = open_stores(str(address)).database
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


@pytest.mark.parametrize("revision", ["0001", f"{int(HEAD) - 1:04}"])
async def test_a_file_of_a_version_before_is_older(tmp_path: Path, revision: str) -> None:
    file = of_revision(tmp_path / "g.db", revision)
    async with started(file) as database:
        assert await database.schema() == "older"
        assert await database.schema() == "older", "to ask changes nothing"
        await asyncio.to_thread(database.migrate)
        assert await database.schema() == "current"


async def test_a_file_of_a_version_to_come_is_refused(tmp_path: Path) -> None:
    file = migrated(tmp_path / "g.db")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    async with started(file) as database:
        with pytest.raises(ConfigurationError, match="newer version"):
            await database.schema()


async def test_a_large_file_is_not_finished_while_an_index_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process died after the migration, before it made the indexes."""
    file = of_revision(tmp_path / "g.db", "0012")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO users (id, username, username_key, email, email_key, epoch, created_at) "
            "VALUES ('usr_ann', 'ann', 'ann', 'ann@x.org', 'ann@x.org', 0, 0)"
        )
    monkeypatch.setattr(gradual, "SMALL", 0)
    with create_sqlite_engine(file).connect() as connection:
        upgrade(connection)

    async with started(file) as database:
        assert await database.schema() == "unfinished"
        await asyncio.to_thread(database.migrate)
        assert await database.schema() == "current"


@pytest.mark.parametrize("missing", ["collection", "index"])
async def test_a_mongodb_without_what_a_new_version_makes_is_not_finished(
    mongodb_address: str, missing: str
) -> None:
    async with started(mongodb_address) as database:
        await asyncio.to_thread(database.migrate)
        assert await database.schema() == "current"
        letters = database.collection("letters")  # type: ignore[attr-defined]
        await (letters.drop() if missing == "collection" else letters.drop_index("ended_at"))

        assert await database.schema() == "unfinished"
        await asyncio.to_thread(database.migrate)
        assert await database.schema() == "current"


async def test_a_name_that_cannot_be_searched_yet_is_to_come(stores: Stores) -> None:
    """A server of the version before has changed it."""
    user = a_user(name="Ann")
    await stores.users.add(user, an_event())
    await without_key(stores.database, user.id)

    assert await stores.database.schema() == "unfinished"
    await asyncio.to_thread(stores.database.migrate)
    assert await stores.database.schema() == "current"


async def without_key(database: Database, user_id: str) -> None:
    """Take the key of the user's name away."""
    if hasattr(database, "collection"):
        await database.collection("users").update_one({"_id": user_id}, {"$unset": {"name_key": 1}})
        return
    with closing(sqlite3.connect(database.path)) as connection, connection:  # type: ignore[attr-defined]
        connection.execute("UPDATE users SET name_key = NULL WHERE id = ?", [user_id])
