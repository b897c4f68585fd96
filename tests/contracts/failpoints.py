"""Faults that a real `mongod` commits on request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure


@contextmanager
def failing(
    address: str, *commands: str, collection: str | None = None, mode: Any = "alwaysOn", **how: Any
) -> Iterator[None]:
    """Have the server at an address fail commands, of one collection of that database if given.

    Args:
        address: the address, with the name of the database.
        commands: such as `insert`.
        collection: the collection whose commands fail.
        mode: how often, as `configureFailPoint` takes it.
        how: what happens, such as `closeConnection=True`.
    """
    with MongoClient[dict[str, Any]](address) as client:
        database = client.get_default_database().name
        data: dict[str, Any] = {"failCommands": commands, "appName": "gatelodge", **how}
        if collection is not None:
            data["namespace"] = f"{database}.{collection}"
        _configure(client, mode=mode, data=data)
        try:
            yield
        finally:
            _configure(client, mode="off")


def _configure(client: MongoClient[dict[str, Any]], **options: Any) -> None:
    try:
        client.admin.command("configureFailPoint", "failCommand", **options)
    except OperationFailure as error:
        pytest.skip(f"the server commits no faults (enableTestCommands): {error.code}")
