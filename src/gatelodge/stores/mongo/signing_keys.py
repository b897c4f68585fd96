"""Signing keys in MongoDB."""

from dataclasses import dataclass
from datetime import datetime

from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record
from gatelodge.tokens.store import SigningKey


@dataclass(frozen=True, slots=True)
class MongoSigningKeys:
    """Signing keys at rest; see `SigningKeyStore`. They are few, and never sharded."""

    database: MongoDatabase

    async def add(self, key: SigningKey) -> None:
        """Keep a new key, the only one of its number."""
        with writing(unique="number"):
            await self.database.collection("signing_keys").insert_one(
                to_document(key, key="number")
            )

    async def list_keys(self) -> list[SigningKey]:
        """Return every key, in order of number."""
        with reading():
            found = self.database.collection("signing_keys").find().sort("_id", 1)
            return [to_record(SigningKey, document, key="number") async for document in found]

    async def retire(self, kid: str, *, retires_at: datetime, gone_at: datetime) -> bool:
        """Set when a key stops signing and verifying, where that is earlier than before."""
        stays: Document = {"$or": [{"gone_at": None}, {"gone_at": {"$gt": gone_at}}]}
        with writing():
            result = await self.database.collection("signing_keys").update_one(
                {"kid": {"$eq": kid}} | stays,
                {"$set": {"retires_at": retires_at, "gone_at": gone_at}},
            )
        return result.matched_count == 1
