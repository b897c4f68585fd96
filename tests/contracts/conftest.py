"""The stores that every promise of a port is tested on."""

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
    """Yield the address of an empty MongoDB database, which is dropped afterwards."""
    address = with_database(mongodb_url, f"gatelodge_test_{secrets.token_hex(6)}")
    yield address
    with MongoClient(address) as client:
        client.drop_database(client.get_default_database())


@pytest.fixture
def lost_sockets() -> Iterator[None]:
    """Let the garbage collector close the sockets that the driver loses, within the test.

    A client that is closed, or a call that is cancelled, while the driver connects leaves the
    half-made socket to the collector. A test that makes that happen uses this fixture first,
    and ignores the `ResourceWarning`.
    """
    yield
    gc.collect()


@pytest.fixture
async def stores(address: str) -> AsyncIterator[Stores]:
    """Yield the stores over an empty database, ready for use."""
    stores = open_stores(address)
    await asyncio.to_thread(stores.database.migrate)
    await stores.database.start()
    yield stores
    await stores.database.stop()
