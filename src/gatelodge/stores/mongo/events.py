"""Events in MongoDB, and the messages for whoever has subscribed to them."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pymongo import UpdateMany, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.audit import (
    EVENT_PREFIX,
    Blanked,
    Event,
    EventPage,
    EventQuery,
    EventStore,
    blanked,
)
from gatelodge.errors import AlreadyExists
from gatelodge.ids import UserId, first_id
from gatelodge.stores import event_search
from gatelodge.stores.event_search import (
    Lead,
    Reach,
    Span,
    about,
    conditions_of,
    farthest,
    leads_of,
    oldest_of,
    page_of,
)
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, all_of, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoEvents(EventStore):
    """The events in MongoDB.

    Attributes:
        database: where they are stored.
        settle: stores the events that still wait in the documents that they are about.
    """

    database: MongoDatabase
    settle: Callable[[], Awaitable[object]]

    @override
    async def add(self, event: Event) -> None:
        await put_event(self.database, to_document(event))

    @override
    async def find(self, event_id: str) -> Event | None:
        with reading():
            document = await self._events.find_one({"_id": {"$eq": event_id}})
        return None if document is None else to_record(Event, document)

    @override
    async def search(self, query: EventQuery, *, before: str | None, limit: int) -> EventPage:
        leads, span = leads_of(query), Span.of(query, before)
        if not leads:
            return page_of(await self._find(_within(span), -1, limit), limit, "")
        reach = await self._reach_of(leads, span)
        wanted = _within(span.above(reach.floor)) | {
            field: {"$eq": value} for field, value in conditions_of(query)
        }
        if query.about is not None:
            wanted["$or"] = [{each: {"$eq": query.about}} for each in ("actor", "target")]
        found = [
            event
            for field, value in reach.lead
            for event in await self._find(
                {"$and": [{field: {"$eq": value}}, wanted]}, -1, limit, field
            )
        ]
        return page_of(found, limit, reach.floor)

    async def _reach_of(self, leads: list[Lead], span: Span) -> Reach:
        """Choose the lead to follow, and return how far it goes."""
        if len(leads) == 1:
            return Reach("", 0, leads[0])  # it meets nothing but what matches
        reaches: list[Reach] = []
        for lead in leads:
            reaches.append(Reach.of(lead, await self._walked(lead, span)))
            if reaches[-1].is_short:
                break
        return farthest(reaches)

    async def _walked(self, lead: Lead, span: Span) -> list[tuple[int, str]]:
        """Return how many events each walk of a lead meets, and the id of the last one."""
        walked = []
        for field, value in lead:
            met: list[Document] = [
                {"$match": {field: {"$eq": value}} | _within(span)},
                {"$sort": {"_id": -1}},
                {"$limit": event_search.EXAMINED},
                {"$group": {"_id": None, "met": {"$sum": 1}, "last": {"$min": "$_id"}}},
            ]
            with reading():
                found = await self._events.aggregate(met, hint=dict(_index_of(field)))
                counted = await found.to_list()
            walked += [(each["met"], each["last"]) for each in counted]
        return walked

    async def _find(
        self, wanted: Document, order: int, limit: int, field: str | None = None
    ) -> list[Event]:
        """Return the first events in the order of their ids, one more than fit into a page.

        Args:
            wanted: matches the events.
            order: 1 for the oldest first, -1 for the newest first.
            limit: how many fit into a page.
            field: the field whose index is followed; None: that of the ids.
        """
        hint = [("_id", 1)] if field is None else _index_of(field)
        with reading():
            found = self._events.find(wanted).sort("_id", order).limit(limit + 1).hint(hint)
            return await all_of(found, partial(to_record, Event))

    @override
    async def list_since(self, after: str | None, *, limit: int) -> list[Event]:
        return (await self._find({"_id": {"$gt": after or ""}}, 1, limit))[:limit]

    @override
    async def remove_before(self, before: datetime, *, limit: int) -> int:
        old = {"_id": {"$lt": first_id(EVENT_PREFIX, before)}}
        with reading():
            found = self._events.find(old, projection=["_id"]).sort("_id", 1).limit(limit)
            ids = [each["_id"] async for each in found]
        if not ids:
            return 0
        with writing():
            removed = await self._events.delete_many({"_id": {"$in": ids}})
        return removed.deleted_count

    @override
    async def blank(self, user_id: UserId, *, after: str | None, limit: int) -> Blanked:
        if after is None:
            await self.settle()
        found = [
            event
            for field, value in about(user_id)
            for event in await self._find(
                {field: {"$eq": value}, "_id": {"$gt": after or ""}}, 1, limit, field
            )
        ]
        page, rest = oldest_of(found, limit)
        changed = [now for event in page if (now := blanked(event, user_id)) != event]
        if changed:
            with writing():  # first what is still to be told: then this page is not repeated
                await self.database.collection("messages").bulk_write(
                    [UpdateMany(_messages_of(each), _blanking(each, "event.")) for each in changed],
                    ordered=False,
                )
            with writing():
                await self._events.bulk_write(
                    [UpdateOne({"_id": {"$eq": each.id}}, _blanking(each)) for each in changed],
                    ordered=False,
                )
        return Blanked(len(page), len(changed), rest)

    @property
    def _events(self) -> AsyncCollection[Document]:
        return self.database.collection("events")


def _within(span: Span) -> Document:
    """Return what matches the ids of a range."""
    return {"_id": {"$gte": span.first, "$lt": span.end}}


def _index_of(field: str) -> list[tuple[str, int]]:
    return [(field, 1), ("_id", 1)]


def _messages_of(event: Event) -> Document:
    """Return what matches the messages of an event; see `key_of_message`."""
    return {"_id": {"$gte": key_of_message(event.id, ""), "$lt": f"{event.id};"}}


def _blanking(event: Event, prefix: str = "") -> Document:
    """Return the update of a document to a blanked event."""
    values = {"address": event.address, "user_agent": event.user_agent, "detail": event.detail}
    return {"$set": {f"{prefix}{name}": value for name, value in values.items()}}


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
