"""Faults that a real `mongod` produces on request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.support import run


@contextmanager
def failing(
    address: str, *commands: str, collection: str | None = None, mode: Any = "alwaysOn", **how: Any
) -> Iterator[None]:
    """Let commands fail at the server while the context is open.

    A server has one such fault for everybody: tests that commit one take turns. It meets only
    clients that call themselves as those of the address do, so no other test.

    Args:
        address: the address, with the name of the database, and of the clients if they have one.
        commands: such as `insert`.
        collection: the collection whose commands fail.
        mode: how often, as `configureFailPoint` takes it.
        how: what happens, such as `closeConnection=True`.
    """
    with MongoClient[dict[str, Any]](address) as client:
        database = client.get_default_database().name
        named = client.options.pool_options.appname or "gatelodge"
        data: dict[str, Any] = {"failCommands": commands, "appName": named, **how}
        if collection is not None:
            data["namespace"] = f"{database}.{collection}"
        with run.locked("fault"):
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
