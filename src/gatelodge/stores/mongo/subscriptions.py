"""Subscriptions and messages in MongoDB. `events.py` makes the messages."""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.events import key_of_message
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.outbox import DELIVERED, Outbox, with_event
from gatelodge.stores.mongo.records import Document, to_document, to_record
from gatelodge.subscriptions.store import Message, Subscription, SubscriptionStore


@dataclass(frozen=True, slots=True)
class MongoSubscriptions(SubscriptionStore):
    """The subscriptions in MongoDB.

    A message holds its event, because it is made before the event is in `events`.
    """

    database: MongoDatabase
    outbox: Outbox

    @override
    async def put(self, subscription: Subscription) -> None:
        with writing():
            await self._subscriptions.update_one(
                {"_id": {"$eq": subscription.name}}, _set_to(subscription), upsert=True
            )

    @override
    async def add(self, subscription: Subscription, event: Event) -> None:
        gone: Document = {"_id": {"$eq": subscription.name}, "removed": {"$eq": True}}
        with writing(unique="name"):
            await self._subscriptions.update_one(
                gone, with_event(_set_to(subscription), event), upsert=True
            )
        await self.outbox.deliver("subscriptions", subscription.name, event)

    @override
    async def find(self, name: str) -> Subscription | None:
        with reading():
            found = await self._subscriptions.find_one({"_id": {"$eq": name}} | _THERE)
        return None if found is None else to_record(Subscription, found, key="name")

    @override
    async def list_subscriptions(self) -> list[Subscription]:
        with reading():
            found = self._subscriptions.find(_THERE).sort("_id", 1)
            return [to_record(Subscription, each, key="name") async for each in found]

    @override
    async def reseal(self, name: str, before: bytes | None, after: bytes, event: Event) -> bool:
        same: Document = {"_id": {"$eq": name}, "sealed_secret": {"$eq": before}} | _THERE
        with writing():
            changed = await self._subscriptions.update_one(
                same, with_event({"$set": {"sealed_secret": after}}, event)
            )
        if changed.modified_count == 0:
            return False
        await self.outbox.deliver("subscriptions", name, event)
        return True

    @override
    async def remove(
        self, name: str, event: Event, *, unseen_since: datetime | None = None
    ) -> bool:
        """Mark the subscription as removed, with its event; `sweep` deletes what is left of it."""
        there: Document = {"_id": {"$eq": name}} | _THERE
        if unseen_since is not None:
            there["seen_at"] = {"$lt": unseen_since}
        with writing():
            marked = await self._subscriptions.update_one(
                there, with_event({"$set": {"removed": True, "events": []}}, event)
            )
        if marked.modified_count == 0:
            return False
        await self.outbox.deliver("subscriptions", name, event)
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
            await self.sweep()
        return True

    async def sweep(self) -> None:
        """Delete what was removed or given up, and all messages of subscriptions not there.

        Whoever was storing an event when its subscription was removed may make a message later.
        The names in the messages are read first, so that nobody loses those who have come since.
        """
        with writing():
            await self._subscriptions.delete_many({"removed": {"$eq": True}} | DELIVERED)
        with reading():
            named = await self._messages.distinct("subscription")
            found = self._subscriptions.find({"_id": {"$in": named}} | _THERE, projection=["_id"])
            gone = set(named) - {each["_id"] async for each in found}
        with writing():
            of_nobody: Document = {"subscription": {"$in": sorted(gone)}}
            given_up: Document = {"subscription": {"$in": sorted(named)}} | _GIVEN_UP
            await self._messages.delete_many({"$or": [of_nobody, given_up]} | DELIVERED)

    @override
    async def find_due(
        self, names: Collection[str], now: datetime, *, latest: datetime
    ) -> str | None:
        due = _due(names, now, latest)
        with reading():
            found = await self._messages.find_one(due, projection=["subscription"])
        return None if found is None else str(found["subscription"])

    @override
    async def claim(
        self, names: Collection[str], now: datetime, until: datetime, *, latest: datetime
    ) -> Message | None:
        if await self.find_due(names, now, latest=latest) is None:
            return None
        with writing():
            claimed = await self._messages.find_one_and_update(
                _due(names, now, latest),
                {"$set": {"due_at": until}, "$inc": {"claims": 1}},
                sort=[("due_at", 1), ("_id", 1)],
                return_document=ReturnDocument.AFTER,
            )
        return None if claimed is None else _to_message(claimed)

    @override
    async def finish(self, message: Message, event: Event | None = None) -> bool:
        if event is not None:
            return await self._give_up(message, event)
        with writing():
            gone = await self._messages.delete_one(_claimed_by(message))
        return gone.deleted_count == 1

    async def _give_up(self, message: Message, event: Event) -> bool:
        """Let the message never be due again, with the event; then delete it."""
        with writing():
            marked = await self._messages.update_one(
                _claimed_by(message), with_event({"$unset": {"due_at": ""}}, event)
            )
        if marked.modified_count == 0:
            return False
        key = key_of_message(message.event.id, message.subscription)
        await self.outbox.deliver("messages", key, event)
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown), writing():  # `sweep` does it
            await self._messages.delete_one({"_id": {"$eq": key}} | _GIVEN_UP | DELIVERED)
        return True

    @override
    async def postpone(self, message: Message, until: datetime, *, failed: bool = False) -> bool:
        with writing():
            moved = await self._messages.update_one(
                _claimed_by(message),
                {"$set": {"due_at": until}, "$inc": {"failures": int(failed)}},
            )
        return moved.matched_count == 1

    @override
    async def count_waiting(self, name: str) -> int:
        with reading():
            return await self._messages.count_documents(
                {"subscription": {"$eq": name}, "due_at": {"$type": "date"}}  # not `_GIVEN_UP`
            )

    @property
    def _subscriptions(self) -> AsyncCollection[Document]:
        return self.database.collection("subscriptions")

    @property
    def _messages(self) -> AsyncCollection[Document]:
        return self.database.collection("messages")


_THERE: Document = {"removed": {"$exists": False}}
_GIVEN_UP: Document = {"due_at": None}
"""Matches messages that were given up, and are never due again."""

_OPTIONAL = [each.name for each in fields(Subscription) if each.default is None]


def _set_to(subscription: Subscription) -> Document:
    """Return the update that makes a document that of a subscription, removed or not."""
    document = to_document(subscription, key="name")
    del document["_id"]
    absent = {field: "" for field in _OPTIONAL if field not in document}
    return {"$set": document, "$unset": absent | {"removed": ""}}


def _due(names: Collection[str], now: datetime, latest: datetime) -> Document:
    return {
        "subscription": {"$in": list(names)},
        "$or": [{"due_at": {"$lte": now}}, {"due_at": {"$gt": latest}}],
    }


def _claimed_by(message: Message) -> Document:
    key = key_of_message(message.event.id, message.subscription)
    return {"_id": {"$eq": key}, "due_at": {"$eq": message.due_at}}


def _to_message(document: Mapping[str, Any]) -> Message:
    return Message(
        subscription=document["subscription"],
        event=to_record(Event, document["event"]),
        due_at=document["due_at"],
        claims=document["claims"],
        failures=document["failures"],
    )
