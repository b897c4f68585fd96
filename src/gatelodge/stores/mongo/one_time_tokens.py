"""One-time tokens in MongoDB.

A token may carry events that are not delivered yet. A token that takes its place carries them on.
A token that is used up stays, marked and expired, until they are delivered.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore, Purpose, key_of
from gatelodge.credentials.store import LONG_AGO
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.outbox import DELIVERED, FIELD, Outbox, also_with, with_event
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoOneTimeTokens(OneTimeTokenStore):
    """The one-time tokens in MongoDB."""

    database: MongoDatabase
    outbox: Outbox

    @override
    async def put(
        self,
        token: OneTimeToken,
        *,
        unless_after: datetime | None = None,
        event: Event | None = None,
    ) -> bool:
        place: Document = {"_id": {"$eq": token.key}}
        if unless_after is not None:
            place["expires_at"] = {"$lte": unless_after}
        while not await self._put(place, token, event):
            if unless_after is not None:  # there is one that expires later
                return False
        if event is not None:
            await self.outbox.deliver("one_time_tokens", token.key, event)
        return True

    @override
    async def put_newer(self, token: OneTimeToken, at: datetime) -> bool:
        newer: Document = {"letter": {"$gt": token.letter}, "expires_at": {"$gt": at}}
        key: Document = {"_id": {"$eq": token.key}}
        while not await self._put(key | {"$nor": [newer]}, token):
            with reading():
                if await self._tokens.find_one(key | newer, projection=["_id"]) is not None:
                    return False
        return True

    async def _put(self, place: Document, token: OneTimeToken, event: Event | None = None) -> bool:
        """Store a token in place of the one that matches, or as a new one.

        False if there is one that does not match, or another one came just now.
        """
        document = {"$literal": to_document(token, key="key")}
        change = [{"$replaceWith": {"$mergeObjects": [document, {FIELD: f"${FIELD}"}]}}]
        told = also_with(event) if event else []
        with writing():
            try:
                await self._tokens.update_one(place, [*change, *told], upsert=True)
            except DuplicateKeyError:
                return False
        return True

    @override
    async def find(self, purpose: Purpose, subject: str) -> OneTimeToken | None:
        there: Document = {"_id": {"$eq": key_of(purpose, subject)}, "used": {"$exists": False}}
        with reading():
            document = await self._tokens.find_one(there)
        return None if document is None else to_record(OneTimeToken, document)

    @override
    async def consume(
        self,
        purpose: Purpose,
        subject: str,
        digest: bytes,
        at: datetime,
        event: Event | None = None,
    ) -> bool:
        key = key_of(purpose, subject)
        alive: Document = {
            "_id": {"$eq": key},
            "digest": {"$eq": digest},
            "expires_at": {"$gt": at},
        }
        if event is None and await self._delete(alive):
            return True
        with writing():
            marked = await self._tokens.update_one(
                alive, _USED if event is None else with_event(_USED, event)
            )
        if marked.modified_count == 0:
            return False
        if event is not None:
            await self.outbox.deliver("one_time_tokens", key, event)
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):  # `sweep` does it
            await self._delete({"_id": {"$eq": key}, "used": {"$eq": True}})
        return True

    async def _delete(self, query: Document) -> bool:
        """Delete a token, if it carries no event."""
        with writing():
            result = await self._tokens.delete_one(query | DELIVERED)
        return result.deleted_count == 1

    @override
    async def change_facts(
        self, token: OneTimeToken, facts: Mapping[str, str], at: datetime
    ) -> bool:
        as_read: Document = {
            "_id": {"$eq": token.key},
            "digest": {"$eq": token.digest},
            "facts": {"$eq": dict(token.facts)},
            "expires_at": {"$gt": at},
        }
        with writing():
            result = await self._tokens.update_one(as_read, {"$set": {"facts": dict(facts)}})
        return result.matched_count == 1

    @override
    async def begin(self, token: OneTimeToken, at: datetime) -> bool:
        if token.life is None:
            return False
        waits: Document = {
            "_id": {"$eq": token.key},
            "digest": {"$eq": token.digest},
            "life": {"$exists": True},
        }
        begun = {"expires_at": at + timedelta(seconds=token.life)}
        with writing():
            result = await self._tokens.update_one(waits, {"$set": begun, "$unset": {"life": ""}})
        return result.modified_count == 1

    @override
    async def list_alive(self, purpose: Purpose, at: datetime, *, limit: int) -> list[OneTimeToken]:
        alive: Document = {
            "_id": {"$gte": f"{purpose}:", "$lt": f"{purpose};"},
            "expires_at": {"$gt": at},
        }
        with reading():
            found = self._tokens.find(alive).sort("_id").limit(limit)
            return [to_record(OneTimeToken, each) async for each in found]

    @override
    async def sweep(self, expired_before: datetime, *, limit: int) -> int:
        old: Document = {"expires_at": {"$lt": expired_before}} | DELIVERED
        with reading():
            found = self._tokens.find(old, projection=["_id"]).limit(limit)
            ids = [each["_id"] async for each in found]
        with writing():
            gone = await self._tokens.delete_many({"_id": {"$in": ids}} | old)
        return gone.deleted_count

    @property
    def _tokens(self) -> AsyncCollection[Document]:
        return self.database.collection("one_time_tokens")


_USED: Document = {"$set": {"used": True, "expires_at": LONG_AGO}, "$unset": {"life": ""}}
"""Marks a token as used up. It has expired for every clock, and does not begin to live."""
