"""The stores on which every promise of a port is tested."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from gatelodge.stores import open_stores
from gatelodge.stores.mongo.records import Document
from tests.support.databases import migrated
from tests.support.mongod import with_database


@pytest.fixture(params=["sqlite", "mongodb"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database that nothing was put into yet.

    On MongoDB it is one for all tests of this process, emptied each time: to make a new one takes
    twenty times as long. A test after which a write may still arrive uses `mongodb_address`.
    """
    if request.param == "sqlite":
        return str(migrated(tmp_path / "gatelodge.sqlite3"))
    return str(request.getfixturevalue("emptied_mongodb"))


@pytest.fixture(scope="session")
def kept_mongodb(mongodb_url: str) -> Iterator[str]:
    """Yield the address of a MongoDB database that has its collections and indexes."""
    name = f"gatelodge_test_{secrets.token_hex(6)}"
    address = with_database(mongodb_url, name, appName=name)
    open_stores(address).database.migrate()
    yield address
    with MongoClient[Document](address) as client:
        client.drop_database(name)


@pytest.fixture
def emptied_mongodb(kept_mongodb: str) -> Iterator[str]:
    """Yield the same, and empty it afterwards."""
    yield kept_mongodb
    with MongoClient[Document](kept_mongodb) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            database[name].delete_many({})
