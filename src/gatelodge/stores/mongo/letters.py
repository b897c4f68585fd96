"""Letters in MongoDB."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.letters.store import Letter, LetterState, LetterStore
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.outbox import DELIVERED, Outbox, also_with, with_event
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoLetters(LetterStore):
    """The letters in MongoDB."""

    database: MongoDatabase
    outbox: Outbox

    @override
    async def add(self, letter: Letter) -> bool:
        with writing():
            try:
                await self._letters.insert_one(to_document(letter))
            except DuplicateKeyError:
                return False
        return True

    @override
    async def find(self, letter_id: str) -> Letter | None:
        with reading():
            found = await self._letters.find_one({"_id": {"$eq": letter_id}})
        return None if found is None else to_record(Letter, found)

    @override
    async def list_letters(
        self, *, before: str | None, limit: int, states: Collection[LetterState] = ()
    ) -> list[Letter]:
        query: Document = {} if before is None else {"_id": {"$lt": before}}
        if states:
            query["state"] = {"$in": list(states)}
        with reading():
            found = self._letters.find(query).sort("_id", -1).limit(limit)
            return [to_record(Letter, each) async for each in found]

    @override
    async def claim(self, now: datetime, until: datetime, *, limit: int) -> list[Letter]:
        due: Document = {"state": {"$eq": "waiting"}, "due_at": {"$lte": now}}
        while True:
            with reading():
                found = self._letters.find(due, projection=["due_at"])
                seen = await found.sort([("due_at", 1), ("_id", 1)]).limit(limit).to_list()
            claims = await asyncio.gather(*(self._claim(each, until) for each in seen))
            claimed = [to_record(Letter, each) for each in claims if each is not None]
            if claimed or not seen:
                return claimed

    async def _claim(self, seen: Document, until: datetime) -> Document | None:
        """Claim a letter, unless somebody else has claimed it since it was seen."""
        as_seen: Document = {
            "_id": {"$eq": seen["_id"]},
            "state": {"$eq": "waiting"},
            "due_at": {"$eq": seen["due_at"]},
        }
        with writing():
            return await self._letters.find_one_and_update(
                as_seen,
                {"$set": {"due_at": until}, "$inc": {"claims": 1}},
                return_document=ReturnDocument.AFTER,
            )

    @override
    async def write(self, letter: Letter, *, subject: str | None, sealed_values: bytes) -> bool:
        values: Document = {"sealed_values": sealed_values, "written": True}
        if subject is not None:
            values["subject"] = subject
        return await self._change(_claimed(letter), {"$set": values})

    @override
    async def finish(
        self,
        letter: Letter,
        state: LetterState,
        at: datetime,
        *,
        error: str = "",
        event: Event | None = None,
    ) -> bool:
        values: Document = {"state": state, "ended_at": at, "error": error}
        if state == "dropped":
            values |= {"to": "", "to_key": ""}
        change: Document = {"$set": values}
        if state != "given_up":
            change["$unset"] = {"sealed_values": ""}
        claimed = _claimed(letter)
        if event is None:
            return await self._change(claimed, change)
        return await self._change_with(event, letter.id, claimed, with_event(change, event))

    @override
    async def postpone(
        self, letter: Letter, until: datetime, *, failed: bool = False, error: str = ""
    ) -> bool:
        values: Document = {"due_at": until} | ({"error": error} if failed else {})
        return await self._change(
            _claimed(letter), {"$set": values, "$inc": {"failures": int(failed)}}
        )

    @override
    async def retry(
        self, letter_id: str, at: datetime, event: Event, *, claims_end_by: datetime
    ) -> bool:
        unclaimed: list[Document] = [
            {"$expr": {"$lte": ["$claims", "$failures"]}},
            {"due_at": {"$lte": at}},
            {"due_at": {"$gt": claims_end_by}},
        ]
        there: Document = {
            "_id": {"$eq": letter_id},
            "$or": [
                {"state": {"$eq": "given_up"}},
                {"state": {"$eq": "waiting"}, "$or": unclaimed},
            ],
        }
        given_up: Document = {"$eq": ["$state", "given_up"]}
        counted = {name: {"$cond": [given_up, 0, f"${name}"]} for name in ("failures", "claims")}
        change: list[Document] = [
            {"$set": counted | {"state": "waiting", "due_at": at}},
            {"$unset": "ended_at"},
        ]
        return await self._change_with(event, letter_id, there, change + also_with(event))

    @override
    async def count_guess(self, letter_id: str, limit: int) -> bool:
        few: Document = {"_id": {"$eq": letter_id}, "guesses": {"$lt": limit}}
        return await self._change(few, {"$inc": {"guesses": 1}})

    @override
    async def count_before(self, letter: Letter, kinds: Collection[str], since: datetime) -> int:
        query: Document = {
            "to_key": {"$eq": letter.to_key},  # one that is dropped has no address any more
            "created_at": {"$gte": since},
            "kind": {"$in": list(kinds)},
            "$or": [
                {"_id": {"$lt": letter.id}},
                {"_id": {"$gt": letter.id}, "written": {"$eq": True}},
            ],
        }
        with reading():
            return await self._letters.count_documents(query)

    @override
    async def count_waiting(self, *, due_by: datetime | None = None) -> int:
        query: Document = {"state": {"$eq": "waiting"}}
        if due_by is not None:
            query["due_at"] = {"$lte": due_by}
        with reading():
            return await self._letters.count_documents(query)

    @override
    async def count(self, state: LetterState, *, limit: int) -> int:
        with reading():
            return await self._letters.count_documents({"state": {"$eq": state}}, limit=limit)

    @override
    async def sweep(self, ended_before: datetime, *, limit: int) -> int:
        old: Document = {"ended_at": {"$lt": ended_before}} | DELIVERED
        with reading():
            found = self._letters.find(old, projection=["_id"]).limit(limit)
            ids = [each["_id"] async for each in found]
        with writing():
            gone = await self._letters.delete_many({"_id": {"$in": ids}} | old)
        return gone.deleted_count

    async def _change(self, query: Document, change: Document | list[Document]) -> bool:
        with writing():
            changed = await self._letters.update_one(query, change)
        return changed.matched_count == 1

    async def _change_with(
        self, event: Event, letter_id: str, query: Document, change: Document | list[Document]
    ) -> bool:
        """Make a change that puts an event into the outbox, and deliver the event."""
        changed = await self._change(query, change)
        if changed:
            await self.outbox.deliver("letters", letter_id, event)
        return changed

    @property
    def _letters(self) -> AsyncCollection[Document]:
        return self.database.collection("letters")


def _claimed(letter: Letter) -> Document:
    return {
        "_id": {"$eq": letter.id},
        "state": {"$eq": "waiting"},
        "due_at": {"$eq": letter.due_at},
    }
