"""Faults that real databases produce on request."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.support import run
from tests.support.mongod import observed

PATIENCE_SECONDS = 20


@dataclass(slots=True)
class Fault:
    """A fault that a server commits at this moment.

    Attributes:
        client: of the server.
        before: how many commands it had met, ever, when it began.
        hits: how many commands it has met; known when it is over.
    """

    client: MongoClient[dict[str, Any]]
    before: int
    hits: int = 0

    async def met(self, commands: int = 1) -> None:
        """Return as soon as it has met so many commands; one that is held up counts at once."""
        await asyncio.to_thread(
            self.client.admin.command,
            "waitForFailPoint",
            "failCommand",
            timesEntered=self.before + commands,
            maxTimeMS=PATIENCE_SECONDS * 1000,
        )


@contextmanager
def failing(
    address: str, *commands: str, collection: str | None = None, mode: Any = "alwaysOn", **how: Any
) -> Iterator[Fault]:
    """Have the server at an address fail commands, of one collection of that database if given.

    A server has one such fault for everybody: tests that commit one take turns. It meets only
    clients that call themselves as those of the address do, so no other test.

    Args:
        address: the address, with the name of the database, and of the clients if they have one.
        commands: such as `insert`.
        collection: the collection whose commands fail.
        mode: how often, as `configureFailPoint` takes it.
        how: what happens, such as `closeConnection=True`.
    """
    parts, database = urlsplit(address), observed(address)
    named = dict(parse_qsl(parts.query)).get("appName", "gatelodge")
    data: dict[str, Any] = {"failCommands": commands, "appName": named, **how}
    if collection is not None:
        data["namespace"] = f"{database.name}.{collection}"
    with run.locked(f"fault-{parts.netloc}"):
        before = _configure(database.client, mode=mode, data=data)
        fault = Fault(database.client, before)
        try:
            yield fault
        finally:
            fault.hits = _configure(database.client, mode="off") - before


@contextmanager
def events_refused(path: str | Path, but: int = 0) -> Iterator[None]:
    """Have SQLite refuse every new event but the first ones, as a full disk would."""
    with closing(sqlite3.connect(path)) as connection:
        there = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON events "
            f"WHEN (SELECT count(*) FROM events) >= {there + but} "
            "BEGIN SELECT raise(ABORT, 'no'); END"
        )
        yield
        connection.execute("DROP TRIGGER refuse")


def _configure(client: MongoClient[dict[str, Any]], **options: Any) -> int:
    """Set the fault; return how many commands it has met, ever."""
    try:
        answer = client.admin.command("configureFailPoint", "failCommand", **options)
    except OperationFailure as error:
        pytest.skip(f"the server commits no faults (enableTestCommands): {error.code}")
    return int(answer["count"])
