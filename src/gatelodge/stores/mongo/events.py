"""Events in MongoDB, and the messages for whoever has subscribed to them."""

import contextlib
from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from gatelodge.audit import Event, EventPage, EventQuery, EventStore
from gatelodge.errors import AlreadyExists
from gatelodge.ids import UserId
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoEvents(EventStore):
    """The events in MongoDB."""

    database: MongoDatabase

    @override
    async def add(self, event: Event) -> None:
        await put_event(self.database, to_document(event))

    @override
    async def list_events(self, *, before: str | None, limit: int) -> list[Event]:
        query = {} if before is None else {"_id": {"$lt": before}}
        with reading():
            found = self.database.collection("events").find(query).sort("_id", -1).limit(limit)
            return [to_record(Event, document) async for document in found]

    @override
    async def search(self, query: EventQuery, *, before: str | None, limit: int) -> EventPage:
        wanted: Document = {} if before is None else {"_id": {"$lt": before}}
        for name in ("actor", "target", "name", "address"):
            if (value := getattr(query, name)) is not None:
                wanted[name] = {"$eq": value}
        if query.about is not None:
            wanted["$or"] = [{"actor": {"$eq": query.about}}, {"target": {"$eq": query.about}}]
        at: Document = {} if query.since is None else {"$gte": query.since}
        if query.until is not None:
            at["$lt"] = query.until
        if at:
            wanted["at"] = at
        with reading():
            cursor = self.database.collection("events").find(wanted).sort("_id", -1).limit(limit)
            found = [to_record(Event, document) async for document in cursor]
        return EventPage(found, found[-1].id if len(found) == limit else None)

    @override
    async def list_since(self, after: str | None, *, limit: int) -> list[Event]:
        query = {"_id": {"$gt": after or ""}}
        with reading():
            found = self.database.collection("events").find(query).sort("_id", 1).limit(limit)
            return [to_record(Event, document) async for document in found]

    @override
    async def remove_before(self, before: datetime, *, limit: int) -> int:
        raise NotImplementedError

    @override
    async def blank(self, user_id: UserId, *, limit: int) -> int:
        raise NotImplementedError


async def put_event(
    database: MongoDatabase, event: Document, *, perhaps_stored: bool = False
) -> None:
    """Store an event. Before that, store a message for each subscription to its name.

    Nothing happens if the event is stored already, except that a message may come a second time.

    Args:
        database: where to store them.
        event: the document of the event.
        perhaps_stored: whether to look first if somebody has stored the event by now.

    Raises:
        StoreUnavailable, OutcomeUnknown: not all of it was stored; it can be done again.
    """
    with reading():
        if perhaps_stored and await database.collection("events").find_one(
            {"_id": {"$eq": event["_id"]}}, projection=["_id"]
        ):
            return  # then its messages were stored before it
        found = database.collection("subscriptions").find(
            {"events": {"$eq": event["name"]}}, projection=["_id"]
        )
        names = [each["_id"] async for each in found]
    for name in names:
        message = {
            "_id": key_of_message(event["_id"], name),
            "subscription": name,
            "event": event,
            "due_at": event["at"],
            "claims": 0,
            "failures": 0,
        }
        with contextlib.suppress(AlreadyExists), writing():
            await database.collection("messages").insert_one(message)
    with contextlib.suppress(AlreadyExists), writing():
        await database.collection("events").insert_one(event)


def key_of_message(event_id: str, subscription: str) -> str:
    """Return the `_id` of the message of an event for a subscription."""
    return f"{event_id}:{subscription}"
