"""Failed tries in MongoDB."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.credentials.store import Attempts, AttemptStore, Limit, after_failure
from gatelodge.errors import AlreadyExists, StoreUnavailable
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import RETRY_AFTER, reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record

_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class MongoAttempts(AttemptStore):
    """The failed tries in MongoDB."""

    database: MongoDatabase
    _counting: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @override
    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        with reading():
            found = self._attempts.find({"_id": {"$in": list(keys)}})
            records = [to_record(Attempts, each, key="key") async for each in found]
        return {record.key: record for record in records}

    @override
    async def count_failure(self, key: str, limit: Limit, at: datetime) -> Attempts:
        async with self._one_by_one(key):
            while True:
                before = (await self.find([key])).get(key)
                now = after_failure(before, key, limit, at)
                if await self._put(now, before):
                    return now
                # Another process has changed the record meanwhile: read it again.

    @override
    async def forget(self, key: str) -> bool:
        with writing():
            result = await self._attempts.delete_one({"_id": {"$eq": key}})
        return result.deleted_count == 1

    @override
    async def remove_quiet(self, at: datetime) -> int:
        with writing():
            result = await self._attempts.delete_many({"forget_at": {"$lte": at}})
        return result.deleted_count

    @asynccontextmanager
    async def _one_by_one(self, key: str) -> AsyncIterator[None]:
        """Let only one caller of this process at a time count a failure of a key.

        Without this, of a hundred concurrent callers one succeeds and all others retry, again and
        again: about five thousand tries in all.

        Raises:
            StoreUnavailable: the callers before take longer than five seconds.
        """
        lock = self._counting.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise StoreUnavailable(retry_after=RETRY_AFTER) from None
        try:
            yield
        finally:
            lock.release()

    async def _put(self, now: Attempts, before: Attempts | None) -> bool:
        """Replace the record as it was read; return False if it has changed meanwhile."""
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
    """Return the query that matches a record only if no failure was counted since it was read.

    Each failure raises the streak.
    """
    return {"_id": {"$eq": record.key}, "streak": record.streak, "until": record.until}
