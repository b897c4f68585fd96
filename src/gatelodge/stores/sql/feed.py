"""The change feed of SQLite: it asks the file what has changed, once in each loop turn."""

import asyncio
import logging
import sqlite3
from datetime import timedelta

from sqlalchemy import Connection, PoolProxiedConnection, text
from typing_extensions import override

from gatelodge.gate.feed import ChangeFeed, FeedState, Forget
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.tasks import end, repeat

MAX_CHANGES = 10_000
"""How many rows of `changes` are kept. A process that is further behind forgets everything."""

PRUNE_EVERY = timedelta(minutes=1)


class SqlChangeFeed(ChangeFeed):
    """The change feed of one SQLite file, for one of the processes that share the file.

    The value of `PRAGMA data_version` changes when another connection, of any process, has
    committed. The feed's own connection never writes, so it sees every commit that was acknowledged
    before it asks. When the value has changed, the feed reads the new rows of `changes`. Triggers
    add a row in the same transaction as the change. Source:
    sqlite.org/pragma.html#pragma_data_version.
    """

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database; nothing is opened yet."""
        self._database = database
        self._pooled: PoolProxiedConnection | None = None
        self._version = -1
        self._position = 0
        self._asked_this_turn = False

    @override
    async def follow(self, forget: Forget) -> None:
        """Open a connection for the feed, and start at the newest change.

        Raises:
            StoreUnavailable: the file cannot be opened now.
        """
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._pooled = await asyncio.to_thread(self._database.connect_raw)
        self._connection: sqlite3.Connection = self._pooled.driver_connection  # type: ignore[assignment]
        self._question = self._connection.cursor()
        (self._position,) = self._question.execute(_NEWEST).fetchone()
        self._pruning = asyncio.create_task(repeat(self._prune_changes, PRUNE_EVERY))

    @override
    async def leave(self) -> None:
        if self._pooled is None:
            return
        await end(self._pruning)
        pooled, self._pooled = self._pooled, None
        self._asked_this_turn = False
        await asyncio.to_thread(pooled.close)

    @override
    def catch_up(self) -> bool:
        if self._asked_this_turn:
            return True
        if self._pooled is None:
            return False
        # First the note, then the question: see `_end_turn`.
        self._asked_this_turn = True
        self._loop.call_soon(self._end_turn)
        try:
            (version,) = self._question.execute(_VERSION).fetchone()
            if version != self._version:
                self._read_changes()
                self._version = version
        except sqlite3.Error:
            self._asked_this_turn = False
            return False
        return True

    def _end_turn(self) -> None:
        """Have the next caller ask again: an answer counts for one turn of the event loop.

        The loop runs callbacks in the order in which they were scheduled. A request that is handled
        before this one was received before the question was put. So every change that was
        acknowledged before that request was sent is in the answer.
        """
        self._asked_this_turn = False

    @override
    def state(self) -> FeedState:
        return FeedState("local", trusted=self.catch_up())

    def _read_changes(self) -> None:
        rows = self._connection.execute(_SINCE, (self._position, MAX_CHANGES + 1)).fetchall()
        if not rows:
            return
        if len(rows) > MAX_CHANGES:  # reading them one by one would take too long
            (self._position,) = self._question.execute(_NEWEST).fetchone()
            self._forget(None)
            return
        if rows[0][0] != self._position + 1:  # older rows were pruned before this process read them
            self._forget(None)
        for _, changed in rows:
            self._forget(changed)
        self._position = rows[-1][0]

    async def _prune_changes(self) -> None:
        removed = await self._database.write(_prune)
        details = {"removed": removed}
        logging.getLogger("gatelodge").debug("changes.pruned", extra={"details": details})


def _prune(connection: Connection) -> int:
    return connection.execute(_PRUNE, {"most": MAX_CHANGES}).rowcount


_VERSION = "PRAGMA data_version"
_NEWEST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)"
_SINCE = "SELECT number, changed FROM changes WHERE number > ? ORDER BY number LIMIT ?"
_PRUNE = text("DELETE FROM changes WHERE number <= (SELECT max(number) FROM changes) - :most")
