"""Factors in MongoDB: a list in the document of their user."""

from dataclasses import dataclass

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.credentials.factors import Change, Factor, Factors, FactorStore, credential_ids_of
from gatelodge.ids import UserId
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.names import NOT_VOID, Names, passkey_claim
from gatelodge.stores.mongo.outbox import Outbox, with_event
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoFactors(FactorStore):
    """The factors in MongoDB.

    A change is computed from what was read, and written if the list is still the same. Otherwise
    it is computed again. The factors of one user change rarely.
    """

    database: MongoDatabase
    names: Names
    outbox: Outbox

    @override
    async def change(
        self,
        user_id: UserId,
        change: Change,
        event: Event | None = None,
        *,
        epoch: int | None = None,
        ends_sessions: bool = False,
    ) -> Factors | None:
        as_wanted = {} if epoch is None else {"epoch": epoch, "disabled_at": None}
        while (stored := await self._find(user_id, as_wanted)) is not None:
            before = factors_in(stored)
            after = change(before)
            if after is None:
                return None
            update = _storing(after, event, ends_sessions=ends_sessions)
            condition = as_wanted | _unchanged(stored)
            if await self._write(user_id, condition, update, before, after):
                if event is not None:
                    await self.outbox.deliver("users", user_id, event)
                return after
        return None

    async def _find(self, user_id: UserId, condition: Document) -> Document | None:
        """Return the factors in the document of a user, or None if there is no such user."""
        query = {"_id": {"$eq": user_id}} | NOT_VOID | condition
        with reading():
            return await self._users.find_one(query, projection=["factors"])

    async def _write(
        self,
        user_id: UserId,
        condition: Document,
        update: Document,
        before: Factors,
        after: Factors,
    ) -> bool:
        """Make the change if the document matches. Return whether it did."""
        claims, wanted = _claims_of(before), _claims_of(after)
        with self.database.announcing(user_id):
            if claims != wanted:
                gained = dict.fromkeys(wanted - claims, "credential_id")
                changed = await self.names.trade(
                    user_id, condition, update, gained=gained, lost=claims - wanted
                )
                return changed is not None
            with writing():
                document = await self._users.find_one_and_update(
                    {"_id": {"$eq": user_id}} | NOT_VOID | condition,
                    update,
                    projection=["_id"],
                    return_document=ReturnDocument.AFTER,
                )
            return document is not None

    @property
    def _users(self) -> AsyncCollection[Document]:
        return self.database.collection("users")


def factors_in(document: Document) -> Factors:
    """Return the factors in the document of a user."""
    return tuple(to_record(Factor, each) for each in document.get("factors", ()))


def _claims_of(factors: Factors) -> set[str]:
    return {passkey_claim(each) for each in credential_ids_of(factors)}


def _unchanged(stored: Document) -> Document:
    """Match a document whose factors are as in this one."""
    return {"factors": {"$eq": stored["factors"]} if "factors" in stored else None}


def _storing(factors: Factors, event: Event | None, *, ends_sessions: bool) -> Document:
    """Return the update that stores these factors, and the event."""
    update: Document = {"$set": {"continued": None}, "$inc": {"epoch": 1}} if ends_sessions else {}
    if factors:
        stored = {"factors": [to_document(each) for each in factors]}
        update["$set"] = update.get("$set", {}) | stored
    else:
        update["$unset"] = {"factors": ""}
    return with_event(update, event) if event is not None else update
