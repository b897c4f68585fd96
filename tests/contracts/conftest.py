"""The stores on which every promise of a port is tested."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from gatelodge.stores import Stores, open_stores
from tests.support.mongod import with_database


@pytest.fixture(params=["sqlite", "mongodb"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "gatelodge.sqlite3")
    return str(request.getfixturevalue("mongodb_address"))


@pytest.fixture
def mongodb_address(mongodb_url: str) -> Iterator[str]:
    """Yield the address of an empty MongoDB database. It is dropped afterwards."""
    address = with_database(mongodb_url, f"gatelodge_test_{secrets.token_hex(6)}")
    yield address
    with MongoClient(address) as client:
        client.drop_database(client.get_default_database())


@pytest.fixture
def lost_sockets() -> Iterator[None]:
    """Let the garbage collector close the driver's lost sockets before the test ends.

    When a client is closed, or a call is cancelled, while the driver connects, the driver never
    closes the new socket. A test that makes this happen uses this fixture first, and ignores the
    `ResourceWarning`.
    """
    yield
    gc.collect()


@pytest.fixture
async def stores(address: str) -> AsyncIterator[Stores]:
    """Yield started stores over an empty database."""
    stores = open_stores(address)
    await asyncio.to_thread(stores.database.migrate)
    await stores.database.start()
    yield stores
    await stores.database.stop()
