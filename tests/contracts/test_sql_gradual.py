"""What a new version makes in a large SQLite file in pieces, beside servers that go on."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gatelodge.accounts.search import UserQuery
from gatelodge.stores import Stores, open_stores
from gatelodge.stores.sql import gradual
from gatelodge.stores.sql.database import SqlDatabase
from tests.contracts.builders import a_factor, a_user, an_event

USERS = 23


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a file that counts as large, and has what the version before knows."""
    monkeypatch.setattr(gradual, "SMALL", 5)
    monkeypatch.setattr(gradual, "PAGE", 4)
    path = tmp_path / "g.db"
    SqlDatabase(path).migrate()
    asyncio.run(_fill(path))
    with closing(sqlite3.connect(path)) as file:
        for index in gradual.INDEXES:
            file.execute(f"DROP INDEX {index.name}")
        file.execute("UPDATE users SET name_key = NULL, factor_state = 0")
        file.commit()
    return path


async def _fill(path: Path) -> None:
    async with opened(path) as stores:
        for number in range(USERS):
            factors = (a_factor("totp"),) if number % 5 == 0 else ()
            name = "" if number % 7 == 0 else f"Ann {number}"
            await stores.users.add(a_user(name=name, factors=factors), an_event())


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Stores]:
    """Open the stores over a file."""
    stores = open_stores(str(path))
    await stores.database.start()
    yield stores
    await stores.database.stop()


async def found(path: Path, **conditions: object) -> int:
    """Return how many users match."""
    async with opened(path) as stores:
        return len((await stores.users.search(UserQuery(**conditions), after=None, limit=99)).users)  # type: ignore[arg-type]


NAMED = sum(number % 7 != 0 for number in range(USERS))
WITH_FACTORS = sum(number % 5 == 0 for number in range(USERS))


async def test_a_large_file_is_completed_and_says_how_far_it_is(path: Path) -> None:
    told: list[str] = []

    steps = SqlDatabase(path).migrate(told.append)

    assert f"0013: index {gradual.INDEXES[0].name}" in steps
    assert f"({len(gradual.INDEXES)} of {len(gradual.INDEXES)})" in told[-1]
    assert SqlDatabase(path).migrate(told.append) == []
    assert await found(path, text="ann") == NAMED
    assert await found(path, factor="any") == WITH_FACTORS
    assert await found(path, factor="none") == USERS - WITH_FACTORS


async def test_a_process_that_died_in_between_is_no_harm(path: Path) -> None:
    """Before each piece: the next start goes on where it was."""
    for _ in gradual.INDEXES[1:]:
        told: list[str] = []

        def die_at_the_second(line: str, told: list[str] = told) -> None:
            told.append(line)
            if len(told) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            SqlDatabase(path).migrate(die_at_the_second)

    assert SqlDatabase(path).migrate() != []
    assert SqlDatabase(path).migrate() == []
    assert await found(path, text="ann") == NAMED
    assert await found(path, factor="any") == WITH_FACTORS


async def test_many_processes_may_complete_a_file_at_once(path: Path) -> None:
    await asyncio.gather(*(asyncio.to_thread(SqlDatabase(path).migrate) for _ in range(6)))
    assert SqlDatabase(path).migrate() == []
    assert await found(path, text="ann") == NAMED


async def test_what_a_process_of_the_version_before_writes_is_completed_later(path: Path) -> None:
    """It knows no keys and no states. Until the next start, its names are not found."""
    SqlDatabase(path).migrate()
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "INSERT INTO users (id, username, username_key, email, email_key, epoch, created_at, "
            "name, must, factors) VALUES ('usr_old', 'old', 'old', 'o@e', 'o@e', 0, 0, 'Éva Old', "
            """'[]', '[{"id": "fac_1", "kind": "passkey", "name": "", "created_at": 0}]')"""
        )
        file.execute("UPDATE users SET name = 'Bob' WHERE name = 'Ann 1'")
        file.execute("UPDATE users SET factors = NULL WHERE name = 'Ann 5'")
        file.commit()
    assert await found(path, text="bob") == 0
    assert await found(path, text="ann 1 ") == sum(
        f"ann {n}".startswith("ann 1") and n % 7 != 0 for n in range(2, USERS)
    )
    assert await found(path, factor="passkey") == 1
    assert await found(path, factor="any") == WITH_FACTORS

    assert SqlDatabase(path).migrate() == ["0013: names of 2 users"]

    assert await found(path, text="bob") == 1
    assert await found(path, text="éva o") == 1


async def test_writers_wait_for_one_piece_at_most(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes all the time, with less patience than a server has, and is never refused."""
    monkeypatch.setattr(gradual, "PAGE", 100)
    with closing(sqlite3.connect(path)) as file:
        file.executemany(
            "INSERT INTO users (id, username, username_key, email, email_key, epoch, created_at, "
            "name, must) VALUES (?1, ?1, ?1, ?1, ?1, 0, 0, 'Ann', '[]')",
            [(f"usr_{number}",) for number in range(3_000)],
        )
        file.commit()
    done, waits = threading.Event(), []

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as file:
            while not done.is_set():
                began = time.monotonic()
                file.execute("UPDATE users SET epoch = epoch + 1 WHERE id = 'usr_7'")
                waits.append(time.monotonic() - began)
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        await asyncio.to_thread(SqlDatabase(path).migrate)
    finally:
        done.set()
        writer.join()
    assert len(waits) > 50
    assert await found(path, text="ann") == 99


def test_a_small_file_is_completed_in_the_migration(tmp_path: Path) -> None:
    """Nobody sees it half done, and nothing is told."""
    told: list[str] = []
    assert SqlDatabase(tmp_path / "g.db").migrate(told.append)
    assert told == []
    with closing(sqlite3.connect(tmp_path / "g.db")) as file:
        names = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
    assert {each.name for each in gradual.INDEXES} <= names
