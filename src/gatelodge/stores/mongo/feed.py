"""What changed, told by MongoDB: a filtered change stream with a heartbeat."""

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
from gatelodge.tasks import end

MAX_STALENESS = timedelta(seconds=1)
"""How long ago the stream must have been heard of for memory to be trusted."""

HEARTBEAT = timedelta(milliseconds=200)
"""How long the server waits for a change before it answers that there is none."""

MAX_AT_ONCE = 1000
"""How many changes the server puts into one answer."""

_RETRY_SECONDS = 0.5
_NO_STREAM_RETRY_SECONDS = 30.0

# Changes that no check depends on; sign-ins and rotations come by the thousand.
_BENIGN = (
    *("password_hash", "email_verified_at", "last_sign_in_at"),
    *("generation", "rotated_at", "last_used_at"),
    "description",
)


class MongoChangeFeed(ChangeFeed):
    """The `ChangeFeed` over a MongoDB deployment, for one process.

    Trust ends by itself: it is the age of the last answer that counts, so a stream that is
    cut, a primary that is gone and an event loop that stands still all end the same way.
    """

    def __init__(self, database: MongoDatabase) -> None:
        """Work over this database; nothing is opened yet."""
        self._database = database
        self._heard_at: float | None = None
        self._open = False
        self._kind = "none"
        self._following: asyncio.Task[None] | None = None

    @override
    async def follow(self, forget: Forget) -> None:
        """Begin to watch; memory is trusted once the stream has answered."""
        self._forget = forget
        self._database.listen(forget)
        self._following = asyncio.create_task(self._keep_following())

    @override
    async def leave(self) -> None:
        if self._following is not None:
            await end(self._following)
            self._following = None
        self._open = False
        self._heard_at = None

    @override
    def catch_up(self) -> bool:
        """Say whether the stream was heard of lately."""
        lag = self._lag()
        return self._open and lag is not None and lag <= MAX_STALENESS.total_seconds()

    @override
    def state(self) -> FeedState:
        return FeedState(self._kind, trusted=self.catch_up(), lag=self._lag())

    def _lag(self) -> float | None:
        """Return the seconds since the last stream was heard of, open or not."""
        return None if self._heard_at is None else time.monotonic() - self._heard_at

    async def _keep_following(self) -> None:
        while True:
            pause = _RETRY_SECONDS
            try:
                if await self._database.is_replica_set():
                    await self._watch()
                else:
                    # A single `mongod` has no stream. That of a `mongos` tells nothing of a change
                    # before every shard has moved past it, and answers empty until then.
                    pause = _NO_STREAM_RETRY_SECONDS
            except PyMongoError as error:
                logging.getLogger("gatelodge").warning(
                    "feed.lost", extra={"details": {"error": type(error).__name__}}
                )
            except Exception:
                logging.getLogger("gatelodge").exception("feed.failed")
            self._open = False
            await asyncio.sleep(pause)

    async def _watch(self) -> None:
        """Open a new stream, forget what was known before it, and hand on what it tells.

        It begins where a majority was before it was opened. By itself it would begin where the
        primary is, and not tell of changes that were made, not yet safe, and not read by us.

        The stream is read by the commands `aggregate` and `getMore`: a stream of the driver's
        resumes in silence after an error, and one answer of its cannot be told from the next.
        Here every error ends the stream, and the next one begins with an empty memory.
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
        """Take the server's next answer, all of its changes, and only then count it as heard.

        It says what had changed when the server answered; we know only that this was after we
        asked, and so we date it. Behind an answer that is full there may be more that is as old:
        it is not counted.
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
    """Return the expression that is true of updates which a check must see."""
    update = "$updateDescription"
    names = {
        "$map": {
            "input": {"$objectToArray": {"$ifNull": [f"{update}.updatedFields", {}]}},
            "in": "$$this.k",
        }
    }
    others = {"$size": {"$setDifference": [names, list(_BENIGN)]}}
    removed = {"$size": {"$ifNull": [f"{update}.removedFields", []]}}
    truncated = {"$size": {"$ifNull": [f"{update}.truncatedArrays", []]}}
    return {"$gt": [{"$add": [others, removed, truncated]}, 0]}


_MAJORITY: Document = {"find": "roles", "limit": 1, "readConcern": {"level": "majority"}}
"""A read whose answer says how far a majority has come."""

_QUESTION: Document = {
    "collection": "$cmd.aggregate",  # the cursor is the database's
    "batchSize": MAX_AT_ONCE,
    "maxTimeMS": int(HEARTBEAT.total_seconds() * 1000),
}
"""What asks for the next answer of a stream, but for its cursor."""


def _opening(start: Timestamp) -> Document:
    """Return the command that opens a stream of the whole database from a time on."""
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
