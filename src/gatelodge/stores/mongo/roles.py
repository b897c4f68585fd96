"""Roles in MongoDB."""

from collections.abc import Collection
from dataclasses import dataclass

from pymongo import UpdateOne

from gatelodge.accounts.store import Role
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoRoles:
    """Roles at rest; see `RoleStore`."""

    database: MongoDatabase

    async def ensure(self, roles: Collection[Role]) -> None:
        """Keep each of these roles unless one of its name exists."""
        if roles:
            with writing():
                await self.database.collection("roles").bulk_write([_ensure(r) for r in roles])

    async def list_roles(self) -> list[Role]:
        """Return every role, in order of name."""
        with reading():
            found = self.database.collection("roles").find().sort("_id", 1)
            return [to_record(Role, document, key="name") async for document in found]


def _ensure(role: Role) -> UpdateOne:
    document = to_document(role, key="name")
    return UpdateOne({"_id": {"$eq": role.name}}, {"$setOnInsert": document}, upsert=True)
