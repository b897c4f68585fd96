"""Failed tries in MongoDB."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection

from gatelodge.errors import AlreadyExists
from gatelodge.sign_in.store import Attempts, Limit, after_failure
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoAttempts:
    """Failed tries at rest; see `AttemptStore`."""

    database: MongoDatabase

    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        """Return what is kept of each of these keys, where something is."""
        with reading():
            found = self._attempts.find({"_id": {"$in": list(keys)}})
            records = [to_record(Attempts, each, key="key") async for each in found]
        return {record.key: record for record in records}

    async def count_failure(self, key: str, limit: Limit, at: datetime) -> Attempts:
        """Count one more failure of a key: anew, where somebody else counted at the same moment."""
        while True:
            before = (await self.find([key])).get(key)
            now = after_failure(before, key, limit, at)
            if await self._put(now, before):
                return now

    async def forget(self, key: str) -> bool:
        """Forget the failures of a key."""
        with writing():
            result = await self._attempts.delete_one({"_id": {"$eq": key}})
        return result.deleted_count == 1

    async def remove_quiet(self, at: datetime) -> int:
        """Forget the records that are of no more use; say how many."""
        with writing():
            result = await self._attempts.delete_many({"forget_at": {"$lte": at}})
        return result.deleted_count

    async def _put(self, now: Attempts, before: Attempts | None) -> bool:
        """Put a record in place of the one before; False where that is no longer there."""
        document = to_document(now, key="key")
        if before is None:
            try:
                with writing():
                    await self._attempts.insert_one(document)
            except AlreadyExists:
                return False
            return True
        with writing():
            result = await self._attempts.replace_one(_same(before), document)
        return result.matched_count == 1

    @property
    def _attempts(self) -> AsyncCollection[Document]:
        return self.database.collection("attempts")


def _same(record: Attempts) -> Document:
    """Return the query for a record as it was read; each failure raises the streak."""
    return {"_id": {"$eq": record.key}, "streak": record.streak, "until": record.until}
