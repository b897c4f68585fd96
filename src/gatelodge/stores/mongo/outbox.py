"""Events that are stored with their change, in the document that changes.

MongoDB changes one document atomically. So the write that changes a document also adds the event to
its field `outbox`. After that the event is copied to the collection `events`, where it is read, and
removed from the document. The process that made the change does this at once. If it dies or the
database fails, the next sweep of any process does it. A copy may be made twice, but an event has
one id, so it is stored once. So if an event is of several documents, each of them carries it: it is
stored if at least one of them was changed.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.asynchronous.collection import AsyncCollection

from gatelodge.audit import Event
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.stores.mongo.connection import WITH_EVENTS, MongoDatabase
from gatelodge.stores.mongo.events import put_event
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document

FIELD = "outbox"

_SWEEP_LIMIT = 1000

_WAITS: Document = {f"{FIELD}._id": {"$exists": True}}

DELIVERED: Document = {f"{FIELD}._id": {"$exists": False}}
"""Matches documents without an event in their outbox: only these may be deleted."""


def with_event(update: Document, event: Event) -> Document:
    """Return an update with operators such as `$set`, which also puts the event into the outbox."""
    return update | {"$push": update.get("$push", {}) | {FIELD: to_document(event)}}


def inserted_with(document: Document, event: Event) -> Document:
    """Return a new document with the event in its outbox."""
    return document | {FIELD: [to_document(event)]}


def also_with(event: Event) -> list[Document]:
    """Return the stages that put the event into the outbox, for an update with a pipeline."""
    added = [{"$ifNull": [f"${FIELD}", []]}, {"$literal": [to_document(event)]}]
    return [{"$set": {FIELD: {"$concatArrays": added}}}]


@dataclass(frozen=True, slots=True)
class Outbox:
    """Copies the events of changed documents to the collection `events`."""

    database: MongoDatabase

    async def deliver(self, collection: str, key: object, event: Event) -> None:
        """Deliver the event of a change that was just made. If this fails, the sweep does it.

        Args:
            collection: the name of the collection with the changed document.
            key: the `_id` of the document.
            event: the event in its outbox.
        """
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
            await self.deliver_all(collection, key, [to_document(event)])

    async def deliver_shared(self, collection: str, event: Event) -> None:
        """Deliver the event of a change of several documents, each of which carries it.

        If this fails, the sweep does it.

        Args:
            collection: the name of the collection with the changed documents.
            event: the event in their outboxes.
        """
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
            await put_event(self.database, to_document(event))
            await self._remove(collection, event.id)

    async def deliver_all(self, collection: str, key: object, events: Sequence[Document]) -> None:
        """Copy these events of a document to `events`, then remove them from its outbox.

        Args:
            collection: the name of the collection with the document.
            key: the `_id` of the document.
            events: the events in its outbox.

        Raises:
            StoreUnavailable, OutcomeUnknown: the sweep tries again.
        """
        for event in events:
            await put_event(self.database, event)
        with writing():
            await self.database.collection(collection).update_one(
                {"_id": {"$eq": key}} | _WAITS,
                _without([event["_id"] for event in events]),
            )

    async def sweep(self) -> int:
        """Deliver the events that are still in an outbox; return how many."""
        delivered = 0
        for name in WITH_EVENTS:
            collection = self.database.collection(name)
            for event in await _waiting(collection):
                await put_event(self.database, event, perhaps_stored=True)
                await self._remove(name, event["_id"])
                delivered += 1
        return delivered

    async def _remove(self, collection: str, event_id: str) -> None:
        """Remove an event that is stored from every outbox of a collection."""
        with writing():
            await self.database.collection(collection).update_many(
                {f"{FIELD}._id": {"$eq": event_id}}, _without([event_id])
            )


async def _waiting(collection: AsyncCollection[Document]) -> list[Document]:
    """Return the events in the outboxes of a collection; one that several carry comes once."""
    with reading():
        found = collection.find(_WAITS, projection=[FIELD]).limit(_SWEEP_LIMIT)
        events = [event async for each in found for event in each[FIELD]]
    return list({event["_id"]: event for event in events}.values())


def _without(ids: list[str]) -> list[Document]:
    """Return the update that removes these events, and the outbox if nothing is left in it."""
    kept = {"$filter": {"input": f"${FIELD}", "cond": {"$not": {"$in": ["$$this._id", ids]}}}}
    choice = {"$cond": [{"$eq": ["$$left", []]}, "$$REMOVE", "$$left"]}
    return [{"$set": {FIELD: {"$let": {"vars": {"left": kept}, "in": choice}}}}]
