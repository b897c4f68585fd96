"""Signing keys in MongoDB."""

from dataclasses import dataclass
from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.outbox import Outbox, inserted_with, with_event
from gatelodge.stores.mongo.records import Document, to_document, to_record
from gatelodge.tokens.store import SigningKey, SigningKeyStore


@dataclass(frozen=True, slots=True)
class MongoSigningKeys(SigningKeyStore):
    """The signing keys in MongoDB. They are few, and never sharded."""

    database: MongoDatabase
    outbox: Outbox

    @override
    async def add(self, key: SigningKey, event: Event) -> None:
        with writing(unique="number"):
            await self._keys.insert_one(inserted_with(to_document(key, key="number"), event))
        await self.outbox.deliver("signing_keys", key.number, event)

    @override
    async def list_keys(self) -> list[SigningKey]:
        with reading():
            found = self._keys.find().sort("_id", 1)
            return [to_record(SigningKey, document, key="number") async for document in found]

    @override
    async def raise_token_life(self, kid: str, seconds: int) -> None:
        with writing():
            await self._keys.update_one({"kid": {"$eq": kid}}, {"$max": {"token_life": seconds}})

    @override
    async def retire(
        self, kid: str, event: Event, *, retires_at: datetime, gone_at: datetime
    ) -> bool:
        stays: Document = {"$or": [{"gone_at": None}, {"gone_at": {"$gt": gone_at}}]}
        times = {"retires_at": retires_at, "gone_at": gone_at}
        with writing():
            key = await self._keys.find_one_and_update(
                {"kid": {"$eq": kid}} | stays,
                with_event({"$set": times}, event),
                projection=["_id"],
            )
        if key is None:
            return False
        await self.outbox.deliver("signing_keys", key["_id"], event)
        return True

    @property
    def _keys(self) -> AsyncCollection[Document]:
        return self.database.collection("signing_keys")
