"""Users in MongoDB."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.accounts.search import Count, UserQuery
from gatelodge.accounts.store import SET_PASSWORD, User, UserPage, UserStore
from gatelodge.audit import Event
from gatelodge.errors import AlreadyExists, StoreUnavailable
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.store import Session
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.factors import factors_in
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.last_holder import MARK as STEPPING_DOWN
from gatelodge.stores.mongo.last_holder import LastHolders
from gatelodge.stores.mongo.names import NOT_VOID, Names
from gatelodge.stores.mongo.outbox import Outbox, also_with, inserted_with, with_event
from gatelodge.stores.mongo.records import Document, all_of, to_document, to_record
from gatelodge.stores.mongo.unnamed import PAGE, WITHOUT_KEY, completing
from gatelodge.stores.mongo.user_search import EVERYBODY, count_matching, find_page
from gatelodge.stores.user_order import stored_name_key
from gatelodge.turns import in_turns

_PASSWORD_TO_SET: Document = {"must": {"$eq": SET_PASSWORD}}
"""What is pulled from the document of a user who has set a new password."""

_MANY = 10_000
"""So many users are counted in a few milliseconds."""

_NOBODY = UserId("usr_nobody")
"""An id that no user has."""


@dataclass(frozen=True, slots=True)
class MongoUsers(UserStore):
    """The users in MongoDB."""

    database: MongoDatabase
    names: Names
    outbox: Outbox
    last_holders: LastHolders

    @override
    async def add(self, user: User, event: Event) -> None:
        await self.names.claim(user)
        try:
            # A duplicate is the void document of this user's id: this sign-up took so long that its
            # claims were released, and another user may have its names now.
            with writing(unique="username"):
                await self._users.insert_one(inserted_with(document_of(user), event))
        except (AlreadyExists, StoreUnavailable):
            await self.names.release(user)
            raise
        await self.names.settle(user)
        await self.outbox.deliver("users", user.id, event)

    @override
    async def find(self, user_id: UserId) -> User | None:
        with reading():
            document = await self._users.find_one(_by_id(user_id))
        return None if document is None else _user(document)

    @override
    async def find_many(self, user_ids: Collection[UserId]) -> dict[UserId, User]:
        if not user_ids:
            return {}
        query = NOT_VOID | {"_id": {"$in": list(user_ids)}}
        with reading():
            found = await all_of(self._users.find(query), _user)
        return {user.id: user for user in found}

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
            return await all_of(found, _user)

    @override
    async def replace_password_hash(self, user_id: UserId, old: str, new: str) -> bool:
        return await self._change(
            _by_id(user_id) | {"password_hash": {"$eq": old}}, {"$set": {"password_hash": new}}
        )

    @override
    async def change_password(
        self, user: User, new: str, event: Event, *, continued: SessionId | None
    ) -> User | None:
        condition = {"password_hash": {"$eq": user.password_hash}} | _as_read(user)
        changed = {"password_hash": new, "continued": continued}
        update = with_event(
            {"$set": changed, "$inc": {"epoch": 1}, "$pull": _PASSWORD_TO_SET}, event
        )
        return await self._change_to(user, condition, update, event)

    @override
    async def set_password(self, user_id: UserId, new: str, event: Event) -> bool:
        changed = {"password_hash": new, "continued": None}
        update = {"$set": changed, "$inc": {"epoch": 1}, "$pull": _PASSWORD_TO_SET}
        return await self._change_openly(user_id, {}, update, event)

    @override
    async def rename(
        self,
        user: User,
        event: Event,
        *,
        name: str,
        username: str,
        username_key: str,
        disabled_too: bool = False,
    ) -> User | None:
        as_read = {
            "name": {"$in": [user.name] if user.name else ["", None]},  # old records have none
            "username": {"$eq": user.username},
        } | _as_read(user, disabled_too=disabled_too)
        changed = {"name": name, "username": username, "username_key": username_key}
        change: Document = {"$set": changed}
        if (key := stored_name_key(name)) is None:
            change["$unset"] = {"name_key": ""}
        else:
            changed["name_key"] = key
        update = with_event(change, event)
        with self.database.announcing(user.id):
            document = await self.names.exchange("username", user, username_key, as_read, update)
        return await self._changed(document, event)

    @override
    async def reset_password(
        self, user: User, new: str | None, event: Event, *, at: datetime
    ) -> User | None:
        condition = {"email_key": {"$eq": user.email_key}} | _as_read(user)
        has_factors = {"$gt": ["$factors", None]}
        since = {"$cond": [has_factors, "$$REMOVE", {"$literal": at}]}
        verified: Document = {"$ifNull": ["$email_verified_at", "$verified_at", since]}
        changed: Document = {
            "password_hash": {"$literal": new},
            "continued": None,
            "email_verified_at": verified,
            "epoch": {"$add": ["$epoch", 1]},
        }
        if new is not None:
            tasks = {"$ifNull": ["$must", []]}
            others = {"$ne": ["$$this", SET_PASSWORD]}
            changed["must"] = {"$filter": {"input": tasks, "cond": others}}
        return await self._change_to(user, condition, [{"$set": changed}, *also_with(event)], event)

    @override
    async def set_email(
        self,
        user: User,
        event: Event,
        *,
        email: str,
        email_key: str,
        verified_at: datetime | None,
        disabled_too: bool = False,
    ) -> User | None:
        as_read = {"email": {"$eq": user.email}} | _as_read(user, disabled_too=disabled_too)
        changed: Document = {"$set": {"email": email, "email_key": email_key}}
        if verified_at is None:
            changed["$unset"] = {"email_verified_at": "", "verified_at": ""}
        else:
            changed["$set"]["email_verified_at"] = verified_at
        update = with_event(changed, event)
        with self.database.announcing(user.id):
            document = await self.names.exchange("email", user, email_key, as_read, update)
        return await self._changed(document, event)

    @override
    async def grant(self, user_id: UserId, role: str, event: Event) -> bool:
        return await self._change_openly(
            user_id, {"roles": {"$ne": role}}, {"$push": {"roles": role}}, event
        )

    @override
    async def withdraw(
        self, user_id: UserId, role: str, event: Event, *, unless_last: str | None = None
    ) -> bool:
        return await self._change_openly(
            user_id,
            {"roles": {"$eq": role}},
            {"$pull": {"roles": {"$eq": role}}, "$unset": {STEPPING_DOWN: ""}},
            event,
            unless_last,
        )

    @override
    async def disable(
        self,
        user_id: UserId,
        at: datetime,
        event: Event,
        *,
        reason: str | None = None,
        unless_last: str | None = None,
    ) -> bool:
        disabled: Document = {"disabled_at": at, "continued": None}
        if reason is not None:
            disabled["disabled_reason"] = reason
        return await self._change_openly(
            user_id,
            {"disabled_at": None},
            {"$set": disabled, "$inc": {"epoch": 1}, "$unset": {STEPPING_DOWN: ""}},
            event,
            unless_last,
        )

    @override
    async def enable(self, user_id: UserId, event: Event) -> bool:
        return await self._change_openly(
            user_id,
            {"disabled_at": {"$ne": None}},
            {"$unset": {"disabled_at": "", "disabled_reason": ""}},
            event,
        )

    @override
    async def require(self, user_id: UserId, what: str, event: Event) -> bool:
        update: Document = {
            "$push": {"must": what},
            "$inc": {"epoch": 1},
            "$set": {"continued": None},
        }
        return await self._change_openly(user_id, {"must": {"$ne": what}}, update, event)

    @override
    async def raise_epoch(self, user_id: UserId, event: Event) -> bool:
        update: Document = {"$inc": {"epoch": 1}, "$set": {"continued": None}}
        return await self._change_openly(user_id, {}, update, event)

    @override
    async def remove(
        self, user_id: UserId, event: Event, *, unless_last: str | None = None
    ) -> bool:
        user = await self.find(user_id)
        if user is None:
            return False
        with self.database.announcing(user_id):
            return await self.last_holders.change(
                user_id, unless_last, lambda condition: self.names.let_go(user, event, condition)
            )

    async def record_sign_in(self, session: Session, *, without_factors: bool = False) -> bool:
        """Store when the user of a session last signed in.

        True if the user is enabled and has the epoch of the session, and no factors if there must
        be none. In a session of an impersonator, nothing is stored: the user has not signed in.
        """
        wanted: Document = {"epoch": session.epoch, "disabled_at": None}
        if without_factors:
            wanted["factors"] = None
        query = _by_id(session.user_id) | wanted
        if session.impersonator is not None:
            with reading():
                return await self._users.find_one(query, projection=["_id"]) is not None
        return await self._change(query, {"$max": {"last_sign_in_at": session.created_at}})

    @override
    async def anyone_holds(self, role: str) -> bool:
        query = {"roles": {"$eq": role}, "disabled_at": None}
        with reading():
            return await self._users.find_one(query, projection=["_id"]) is not None

    @override
    async def list_holders(self, role: str, *, limit: int) -> list[UserId]:
        with reading():
            found = self._users.find({"roles": {"$eq": role}}, projection=["_id"]).limit(limit)
            return [UserId(document["_id"]) async for document in found]

    @override
    async def search(self, query: UserQuery, *, after: str | None, limit: int) -> UserPage:
        with reading():
            documents, following = await find_page(self._users, query, after, limit)
        return UserPage(await in_turns(_user, documents), following)

    @override
    async def count_users(self) -> Count:
        # The estimate of MongoDB has the void documents too.
        with reading():
            number = await self._users.estimated_document_count()
            if number > _MANY:
                return Count(number, exact=False)
            return Count(await self._users.count_documents(EVERYBODY, hint="created_at__id"))

    @override
    async def count_matching(self, query: UserQuery, *, limit: int) -> Count:
        with reading():
            return await count_matching(self._users, query, limit)

    @override
    async def count_created(self, bounds: Sequence[datetime]) -> list[int]:
        # Void documents have no such field.
        with reading():
            return [
                await self._users.count_documents(
                    {"created_at": {"$gte": first, "$lt": last}}, hint="created_at__id"
                )
                for first, last in pairwise(bounds)
            ]

    async def complete_names(self) -> int:
        """Store the keys of names that a server of the version before has written.

        Return how many names were completed.
        """
        done = 0
        while True:
            with reading():
                page = await self._users.find(WITHOUT_KEY, ["name"]).limit(PAGE).to_list()
            if not page:
                return done
            with writing():
                await self._users.bulk_write([completing(each) for each in page], ordered=False)
            done += len(page)

    async def sweep_names(self) -> int:
        """Clean up after sign-ups and deletions that died halfway; see `Names.sweep`."""
        return await self.names.sweep()

    async def _find_by_name(self, field: str, key: str) -> User | None:
        # A name that nobody has costs two reads too: time must not tell which names exist.
        user = await self.find(await self.names.find(field, key) or _NOBODY)
        if user is None:
            return None
        # A claim may be there before its user has the name, and after.
        has = user.username_key if field == "username" else user.email_key
        return user if has == key else None

    async def _change_openly(
        self,
        user_id: UserId,
        query: Document,
        update: Document,
        event: Event,
        unless_last: str | None = None,
    ) -> bool:
        update = with_event(update, event)
        with self.database.announcing(user_id):
            changed = await self.last_holders.change(
                user_id,
                unless_last,
                lambda condition: self._change(_by_id(user_id) | query | condition, update),
            )
        if changed:
            await self.outbox.deliver("users", user_id, event)
        return changed

    async def _change_to(
        self, user: User, condition: Document, update: Document | list[Document], event: Event
    ) -> User | None:
        """Make a change that has an event; return the changed user, or None if none matched."""
        with self.database.announcing(user.id), writing():
            document = await self._users.find_one_and_update(
                _by_id(user.id) | condition, update, return_document=ReturnDocument.AFTER
            )
        return await self._changed(document, event)

    async def _changed(self, document: Document | None, event: Event) -> User | None:
        """Deliver the event of a changed document, and return its user; None if there is none."""
        if document is None:
            return None
        await self.outbox.deliver("users", document["_id"], event)
        return _user(document)

    async def _change(self, query: Document, update: Document) -> bool:
        with writing():
            result = await self._users.update_one(query, update)
        return result.matched_count == 1

    @property
    def _users(self) -> AsyncCollection[Document]:
        return self.database.collection("users")


def _as_read(user: User, *, disabled_too: bool = False) -> Document:
    """Match a user whose sessions have not ended since, and who is enabled."""
    same: Document = {"epoch": user.epoch}
    return same if disabled_too else same | {"disabled_at": None}


def _by_id(user_id: UserId) -> Document:
    return {"_id": {"$eq": user_id}} | NOT_VOID


def document_of(user: User) -> Document:
    """Return the document of a user; most have no factors, and then no field for them."""
    document = to_document(user)
    if not user.factors:
        del document["factors"]
    if (key := stored_name_key(user.name)) is not None:
        document["name_key"] = key
    return document


def _user(document: Document) -> User:
    """Return the user in a document.

    Before version 0005 of the records, `email_verified_at` was named `verified_at`
    (docs/decisions/0014). A method that removes one of them must remove both.
    """
    if "verified_at" in document:
        document = {"email_verified_at": document["verified_at"]} | document
    if "factors" in document:
        document = document | {"factors": factors_in(document)}
    return to_record(User, document)
