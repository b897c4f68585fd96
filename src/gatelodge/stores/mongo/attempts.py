"""Failed tries and tries in progress in MongoDB.

One document holds both for a key: the failures, and the reservations in `open`. Each change is one
update with a pipeline, so the database computes the new document from the old one, and no other
change comes between. The pipelines say the same as `after_failure` and `Limit` in
`credentials/store.py`; a contract test compares them.
"""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.credentials.store import (
    KEPT_AT_MOST,
    KEPT_FOR_EACH,
    LAPSES_AFTER,
    LONG_AGO,
    MAX_DOUBLINGS,
    Attempts,
    AttemptStore,
    Limit,
    Reservation,
)
from gatelodge.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.outbox import DELIVERED, Outbox, also_with
from gatelodge.stores.mongo.records import Document, to_record

_HAS_FAILED: Document = {"streak": {"$gt": 0}}
"""Leaves out documents that hold reservations only."""

_EMPTY: Document = {"streak": 0, "open": []}


@dataclass(frozen=True, slots=True)
class MongoAttempts(AttemptStore):
    """The failed tries in MongoDB."""

    database: MongoDatabase
    outbox: Outbox

    @override
    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        with reading():
            found = self._attempts.find({"_id": {"$in": list(keys)}} | _HAS_FAILED)
            records = [to_record(Attempts, each, key="key") async for each in found]
        return {record.key: record for record in records}

    @override
    async def reserve(self, wanted: Reservation, limit: Limit, at: datetime) -> timedelta | None:
        document = await self._change(wanted.key, _reserving(wanted, limit, at))
        if any(each["id"] == wanted.id for each in document["open"]):
            return None
        return to_record(Attempts, document, key="key").wait_at(limit, at)

    @override
    async def give_back(self, reservation: Reservation, *, forget: bool = False) -> None:
        only_this = {"open": {"$size": 1}, "open.id": reservation.id}
        empty = {} if forget else {"streak": 0}
        with writing():
            result = await self._attempts.delete_one(
                _by_key(reservation.key) | only_this | empty | DELIVERED
            )
            if not result.deleted_count:  # other tries are in progress, or failures stay
                ended = _forgetting() if forget else []
                await self._attempts.update_one(
                    _by_key(reservation.key), [{"$set": {"open": _without(reservation)}}, *ended]
                )

    @override
    async def count_failure(
        self, key: str, limit: Limit, at: datetime, reservation: Reservation | None = None
    ) -> Attempts:
        document = await self._change(key, _counting(limit, at, reservation))
        return to_record(Attempts, document, key="key")

    @override
    async def forget(self, keys: Collection[str], event: Event | None = None) -> bool:
        return await self._forget({"_id": {"$in": list(keys)}}, event) > 0

    @override
    async def remove_quiet(self, at: datetime) -> int:
        quiet = {"forget_at": {"$lte": at}} | DELIVERED
        with writing():
            await self._attempts.delete_many(quiet | {"streak": 0})
            result = await self._attempts.delete_many(quiet)
        return result.deleted_count

    @override
    async def forget_all(self, event: Event) -> int:
        return await self._forget({}, event)

    async def _forget(self, query: Document, event: Event | None) -> int:
        """Empty these documents, each of which carries the event until it is delivered.

        Then delete them; if this fails, `remove_quiet` does it.
        """
        told = also_with(event) if event else []
        with writing():
            result = await self._attempts.update_many(query | _HAS_FAILED, [*_forgetting(), *told])
        if result.matched_count:
            if event is not None:
                await self.outbox.deliver_shared("attempts", event)
            with contextlib.suppress(StoreUnavailable, OutcomeUnknown), writing():
                await self._attempts.delete_many(query | _EMPTY | DELIVERED)
        return result.matched_count

    async def _change(self, key: str, pipeline: list[Document]) -> Document:
        """Change the document of a key, which is made if there is none; return the new one."""
        document = None
        while document is None:
            # A duplicate: another caller has made the document at the same moment.
            with contextlib.suppress(AlreadyExists), writing():
                document = await self._attempts.find_one_and_update(
                    _by_key(key), pipeline, upsert=True, return_document=ReturnDocument.AFTER
                )
        return document

    @property
    def _attempts(self) -> AsyncCollection[Document]:
        return self.database.collection("attempts")


def _by_key(key: str) -> Document:
    return {"_id": {"$eq": key}}


def _reserving(wanted: Reservation, limit: Limit, at: datetime) -> list[Document]:
    """Return the pipeline that adds the reservation if the limit allows one more try."""
    live = {"$filter": {"input": "$open", "cond": {"$gt": ["$$this.lapses_at", at]}}}
    added = [{"id": {"$literal": wanted.id}, "lapses_at": at + LAPSES_AFTER}]
    stopped = [{"$gte": ["$streak", limit.hard_stop]}] if limit.hard_stop else []
    blocked = {"$or": [{"$gt": ["$blocked_until", at]}, *stopped]}
    may_try = {"$and": [{"$not": [blocked]}, {"$lt": [{"$size": live}, _tries_left(limit, at)]}]}
    return [
        _with_defaults(at),
        {"$set": {"open": {"$cond": [may_try, {"$concatArrays": [live, added]}, "$open"]}}},
        {"$set": {"forget_at": {"$max": ["$forget_at", at + LAPSES_AFTER]}}},
    ]


def _counting(limit: Limit, at: datetime, ended: Reservation | None) -> list[Document]:
    """Return the pipeline that does what `after_failure` does, and ends the reservation."""
    kept = {"$min": [{"$multiply": ["$streak", _ms(KEPT_FOR_EACH)]}, _ms(KEPT_AT_MOST)]}
    return [
        _with_defaults(at),
        {"$set": {"failures": {"$add": [_failures_at(at), 1]}, "streak": {"$add": ["$streak", 1]}}},
        {
            "$set": {
                "until": {"$cond": [{"$gt": ["$failures", 1]}, "$until", at + limit.period]},
                "blocked_until": {"$cond": [{"$eq": ["$streak", 1]}, LONG_AGO, "$blocked_until"]},
                "open": _without(ended) if ended else "$open",
            }
        },
        *_blocking(limit, at),
        {"$set": {"forget_at": {"$max": ["$until", {"$add": [at, kept]}]}}},
    ]


def _blocking(limit: Limit, at: datetime) -> list[Document]:
    """Return the stages that block the key if this failure does; see `Limit.wait_after`."""
    beyond = {"$subtract": ["$failures", limit.tries]}
    if limit.first_wait is None:
        reached = {"$gte": [beyond, 0]}
        return [{"$set": {"blocked_until": {"$cond": [reached, "$until", "$blocked_until"]}}}]
    doublings = {"$floor": {"$divide": [beyond, limit.doubles_after]}}
    factor = {"$pow": [2, {"$min": [doublings, MAX_DOUBLINGS]}]}
    wait = {"$min": [{"$multiply": [_ms(limit.first_wait), factor]}, _ms(limit.longest_wait)]}
    blocks = {
        "$and": [
            {"$gte": [beyond, 0]},
            {"$eq": [{"$mod": [beyond, limit.doubles_after]}, 0]},
        ]
    }
    ends = {"$add": [at, wait]}
    period_ends = {"$add": [at, wait, {"$max": [wait, _ms(limit.period)]}]}
    return [
        {
            "$set": {
                "blocked_until": {"$cond": [blocks, ends, "$blocked_until"]},
                "until": {"$cond": [blocks, period_ends, "$until"]},
            }
        }
    ]


def _forgetting() -> list[Document]:
    """Return the stages that forget the failures and leave the reservations.

    The document then stays until the last reservation ends or lapses.
    """
    return [
        {"$set": {"failures": 0, "streak": 0, "until": LONG_AGO, "blocked_until": LONG_AGO}},
        {"$set": {"forget_at": {"$ifNull": [{"$max": "$open.lapses_at"}, LONG_AGO]}}},
    ]


def _with_defaults(at: datetime) -> Document:
    """Return the stage that fills in a new document."""
    new = {
        "failures": 0,
        "streak": 0,
        "until": at,
        "blocked_until": LONG_AGO,
        "forget_at": at,
        "open": [],
    }
    return {"$set": {name: {"$ifNull": [f"${name}", value]} for name, value in new.items()}}


def _failures_at(at: datetime) -> Document:
    return {"$cond": [{"$lt": [at, "$until"]}, "$failures", 0]}


def _tries_left(limit: Limit, at: datetime) -> Document:
    """Return the expression for `Limit.tries_left`."""
    beyond = {"$subtract": [_failures_at(at), limit.tries]}
    further = {"$mod": [beyond, limit.doubles_after]}
    left: Document = {
        "$cond": [
            {"$lt": [beyond, 0]},
            {"$subtract": [0, beyond]},
            {"$subtract": [limit.doubles_after, further]},
        ]
    }
    if limit.hard_stop:
        left = {"$max": [1, {"$min": [left, {"$subtract": [limit.hard_stop, "$streak"]}]}]}
    return left


def _without(reservation: Reservation) -> Document:
    """Return the expression for the reservations but this one."""
    there = {"$ifNull": ["$open", []]}
    return {"$filter": {"input": there, "cond": {"$ne": ["$$this.id", reservation.id]}}}


def _ms(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
