"""Subscriptions and messages in MongoDB. `events.py` makes the messages."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.events import key_of_message
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record
from gatelodge.subscriptions.store import Message, Subscription, SubscriptionStore


@dataclass(frozen=True, slots=True)
class MongoSubscriptions(SubscriptionStore):
    """The subscriptions in MongoDB.

    A message holds its event, because it is made before the event is in `events`.
    """

    database: MongoDatabase

    @override
    async def put(self, subscription: Subscription) -> None:
        document = to_document(subscription, key="name")
        with writing():
            await self._subscriptions.replace_one(
                {"_id": {"$eq": subscription.name}}, document, upsert=True
            )

    @override
    async def list_subscriptions(self) -> list[Subscription]:
        with reading():
            found = self._subscriptions.find({}).sort("_id", 1)
            return [to_record(Subscription, each, key="name") async for each in found]

    @override
    async def remove_unseen(self, before: datetime) -> list[str]:
        with reading():
            found = self._subscriptions.find({"seen_at": {"$lt": before}}, projection=["_id"])
            unseen = [each["_id"] async for each in found.sort("_id", 1)]
        removed = [name for name in unseen if await self._remove(name, before)]
        await self._remove_orphans()
        return removed

    async def _remove(self, name: str, before: datetime) -> bool:
        """Remove a subscription, unless it was seen meanwhile."""
        with writing():
            gone = await self._subscriptions.delete_one(
                {"_id": {"$eq": name}, "seen_at": {"$lt": before}}
            )
        return gone.deleted_count == 1

    async def _remove_orphans(self) -> None:
        """Remove the messages of subscriptions that are no more, also those made a moment later."""
        with reading():
            names = await self._subscriptions.distinct("_id")
        with writing():
            await self._messages.delete_many({"subscription": {"$nin": names}})

    @override
    async def claim(self, names: Collection[str], now: datetime, until: datetime) -> Message | None:
        due: Document = {"subscription": {"$in": list(names)}, "due_at": {"$lte": now}}
        with reading():
            if await self._messages.find_one(due, projection=["_id"]) is None:
                return None
        with writing():
            claimed = await self._messages.find_one_and_update(
                due,
                {"$set": {"due_at": until}, "$inc": {"tries": 1}},
                sort=[("due_at", 1), ("_id", 1)],
                return_document=ReturnDocument.AFTER,
            )
        return None if claimed is None else _to_message(claimed)

    @override
    async def finish(self, message: Message) -> bool:
        with writing():
            gone = await self._messages.delete_one(_claimed_by(message))
        return gone.deleted_count == 1

    @override
    async def postpone(self, message: Message, until: datetime) -> bool:
        with writing():
            moved = await self._messages.update_one(
                _claimed_by(message), {"$set": {"due_at": until}}
            )
        return moved.matched_count == 1

    @override
    async def count_waiting(self, name: str) -> int:
        with reading():
            return await self._messages.count_documents({"subscription": {"$eq": name}})

    @property
    def _subscriptions(self) -> AsyncCollection[Document]:
        return self.database.collection("subscriptions")

    @property
    def _messages(self) -> AsyncCollection[Document]:
        return self.database.collection("messages")


def _claimed_by(message: Message) -> Document:
    key = key_of_message(message.event.id, message.subscription)
    return {"_id": {"$eq": key}, "due_at": {"$eq": message.due_at}}


def _to_message(document: Mapping[str, Any]) -> Message:
    return Message(
        subscription=document["subscription"],
        event=to_record(Event, document["event"]),
        due_at=document["due_at"],
        tries=document["tries"],
    )
