"""Faults that a real `mongod` produces on request."""

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
    """Let commands fail at the server while the context is open.

    Args:
        address: the address of the server, with the name of the database.
        commands: the commands that fail, such as `insert`.
        collection: the collection whose commands fail, or None for all.
        mode: how often they fail, as `configureFailPoint` takes it.
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
        pytest.skip(f"the server produces no faults (enableTestCommands): {error.code}")
