"""Events in MongoDB."""

import contextlib
from dataclasses import dataclass

from typing_extensions import override

from gatelodge.audit import Event, EventStore
from gatelodge.errors import AlreadyExists
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoEvents(EventStore):
    """The events in MongoDB."""

    database: MongoDatabase

    @override
    async def add(self, event: Event) -> None:
        with contextlib.suppress(AlreadyExists), writing():
            await self.database.collection("events").insert_one(to_document(event))

    @override
    async def list_events(self, *, before: str | None, limit: int) -> list[Event]:
        query = {} if before is None else {"_id": {"$lt": before}}
        with reading():
            found = self.database.collection("events").find(query).sort("_id", -1).limit(limit)
            return [to_record(Event, document) async for document in found]
