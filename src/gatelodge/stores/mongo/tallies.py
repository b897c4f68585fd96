"""Numbers of events by days in MongoDB. The `_id` of a number is its day and name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document
from gatelodge.tallies import TallyStore


@dataclass(frozen=True, slots=True)
class MongoTallies(TallyStore):
    """The numbers in MongoDB."""

    database: MongoDatabase

    @override
    async def add(self, counts: Mapping[tuple[date, str], int]) -> None:
        if not counts:
            return
        with writing():
            await self._tallies.bulk_write(
                [
                    UpdateOne(
                        {"_id": {"$eq": f"{day.isoformat()}:{name}"}},
                        {"$inc": {"count": count}},
                        upsert=True,
                    )
                    for (day, name), count in counts.items()
                ],
                ordered=False,
            )

    @override
    async def list_days(self, first: date, last: date) -> dict[date, dict[str, int]]:
        within = {"$gte": f"{first.isoformat()}:", "$lt": f"{last.isoformat()};"}  # after every `:`
        days: dict[date, dict[str, int]] = {}
        with reading():
            async for each in self._tallies.find({"_id": within}):
                day, _, name = each["_id"].partition(":")
                days.setdefault(date.fromisoformat(day), {})[name] = each["count"]
        return days

    @override
    async def remove_before(self, first: date) -> None:
        with writing():
            await self._tallies.delete_many({"_id": {"$lt": first.isoformat()}})

    @property
    def _tallies(self) -> AsyncCollection[Document]:
        return self.database.collection("tallies")
