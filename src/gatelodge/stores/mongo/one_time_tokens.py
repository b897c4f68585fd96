"""One-time tokens in MongoDB."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore, Purpose, key_of
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoOneTimeTokens(OneTimeTokenStore):
    """The one-time tokens in MongoDB."""

    database: MongoDatabase

    @override
    async def put(self, token: OneTimeToken, *, unless_after: datetime | None = None) -> bool:
        place: Document = {"_id": {"$eq": token.key}}
        if unless_after is not None:
            place["expires_at"] = {"$lte": unless_after}
        with writing():
            try:
                await self._tokens.replace_one(place, to_document(token, key="key"), upsert=True)
            except DuplicateKeyError:  # there is one that expires later
                return False
        return True

    @override
    async def put_newer(self, token: OneTimeToken, at: datetime) -> bool:
        newer: Document = {"letter": {"$gt": token.letter}, "expires_at": {"$gt": at}}
        key: Document = {"_id": {"$eq": token.key}}
        with writing():
            while True:
                try:
                    await self._tokens.replace_one(
                        key | {"$nor": [newer]}, to_document(token, key="key"), upsert=True
                    )
                except DuplicateKeyError:  # a newer one is there, or another one came just now
                    if await self._tokens.find_one(key | newer, projection=["_id"]) is not None:
                        return False
                else:
                    return True

    @override
    async def find(self, purpose: Purpose, subject: str) -> OneTimeToken | None:
        with reading():
            document = await self._tokens.find_one({"_id": {"$eq": key_of(purpose, subject)}})
        return None if document is None else to_record(OneTimeToken, document)

    @override
    async def consume(self, purpose: Purpose, subject: str, digest: bytes, at: datetime) -> bool:
        query: Document = {
            "_id": {"$eq": key_of(purpose, subject)},
            "digest": {"$eq": digest},
            "expires_at": {"$gt": at},
        }
        with writing():
            result = await self._tokens.delete_one(query)
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
        old: Document = {"expires_at": {"$lt": expired_before}}
        with reading():
            found = self._tokens.find(old, projection=["_id"]).limit(limit)
            ids = [each["_id"] async for each in found]
        with writing():
            gone = await self._tokens.delete_many({"_id": {"$in": ids}} | old)
        return gone.deleted_count

    @property
    def _tokens(self) -> AsyncCollection[Document]:
        return self.database.collection("one_time_tokens")
