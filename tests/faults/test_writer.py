"""No caller waits for ever for the writer thread, whatever goes wrong in it."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from gatelodge.errors import StoreUnavailable
from gatelodge.stores.sql.database import SqlDatabase

pytestmark = pytest.mark.faults

PATIENCE_SECONDS = 5


async def test_a_database_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    """Here the folder is missing. It could also be that no file descriptor is left."""
    database = SqlDatabase(tmp_path / "missing" / "gatelodge.db")
    try:
        with pytest.raises(StoreUnavailable):
            await database.start()
    finally:
        await database.stop()


@pytest.mark.parametrize("kind", [StopIteration, MemoryError, LookupError])
async def test_whatever_one_unit_raises_the_others_are_answered(
    tmp_path: Path, kind: type[Exception]
) -> None:
    """`StopIteration` is a special case: a future does not accept it (PEP 479)."""
    database = SqlDatabase(tmp_path / "gatelodge.db")
    await asyncio.to_thread(database.migrate)
    await database.start()

    def raises(connection: Connection) -> None:
        _add_role(connection, "undone")
        raise kind

    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            outcomes = await asyncio.gather(
                database.write(lambda connection: _add_role(connection, "before")),
                database.write(raises),
                database.write(lambda connection: _add_role(connection, "after")),
                return_exceptions=True,
            )
            names = await database.read(
                lambda connection: (
                    connection.execute(text("SELECT name FROM roles")).scalars().all()
                )
            )
    finally:
        await database.stop()
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Exception)
    assert outcomes[2] is None
    assert sorted(names) == ["after", "before"]


@pytest.mark.parametrize("fails", [False, True])
async def test_only_the_changes_that_ask_for_it_wait_for_no_disk(
    tmp_path: Path, fails: bool
) -> None:
    """The next change is durable again, also after one that failed; and a batch of both is."""
    database = SqlDatabase(tmp_path / "gatelodge.db")
    await asyncio.to_thread(database.migrate)
    await database.start()

    def synchronous(connection: Connection) -> int:
        level = int(connection.execute(text("PRAGMA synchronous")).scalar_one())
        if fails and level == 1:
            raise LookupError
        return level

    try:
        alone = await asyncio.gather(
            database.write(synchronous, durable=False), return_exceptions=True
        )
        after = await database.write(synchronous)
        together = await asyncio.gather(
            database.write(synchronous, durable=False), database.write(synchronous)
        )
    finally:
        await database.stop()
    assert isinstance(alone[0], LookupError) if fails else alone == [1]
    assert after == 2, "FULL"
    assert together == [2, 2]


def _add_role(connection: Connection, name: str) -> None:
    connection.execute(
        text("INSERT INTO roles (name, description, permissions) VALUES (:name, '', '[]')"),
        {"name": name},
    )
