"""The change feed of MongoDB: a filtered change stream with a heartbeat."""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import timedelta

from bson import Int64, Timestamp
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError
from typing_extensions import override

from gatelodge.gate.feed import ChangeFeed, FeedState, Forget
from gatelodge.ids import role_id
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.records import Document
from gatelodge.tasks import end, repeat

MAX_STALENESS = timedelta(seconds=1)
"""The maximum time since the last answer of the stream for memory to be trusted."""

HEARTBEAT = timedelta(milliseconds=200)
"""How long the server waits for a change before it answers without one."""

MAX_AT_ONCE = 1000
"""The maximum number of changes in one answer of the server."""

_RETRY_AFTER = timedelta(milliseconds=500)
_NO_STREAM_RETRY_AFTER = timedelta(seconds=30)

# Fields that no token check depends on. Sign-ins and rotations change them very often.
_BENIGN = (
    *("password_hash", "last_sign_in_at", "name_key"),
    *("generation", "rotated_at", "last_used_at"),
    *("description", "factors", "outbox", "stepping_down", "token_life", "turn"),
)


class MongoChangeFeed(ChangeFeed):
    """The change feed of a MongoDB deployment, for one process.

    Memory is trusted while the last answer of the stream is young enough. So trust ends by itself
    if the stream is cut, if the primary is lost, or if the event loop is blocked.
    """

    def __init__(self, database: MongoDatabase) -> None:
        """Use this database; nothing is opened yet."""
        self._database = database
        self._heard_at: float | None = None
        self._open = False
        self._kind = "none"
        self._pause = _RETRY_AFTER
        self._following: asyncio.Task[None] | None = None

    @override
    async def follow(self, forget: Forget) -> None:
        """Start to watch. Memory is trusted after the first answer of the stream."""
        self._forget = forget
        self._database.listen(forget)
        following = repeat(self._follow_once, lambda: self._pause, at_once=True)
        self._following = asyncio.create_task(following)

    @override
    async def leave(self) -> None:
        if self._following is not None:
            await end(self._following)
            self._following = None
        self._open = False
        self._heard_at = None

    @override
    def catch_up(self) -> bool:
        """Return whether the stream is open and its last answer is young enough."""
        lag = self._lag()
        return self._open and lag is not None and lag <= MAX_STALENESS.total_seconds()

    @override
    def state(self) -> FeedState:
        return FeedState(self._kind, trusted=self.catch_up(), lag=self._lag())

    def _lag(self) -> float | None:
        """Return the seconds since the last answer of a stream, or None if there was none."""
        return None if self._heard_at is None else time.monotonic() - self._heard_at

    async def _follow_once(self) -> None:
        """Follow one stream until it ends; afterwards memory is not trusted."""
        self._pause = _RETRY_AFTER
        try:
            if await self._database.is_replica_set():
                await self._watch()
            else:
                # A standalone `mongod` has no change stream. A `mongos` holds a
                # change back until every shard is past its time, and answers without it.
                self._pause = _NO_STREAM_RETRY_AFTER
        except PyMongoError as error:
            logging.getLogger("gatelodge").warning(
                "feed.lost", extra={"details": {"error": type(error).__name__}}
            )
        finally:
            self._open = False

    async def _watch(self) -> None:
        """Open a new stream, forget everything known before, and pass on its changes.

        The stream starts at the operation time of a majority read. By default it would start at the
        current time of the primary. It would then miss changes that the primary has but a majority
        does not have yet, and which our reads have not seen for this reason.

        The stream is read with the commands `aggregate` and `getMore`. A stream of the driver would
        resume silently after an error, and would not show where one answer ends. Here every error
        ends the stream, and the next stream starts with an empty memory.
        """
        asked_at = time.monotonic()
        database = self._database.database
        async with self._database.client.start_session(causal_consistency=False) as session:
            majority = await database.command(_MAJORITY, session=session)
            opening = _opening(majority["operationTime"])
            cursor = (await database.command(opening, session=session))["cursor"]
            self._forget(None)
            self._hand_on(cursor["firstBatch"])
            self._kind = "stream"
            self._heard_at = asked_at
            self._open = True
            while cursor["id"]:
                cursor = await self._hear(session, cursor["id"])

    async def _hear(self, session: AsyncClientSession, cursor_id: int) -> Document:
        """Read the next answer, pass on all its changes, and then note the time of the answer.

        The answer has the changes up to an instant that is not before the question. So the time of
        the question is noted. After a full answer, more changes of that time may follow: then no
        time is noted.
        """
        asked_at = time.monotonic()
        question = {"getMore": Int64(cursor_id)} | _QUESTION  # the command's name comes first
        answer = await self._database.database.command(question, session=session)
        cursor: Document = answer["cursor"]
        self._hand_on(cursor["nextBatch"])
        if len(cursor["nextBatch"]) < MAX_AT_ONCE:
            self._heard_at = asked_at
        return cursor

    def _hand_on(self, changes: Iterable[Document]) -> None:
        for change in changes:
            key = change.get("documentKey")
            if key is None:  # a collection was dropped or renamed
                self._forget(None)
            elif change["ns"]["coll"] == "signing_keys":
                self._forget(f"key_{key['_id']}")
            elif change["ns"]["coll"] == "roles":
                self._forget(role_id(key["_id"]))
            else:
                self._forget(key["_id"])


def _touches_more_than_benign_fields() -> Document:
    """Return the expression that is true for updates that a token check must see."""
    update = "$updateDescription"
    set_names = _names({"$objectToArray": {"$ifNull": [f"{update}.updatedFields", {}]}}, "$$this.k")
    removed = _names({"$ifNull": [f"{update}.removedFields", []]}, "$$this")
    truncated = _names({"$ifNull": [f"{update}.truncatedArrays", []]}, "$$this.field")
    touched = {"$setUnion": [set_names, removed, truncated]}
    return {"$gt": [{"$size": {"$setDifference": [touched, list(_BENIGN)]}}, 0]}


def _names(paths: Document, path: str) -> Document:
    """Return the expression for the names of fields, without what follows a dot.

    Args:
        paths: the expression for an array with one element for each path.
        path: the expression for the path in an element, `$$this`.
    """
    return {"$map": {"input": paths, "in": {"$first": {"$split": [path, "."]}}}}


_MAJORITY: Document = {"find": "roles", "limit": 1, "readConcern": {"level": "majority"}}
"""A majority read, whose answer has the operation time at which a stream starts."""

_QUESTION: Document = {
    "collection": "$cmd.aggregate",  # the cursor belongs to the database, not to a collection
    "batchSize": MAX_AT_ONCE,
    "maxTimeMS": int(HEARTBEAT.total_seconds() * 1000),
}
"""The fields of a `getMore`, without the id of the cursor."""


def _opening(start: Timestamp) -> Document:
    """Return the command that opens a change stream of the whole database at this time."""
    stream: Document = {"$changeStream": {"startAtOperationTime": start}}
    return {
        "aggregate": 1,
        "pipeline": [stream, *_PIPELINE],
        "cursor": {"batchSize": MAX_AT_ONCE},
        "readConcern": {"level": "majority"},
    }


_PIPELINE: list[Document] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": {"$in": ["users", "sessions", "roles"]}, "operationType": "update"},
                {
                    "ns.coll": {"$in": ["users", "roles"]},
                    "operationType": {"$in": ["replace", "delete"]},
                },
                {"ns.coll": "roles", "operationType": "insert"},
                {"ns.coll": "signing_keys"},
                {"operationType": {"$in": ["drop", "rename", "dropDatabase", "invalidate"]}},
            ]
        }
    },
    {
        "$match": {
            "$or": [
                {"operationType": {"$ne": "update"}},
                {"ns.coll": "signing_keys"},
                {"$expr": _touches_more_than_benign_fields()},
            ]
        }
    },
    {"$project": {"operationType": 1, "ns": 1, "documentKey": 1}},
]
