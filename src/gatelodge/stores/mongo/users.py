"""Users in MongoDB."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.accounts.store import User, UserStore
from gatelodge.errors import AlreadyExists, StoreUnavailable
from gatelodge.ids import UserId
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.names import NOT_VOID, Names
from gatelodge.stores.mongo.records import Document, to_document, to_record

_RAISE_EPOCH: Document = {"$inc": {"epoch": 1}}


@dataclass(frozen=True, slots=True)
class MongoUsers(UserStore):
    """The users in MongoDB."""

    database: MongoDatabase
    names: Names

    @override
    async def add(self, user: User) -> None:
        await self.names.claim(user)
        try:
            # A duplicate is the void document of this user's id: this sign-up took so long that its
            # claims were released, and another user may have its names now.
            with writing(unique="username"):
                await self._users.insert_one(to_document(user))
        except (AlreadyExists, StoreUnavailable):
            await self.names.release(user)
            raise
        await self.names.settle(user)

    @override
    async def find(self, user_id: UserId) -> User | None:
        with reading():
            document = await self._users.find_one(_by_id(user_id))
        return None if document is None else _user(document)

    @override
    async def find_by_username(self, username_key: str) -> User | None:
        return await self._find_by_name("username", username_key)

    @override
    async def find_by_email(self, email_key: str) -> User | None:
        return await self._find_by_name("email", email_key)

    @override
    async def list_users(self, *, after: UserId | None, limit: int) -> list[User]:
        query = NOT_VOID if after is None else NOT_VOID | {"_id": {"$gt": after}}
        with reading():
            found = self._users.find(query).sort("_id", 1).limit(limit)
            return [_user(document) async for document in found]

    @override
    async def replace_password_hash(self, user_id: UserId, old: str, new: str) -> bool:
        return await self._change(
            _by_id(user_id) | {"password_hash": {"$eq": old}}, {"$set": {"password_hash": new}}
        )

    @override
    async def change_password(self, user_id: UserId, old: str | None, new: str) -> User | None:
        with self.database.announcing(user_id), writing():
            document = await self._users.find_one_and_update(
                _by_id(user_id) | {"password_hash": {"$eq": old}},
                {"$set": {"password_hash": new}} | _RAISE_EPOCH,
                return_document=ReturnDocument.AFTER,
            )
        return None if document is None else _user(document)

    @override
    async def grant(self, user_id: UserId, role: str) -> bool:
        return await self._change_openly(
            user_id, {"roles": {"$ne": role}}, {"$push": {"roles": role}}
        )

    @override
    async def withdraw(self, user_id: UserId, role: str) -> bool:
        return await self._change_openly(
            user_id, {"roles": {"$eq": role}}, {"$pull": {"roles": {"$eq": role}}}
        )

    @override
    async def disable(self, user_id: UserId, at: datetime) -> bool:
        return await self._change_openly(
            user_id, {"disabled_at": None}, {"$set": {"disabled_at": at}} | _RAISE_EPOCH
        )

    @override
    async def enable(self, user_id: UserId) -> bool:
        return await self._change_openly(
            user_id,
            {"disabled_at": {"$ne": None}},
            {"$unset": {"disabled_at": "", "disabled_reason": ""}},
        )

    @override
    async def raise_epoch(self, user_id: UserId) -> bool:
        return await self._change_openly(user_id, {}, _RAISE_EPOCH)

    @override
    async def record_sign_in(self, user_id: UserId, at: datetime) -> None:
        await self._change(_by_id(user_id), {"$max": {"last_sign_in_at": at}})

    @override
    async def remove(self, user_id: UserId) -> bool:
        user = await self.find(user_id)
        with self.database.announcing(user_id):
            return user is not None and await self.names.let_go(user)

    @override
    async def anyone_holds(self, role: str, *, besides: UserId | None = None) -> bool:
        query: dict[str, Any] = {"roles": {"$eq": role}, "disabled_at": None}
        if besides is not None:
            query["_id"] = {"$ne": besides}
        with reading():
            return await self._users.find_one(query, projection=["_id"]) is not None

    @override
    async def list_holders(self, role: str, *, limit: int) -> list[UserId]:
        with reading():
            found = self._users.find({"roles": {"$eq": role}}, projection=["_id"]).limit(limit)
            return [UserId(document["_id"]) async for document in found]

    @override
    async def withdraw_from(self, user_ids: Collection[UserId], role: str) -> int:
        holders = {"_id": {"$in": list(user_ids)}, "roles": {"$eq": role}}
        with ExitStack() as announced, writing():
            for user_id in user_ids:
                announced.enter_context(self.database.announcing(user_id))
            result = await self._users.update_many(holders, {"$pull": {"roles": {"$eq": role}}})
        return result.matched_count

    async def sweep_names(self) -> int:
        """Clean up after sign-ups and deletions that died halfway; see `Names.sweep`."""
        return await self.names.sweep()

    async def _find_by_name(self, field: str, key: str) -> User | None:
        user_id = await self.names.find(field, key)
        return None if user_id is None else await self.find(user_id)

    async def _change_openly(self, user_id: UserId, query: Document, update: Document) -> bool:
        with self.database.announcing(user_id):
            return await self._change(_by_id(user_id) | query, update)

    async def _change(self, query: Document, update: Document) -> bool:
        with writing():
            result = await self._users.update_one(query, update)
        return result.matched_count == 1

    @property
    def _users(self) -> AsyncCollection[Document]:
        return self.database.collection("users")


def _by_id(user_id: UserId) -> Document:
    return {"_id": {"$eq": user_id}} | NOT_VOID


def _user(document: Document) -> User:
    """Return the user in a document.

    Before version 0005 of the records, `email_verified_at` was named `verified_at`
    (docs/decisions/0014). A method that removes one of them must remove both.
    """
    if "verified_at" in document:
        document = {"email_verified_at": document["verified_at"]} | document
    return to_record(User, document)
