"""Roles in MongoDB."""

import contextlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.accounts.store import Role, RoleStore
from gatelodge.audit import Event
from gatelodge.clock import Clock
from gatelodge.errors import AlreadyExists, OutcomeUnknown, StillHeld, StoreUnavailable
from gatelodge.ids import role_id
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import RETRY_AFTER, reading, writing
from gatelodge.stores.mongo.outbox import Outbox, inserted_with, with_event
from gatelodge.stores.mongo.records import Document, to_document, to_record


@dataclass(frozen=True, slots=True)
class MongoRoles(RoleStore):
    """The roles in MongoDB."""

    database: MongoDatabase
    outbox: Outbox
    clock: Clock

    @override
    async def ensure(self, roles: Collection[Role]) -> None:
        if roles:
            with writing():
                await self._roles.bulk_write([_ensure(role) for role in roles])

    @override
    async def add(self, role: Role, event: Event) -> None:
        document = inserted_with(to_document(role, key="name"), event)
        with self.database.announcing(role_id(role.name)):
            try:
                await self._insert(document)
            except AlreadyExists:
                await self._finish_removal(role.name)  # it may be a deleted role
                await self._insert(document)
        await self.outbox.deliver("roles", role.name, event)

    @override
    async def find(self, name: str) -> Role | None:
        with reading():
            document = await self._roles.find_one(_by_name(name))
        return None if document is None else to_record(Role, document, key="name")

    async def find_all(self, names: Collection[str]) -> list[Role]:
        """Return those of these roles that exist."""
        if not names:
            return []
        with reading():
            found = self._roles.find({"_id": {"$in": list(names)}} | _THERE)
            return [to_record(Role, document, key="name") async for document in found]

    @override
    async def list_roles(self) -> list[Role]:
        with reading():
            found = self._roles.find(_THERE).sort("_id", 1)
            return [to_record(Role, document, key="name") async for document in found]

    @override
    async def describe(
        self, name: str, description: str, event: Event, *, within: Collection[str] | None = None
    ) -> bool:
        return await self._change(
            name,
            {"description": {"$ne": description}} | _within(within),
            {"$set": {"description": description}},
            event,
        )

    @override
    async def permit(
        self,
        name: str,
        permission: str,
        event: Event,
        *,
        limit: int,
        within: Collection[str] | None = None,
    ) -> bool:
        # A role is full if the last allowed position of its list is taken.
        room: Document = {f"permissions.{limit - 1}": {"$exists": False}}
        return await self._change(
            name,
            {"permissions": {"$ne": permission}} | room | _within(within),
            {"$push": {"permissions": permission}},
            event,
        )

    @override
    async def forbid(
        self, name: str, permission: str, event: Event, *, within: Collection[str] | None = None
    ) -> bool:
        return await self._change(
            name,
            {"permissions": {"$eq": permission}} | _within(within),
            {"$pull": {"permissions": {"$eq": permission}}},
            event,
        )

    @override
    async def remove(
        self,
        name: str,
        event: Event,
        *,
        unless_held: bool = False,
        within: Collection[str] | None = None,
    ) -> Role | None:
        """Mark the role as removed, with its event; then delete the document.

        If somebody may hold the role, it is set aside first. From then on nobody can be granted the
        role, and whoever was granted it just before is found. Nor can its permissions change.
        """
        aside = await self._set_aside(name, within) if unless_held else _THERE | _within(within)
        if aside is None:
            return None
        with self.database.announcing(role_id(name)), writing():
            document = await self._roles.find_one_and_update(
                {"_id": {"$eq": name}} | aside,
                with_event({"$set": {"removed": True}, "$unset": {"aside": ""}}, event),
            )
        if document is None and unless_held:  # it took so long that `sweep` put the role back
            raise StoreUnavailable(retry_after=RETRY_AFTER)
        if document is None:
            return None
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):  # `sweep` or `add` does it
            await self._finish_removal(name)
        return to_record(Role, document, key="name")

    async def _set_aside(self, name: str, within: Collection[str] | None) -> Document | None:
        """Set a role aside; return the condition that it still is, or None if there is no role.

        There is none either if it has a permission that is not in `within`.

        Raises:
            StillHeld: somebody holds the role, which was put back.
        """
        token = secrets.token_hex(8)
        condition: Document = {"aside.token": {"$eq": token}}
        with self.database.announcing(role_id(name)):
            there = await self._update(
                _by_name(name) | _within(within),
                {"$set": {"aside": {"token": token, "at": self.clock.now()}}},
            )
            if not there:
                return None
            with reading():
                holder = await self.database.collection("users").find_one(
                    {"roles": {"$eq": name}}, projection=["_id"]
                )
            if holder is None:
                return condition
            await self._update({"_id": {"$eq": name}} | condition, {"$unset": {"aside": ""}})
        raise StillHeld

    async def _update(self, query: Document, update: Document) -> bool:
        with writing():
            return (await self._roles.update_one(query, update)).matched_count == 1

    async def sweep(self) -> int:
        """Finish or undo the deletions that died halfway; return how many were finished."""
        overdue = {"aside.at": {"$lt": self.clock.now() - ASIDE_FOR}}
        with writing():
            await self._roles.update_many(overdue, {"$unset": {"aside": ""}})
        with reading():
            removed = await self._roles.find({"removed": True}, projection=["_id"]).to_list()
        for each in removed:
            await self._finish_removal(each["_id"])
        return len(removed)

    async def _finish_removal(self, name: str) -> None:
        """Deliver the events of a removed role, and delete its document."""
        removed = {"_id": {"$eq": name}, "removed": True}
        with reading():
            document = await self._roles.find_one(removed, projection=["outbox"])
        if document is not None:
            await self.outbox.deliver_all("roles", name, document.get("outbox", []))
            with writing():
                await self._roles.delete_one(removed)

    async def _insert(self, document: Document) -> None:
        with writing(unique="name"):
            await self._roles.insert_one(document)

    async def _change(self, name: str, query: Document, update: Document, event: Event) -> bool:
        with self.database.announcing(role_id(name)), writing():
            result = await self._roles.update_one(_by_name(name) | query, with_event(update, event))
        if result.matched_count == 0:
            return False
        await self.outbox.deliver("roles", name, event)
        return True

    @property
    def _roles(self) -> AsyncCollection[Document]:
        return self.database.collection("roles")


ASIDE_FOR = timedelta(seconds=60)
"""How long a role may be set aside; longer than the driver tries to write."""

_THERE: Document = {"removed": None, "aside": None}
"""Matches the documents that are roles: not removed, and not set aside."""


def _by_name(name: str) -> Document:
    return {"_id": {"$eq": name}} | _THERE


def _within(permissions: Collection[str] | None) -> Document:
    """Match the roles that have no other permission than these; None: every role."""
    if permissions is None:
        return {}
    return {"$nor": [{"permissions": {"$elemMatch": {"$nin": list(permissions)}}}]}


def _ensure(role: Role) -> UpdateOne:
    document = to_document(role, key="name")
    return UpdateOne({"_id": {"$eq": role.name}}, {"$setOnInsert": document}, upsert=True)
