"""What changed, asked of the SQLite file itself before each check."""

import asyncio
import ctypes
import logging
import sqlite3
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, PoolProxiedConnection, text

from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.gate.feed import FeedState, Forget
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.tasks import end

MAX_CHANGES = 10_000
"""How many changes stay written down; whoever is further behind forgets everything."""

PRUNE_EVERY = timedelta(minutes=1)


class SqlChangeFeed:
    """The `ChangeFeed` over one SQLite file, for one of the processes that share it.

    `PRAGMA data_version` moves when any other connection, of any process, has committed. This
    connection never writes, so each commit that was acknowledged before the question is seen.
    Only when it moved are the newest rows of `changes` read, which triggers wrote in the same
    transaction as the change itself.

    Before that question comes a cheaper one. In WAL mode every commit writes the header of the
    index that all processes share in memory (the `-shm` file; sqlite.org/walformat.html, section 2)
    before it is acknowledged. While these bytes are what they were, nothing was committed.
    """

    def __init__(self, database: SqlDatabase) -> None:
        """Work over this database; nothing is opened yet."""
        self._database = database
        self._pooled: PoolProxiedConnection | None = None
        self._shared: ctypes.Array[ctypes.c_char] | None = None
        self._header = b""
        self._version = -1
        self._position = 0

    async def follow(self, forget: Forget) -> None:
        """Open a connection of our own and begin where the file is now."""
        self._forget = forget
        self._pooled = await asyncio.to_thread(self._database.connect_raw)
        self._connection: sqlite3.Connection = self._pooled.driver_connection  # type: ignore[assignment]
        self._question = self._connection.cursor()
        (self._position,) = self._question.execute(_NEWEST).fetchone()
        self._shared = _shared_header(self._database.path)
        self._header = b""
        self._pruning = asyncio.create_task(self._keep_pruned())

    async def leave(self) -> None:
        """Close the connection."""
        if self._pooled is None:
            return
        await end(self._pruning)
        pooled, self._pooled = self._pooled, None
        self._shared = None
        await asyncio.to_thread(pooled.close)

    def catch_up(self) -> bool:
        """Forget what was changed by any commit before this call."""
        header = b"" if self._shared is None else self._shared.raw
        if header == self._header and header:
            return True
        if self._pooled is None:
            return False
        try:
            self._ask()
        except sqlite3.Error:
            return False
        self._header = header  # as it was before the question: what came since is asked for again
        return True

    def state(self) -> FeedState:
        """Return how the feed stands."""
        return FeedState("local", trusted=self.catch_up())

    def _ask(self) -> None:
        (version,) = self._question.execute(_VERSION).fetchone()
        if version != self._version:
            self._read_changes()
            self._version = version

    def _read_changes(self) -> None:
        rows = self._connection.execute(_SINCE, (self._position,)).fetchall()
        if not rows:
            return
        if rows[0][0] != self._position + 1:  # pruned before we came
            self._forget(None)
        for _, changed in rows:
            self._forget(changed)
        self._position = rows[-1][0]

    async def _keep_pruned(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_EVERY.total_seconds())
            with suppress(StoreUnavailable, OutcomeUnknown):
                removed = await self._database.write(_prune)
                logging.getLogger("gatelodge").debug(
                    "changes.pruned", extra={"details": {"removed": removed}}
                )


def _shared_header(path: Path) -> ctypes.Array[ctypes.c_char] | None:
    """Return the memory that every commit changes, where SQLite has mapped it in this process.

    It is there for as long as a connection of this process is open. The file must not be opened
    here: to close any descriptor of it drops the locks that SQLite holds on it, and the next
    process to come would take the file for its own (sqlite.org/howtocorrupt.html, section 2.2).
    None where it cannot be found: then SQLite is asked before each check.
    """
    shared = f"{path.resolve()}-shm"
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        span, access, offset, _, _, *name = line.split(maxsplit=5)
        if name == [shared] and access == "rw-s" and int(offset, 16) == 0:
            return (ctypes.c_char * _HEADER_BYTES).from_address(int(span.partition("-")[0], 16))
    return None


def _prune(connection: Connection) -> int:
    return connection.execute(_PRUNE, {"most": MAX_CHANGES}).rowcount


_HEADER_BYTES = 96  # two copies, of which a commit writes the second one first
_VERSION = "PRAGMA data_version"
_NEWEST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)"
_SINCE = "SELECT number, changed FROM changes WHERE number > ? ORDER BY number"
_PRUNE = text("DELETE FROM changes WHERE number <= (SELECT max(number) FROM changes) - :most")
