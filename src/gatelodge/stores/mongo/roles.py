"""Roles in MongoDB."""

from collections.abc import Collection
from dataclasses import dataclass

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.accounts.store import Role, RoleStore
from gatelodge.ids import role_id
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoRoles(RoleStore):
    """The roles in MongoDB."""

    database: MongoDatabase

    @override
    async def ensure(self, roles: Collection[Role]) -> None:
        if roles:
            with writing():
                await self._roles.bulk_write([_ensure(role) for role in roles])

    @override
    async def add(self, role: Role) -> None:
        with self.database.announcing(role_id(role.name)), writing(unique="name"):
            await self._roles.insert_one(to_document(role, key="name"))

    @override
    async def find(self, name: str) -> Role | None:
        with reading():
            document = await self._roles.find_one({"_id": {"$eq": name}})
        return None if document is None else to_record(Role, document, key="name")

    async def find_all(self, names: Collection[str]) -> list[Role]:
        """Return those of these roles that exist."""
        if not names:
            return []
        with reading():
            found = self._roles.find({"_id": {"$in": list(names)}})
            return [to_record(Role, document, key="name") async for document in found]

    @override
    async def list_roles(self) -> list[Role]:
        with reading():
            found = self._roles.find().sort("_id", 1)
            return [to_record(Role, document, key="name") async for document in found]

    @override
    async def describe(self, name: str, description: str) -> bool:
        with writing():
            result = await self._roles.update_one(
                {"_id": {"$eq": name}}, {"$set": {"description": description}}
            )
        return result.matched_count == 1

    @override
    async def permit(self, name: str, permission: str, *, limit: int) -> bool:
        # A role is full if the last allowed position of its list is taken.
        return await self._change(
            name,
            {"permissions": {"$ne": permission}, f"permissions.{limit - 1}": {"$exists": False}},
            {"$push": {"permissions": permission}},
        )

    @override
    async def forbid(self, name: str, permission: str) -> bool:
        return await self._change(
            name,
            {"permissions": {"$eq": permission}},
            {"$pull": {"permissions": {"$eq": permission}}},
        )

    @override
    async def remove(self, name: str) -> Role | None:
        with self.database.announcing(role_id(name)), writing():
            document = await self._roles.find_one_and_delete({"_id": {"$eq": name}})
        return None if document is None else to_record(Role, document, key="name")

    async def _change(self, name: str, query: Document, update: Document) -> bool:
        with self.database.announcing(role_id(name)), writing():
            result = await self._roles.update_one({"_id": {"$eq": name}} | query, update)
        return result.matched_count == 1

    @property
    def _roles(self) -> AsyncCollection[Document]:
        return self.database.collection("roles")


def _ensure(role: Role) -> UpdateOne:
    document = to_document(role, key="name")
    return UpdateOne({"_id": {"$eq": role.name}}, {"$setOnInsert": document}, upsert=True)
