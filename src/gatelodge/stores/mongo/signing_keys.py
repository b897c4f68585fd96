"""Signing keys in MongoDB."""

from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record
from gatelodge.tokens.store import SigningKey, SigningKeyStore


@dataclass(frozen=True, slots=True)
class MongoSigningKeys(SigningKeyStore):
    """The signing keys in MongoDB. They are few, and never sharded."""

    database: MongoDatabase

    @override
    async def add(self, key: SigningKey) -> None:
        with writing(unique="number"):
            await self.database.collection("signing_keys").insert_one(
                to_document(key, key="number")
            )

    @override
    async def list_keys(self) -> list[SigningKey]:
        with reading():
            found = self.database.collection("signing_keys").find().sort("_id", 1)
            return [to_record(SigningKey, document, key="number") async for document in found]

    @override
    async def retire(self, kid: str, *, retires_at: datetime, gone_at: datetime) -> bool:
        stays: Document = {"$or": [{"gone_at": None}, {"gone_at": {"$gt": gone_at}}]}
        with writing():
            result = await self.database.collection("signing_keys").update_one(
                {"kid": {"$eq": kid}} | stays,
                {"$set": {"retires_at": retires_at, "gone_at": gone_at}},
            )
        return result.matched_count == 1
