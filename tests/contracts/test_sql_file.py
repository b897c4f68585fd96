"""What only the SQLite store promises."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from gatelodge.errors import AlreadyExists, ConfigurationError, StoreUnavailable
from gatelodge.stores import open_stores
from gatelodge.stores.sql.database import (
    HEAD,
    SqlDatabase,
    create_sqlite_engine,
)
from gatelodge.stores.sql.files import make_private_file
from gatelodge.stores.sql.migrations import script_directory
from gatelodge.stores.sql.tables import metadata
from gatelodge.stores.sql.users import SqlUsers
from tests.contracts.builders import a_user, an_event


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqlDatabase]:
    """Yield a started database over a new file."""
    database = SqlDatabase(tmp_path / "new folder" / "gatelodge.db")
    await asyncio.to_thread(database.migrate)
    await database.start()
    yield database
    await database.stop()


def test_the_code_and_the_migrations_agree(tmp_path: Path) -> None:
    """The newest migration is the one that the code expects, and it makes the code's tables."""
    assert script_directory().get_current_head() == HEAD
    database = SqlDatabase(tmp_path / "g.db")
    assert len(database.migrate()) >= 1
    assert database.migrate() == []
    with create_sqlite_engine(tmp_path / "g.db").connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


async def test_many_processes_may_migrate_at_once(tmp_path: Path) -> None:
    """One process migrates. The others wait, and find it done."""
    steps = await asyncio.gather(
        *(asyncio.to_thread(SqlDatabase(tmp_path / "g.db").migrate) for _ in range(8))
    )
    assert sum(1 for done in steps if done) == 1


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """An older server must not work with tables that it does not know."""
    database = SqlDatabase(tmp_path / "g.db")
    database.migrate()
    with sqlite3.connect(tmp_path / "g.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    connection.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        database.migrate()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The error explains it, and the file is not changed."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        SqlDatabase(path).migrate()
    assert path.read_text().startswith("Dear Sir")


def test_what_is_no_file_is_refused_and_keeps_its_mode(tmp_path: Path) -> None:
    """A device is for everybody; closed to others, it stops programs that are not ours."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)
    database = SqlDatabase(path)
    for ask in (database.exists, database.migrate, lambda: database.hold().__enter__()):
        with pytest.raises(ConfigurationError, match="is a device or the like"):
            ask()
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    """So are the files that a crash left beside it. Such files may come from a backup."""
    path = tmp_path / "g.db"
    SqlDatabase(path).migrate()
    files = [path, path.with_name("g.db-wal"), path.with_name("g.db-shm")]
    for file in files:
        file.touch()
        file.chmod(0o644)
    make_private_file(path)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3


async def test_nobody_else_may_read_the_file(database: SqlDatabase) -> None:
    """The file and SQLite's files beside it have mode 0600, the folder has mode 0700."""
    await SqlUsers(database).add(a_user(), an_event())
    files = list(database.path.parent.iterdir())
    assert len(files) >= 2
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(database.path.parent.stat().st_mode) == 0o700


async def test_every_connection_is_durable(database: SqlDatabase) -> None:
    """Readers and the writer use WAL, synchronous=FULL, foreign keys and a busy timeout."""

    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]

    assert await database.read(pragmas) == ["wal", 2, 1, 10_000]
    assert await database.write(pragmas) == ["wal", 2, 1, 10_000]


async def test_only_queries_over_many_rows_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list lets others have the core again and again; a short query is over before."""
    gave_way: list[str] = []
    monkeypatch.setattr(os, "sched_yield", lambda: gave_way.append(threading.current_thread().name))
    many = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
        "SELECT count(*) FROM n"
    )
    database = SqlDatabase(tmp_path / "gatelodge.db")
    await asyncio.to_thread(database.migrate)
    await database.start()
    try:
        for run in (database.read, database.write):
            assert await run(lambda connection: connection.execute(many).scalar()) == 10_000
        assert not gave_way
        assert await database.count(many) == 10_000
    finally:
        await database.stop()

    assert len(gave_way) > 50
    assert set(gave_way) == {"gatelodge-sql-lister"}


async def test_one_callers_failure_is_its_own(database: SqlDatabase) -> None:
    """Writes that share a transaction succeed or fail each on its own."""
    users = SqlUsers(database)
    taken = a_user()
    await users.add(taken, an_event())
    fresh = [a_user() for _ in range(40)]
    clashing = [replace(a_user(), username_key=taken.username_key) for _ in range(40)]
    mixed = [user for pair in zip(fresh, clashing, strict=True) for user in pair]

    outcomes = await asyncio.gather(
        *(users.add(user, an_event()) for user in mixed), return_exceptions=True
    )

    assert outcomes[0::2] == [None] * 40
    assert all(isinstance(outcome, AlreadyExists) for outcome in outcomes[1::2])
    kept = await users.list_users(after=None, limit=200)
    assert {user.id for user in kept} == {user.id for user in (taken, *fresh)}


async def test_a_unit_that_raises_leaves_nothing_behind(database: SqlDatabase) -> None:
    """Nothing that it wrote before the error is kept."""

    def unit(connection: Connection) -> None:
        connection.execute(
            text("INSERT INTO roles (name, description, permissions) VALUES ('x', '', '[]')")
        )
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        await database.write(unit)
    query = text("SELECT count(*) FROM roles")
    assert await database.read(lambda connection: connection.execute(query).scalar()) == 0


async def test_after_the_stop_callers_are_told(database: SqlDatabase) -> None:
    """A call after the stop is refused. It does not hang."""
    users = SqlUsers(database)
    await database.stop()
    with pytest.raises(StoreUnavailable):
        await users.add(a_user(), an_event())
    with pytest.raises(StoreUnavailable):
        await users.list_users(after=None, limit=1)


async def test_what_was_asked_for_before_the_stop_is_done(database: SqlDatabase) -> None:
    """The stop waits for the writer."""
    users = SqlUsers(database)
    adding = [asyncio.ensure_future(users.add(a_user(), an_event())) for _ in range(50)]
    await asyncio.sleep(0)
    await database.stop()
    assert await asyncio.gather(*adding) == [None] * 50


def test_a_folder_in_place_of_the_file_is_refused_and_keeps_its_mode(tmp_path: Path) -> None:
    """Nothing that we did not make changes."""
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigurationError, match="is a folder"):
        SqlDatabase(tmp_path).migrate()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert list(tmp_path.iterdir()) == []


def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    """Its mode and its journal too."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users (name)")
    connection.close()
    path.chmod(0o664)
    before = path.read_bytes()
    for ask in (SqlDatabase(path).migrate, SqlDatabase(path).exists):
        with pytest.raises(ConfigurationError, match="another program"):
            ask()
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_to_look_for_a_database_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    assert not SqlDatabase(path).exists()
    path.touch()
    assert not SqlDatabase(path).exists()
    assert path.stat().st_size == 0
    SqlDatabase(path).migrate()
    assert SqlDatabase(path).exists()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://a:b@h/d",
        "mysql+pymysql://h/d",
        "redis://h",
        "file:g.db",
        "sqlite:g",
        ":memory:",
    ],
)
def test_the_address_of_another_kind_of_database_is_refused(address: str) -> None:
    """Its password is not repeated."""
    with pytest.raises(ConfigurationError, match="no database that Gatelodge knows") as refusal:
        open_stores(address)
    assert "a:b" not in str(refusal.value)


@pytest.mark.parametrize("made_by", ["vacuum", "backup", "cp"])
def test_a_copy_put_back_beside_an_old_log_is_left_as_it_is(tmp_path: Path, made_by: str) -> None:
    """SQLite would take the log for the copy's, and spoil it."""
    path, copy = tmp_path / "g.db", tmp_path / "copy.db"
    SqlDatabase(path).migrate()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE early (x)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if made_by == "vacuum":
        connection.execute("VACUUM INTO ?", [str(copy)])
    elif made_by == "backup":
        with contextlib.closing(sqlite3.connect(copy)) as target:
            connection.backup(target)
    else:
        shutil.copy(path, copy)
    for number in range(30):
        connection.execute(f"CREATE TABLE later{number} (x)")
        connection.commit()
    log = path.with_name("g.db-wal").read_bytes()
    connection.close()
    shutil.copy(copy, path)
    path.with_name("g.db-wal").write_bytes(log)
    os.utime(path.with_name("g.db-wal"), (0, 0))  # the copy was put there later

    with pytest.raises(ConfigurationError, match=r"Remove g\.db-wal and g\.db-shm"):
        SqlDatabase(path).migrate()

    assert path.read_bytes() == copy.read_bytes()
    path.with_name("g.db-wal").unlink()
    assert SqlDatabase(path).migrate() == []


def test_a_log_that_a_crash_left_is_used(tmp_path: Path) -> None:
    """It belongs to the file: what was committed is in it."""
    path = tmp_path / "g.db"
    SqlDatabase(path).migrate()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE kept (x)")
        connection.commit()
        file, log = path.read_bytes(), path.with_name("g.db-wal").read_bytes()
    path.write_bytes(file)
    path.with_name("g.db-wal").write_bytes(log)

    assert SqlDatabase(path).migrate() == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
