"""Sessions in MongoDB."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection
from typing_extensions import override

from gatelodge.accounts.search import Count
from gatelodge.accounts.store import Rights, User
from gatelodge.audit import Event
from gatelodge.clock import from_milliseconds
from gatelodge.errors import after_a_change
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.store import (
    NO_EPOCH,
    Session,
    SessionPage,
    SessionQuery,
    SessionStore,
)
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.outbox import DELIVERED, Outbox, inserted_with, with_event
from gatelodge.stores.mongo.records import Document, all_of, to_document, to_record
from gatelodge.stores.mongo.roles import MongoRoles
from gatelodge.stores.mongo.users import MongoUsers

LOOKED_AT = 20_000
"""How many sessions a page looks at, at most."""

_FIRST = from_milliseconds(0)

_USERS_READ = 2_000
"""Of how many sessions a page reads the users, at most."""

_AT_A_TIME = 250
"""Of how many sessions the users are read at once."""

COUNTED_EXACTLY = 2_000
"""Up to how many stored sessions the live ones are counted one by one."""


@dataclass(frozen=True, slots=True)
class MongoSessions(SessionStore):
    """The sessions in MongoDB.

    There is no TTL index. The service decides how long an ended session stays stored, so that its
    tokens get a precise refusal.
    """

    database: MongoDatabase
    users: MongoUsers
    roles: MongoRoles
    outbox: Outbox

    @override
    async def open(self, session: Session, event: Event, *, without_factors: bool = False) -> bool:
        """Store the session, then check its user.

        If the user has changed meanwhile, the session is deleted again, and its event with it.
        Until then nobody can use it: nobody has its tokens yet.
        """
        with self.database.confirming(), writing():
            await self._sessions.insert_one(inserted_with(to_document(session), event))
        with after_a_change():
            if not await self.users.record_sign_in(session, without_factors=without_factors):
                await self._remove({"_id": {"$eq": session.id}})
                return False
        await self.outbox.deliver("sessions", session.id, event)
        return True

    @override
    async def add(self, session: Session) -> None:
        with writing():
            await self._sessions.insert_one(to_document(session))

    @override
    async def find(self, session_id: SessionId) -> Session | None:
        return await self.database.settled(lambda: self._find(session_id))

    async def _find(self, session_id: SessionId) -> Session | None:
        with reading():
            document = await self._sessions.find_one({"_id": {"$eq": session_id}})
        return None if document is None else _session(document)

    @override
    async def find_with_user(self, session_id: SessionId) -> tuple[Session, User] | None:
        return await self.database.settled(lambda: self._find_with_user(session_id))

    async def _find_with_user(self, session_id: SessionId) -> tuple[Session, User] | None:
        session = await self._find(session_id)
        user = None if session is None else await self.users.find(session.user_id)
        return None if session is None or user is None else (session, user)

    @override
    async def find_with_rights(self, session_id: SessionId) -> tuple[Session, User, Rights] | None:
        return await self.database.settled(lambda: self._find_with_rights(session_id))

    async def _find_with_rights(self, session_id: SessionId) -> tuple[Session, User, Rights] | None:
        """Return the session, its user and the user's rights.

        MongoDB cannot read two collections at one instant. So the user is read again after the
        roles. If the user's roles are still the same, the user held them when they were read.
        """
        found = await self._find_with_user(session_id)
        while found is not None:
            session, user = found
            rights = Rights.of(user.roles, await self.roles.find_all(user.roles))
            again = await self.users.find(user.id) if user.roles else user
            if again is None:
                return None
            if again.roles == user.roles:
                return session, again, rights
            found = session, again
        return None

    @override
    async def rotate(
        self, session_id: SessionId, generation: int, now: Callable[[], datetime]
    ) -> bool:
        at = now()
        current = _unrevoked(session_id) | {"generation": {"$eq": generation}}
        following = {"generation": generation + 1, "rotated_at": at, "last_used_at": at}
        return await self._change(current, {"$set": following})

    @override
    async def revoke(self, session_id: SessionId, at: datetime, why: str, event: Event) -> bool:
        update = with_event({"$set": {"revoked_at": at, "revoked_why": why}}, event)
        with self.database.announcing(session_id):
            changed = await self._change(_unrevoked(session_id), update)
        if changed:
            await self.outbox.deliver("sessions", session_id, event)
        return changed

    @override
    async def touch(self, session_id: SessionId, at: datetime) -> bool:
        return await self._change(_unrevoked(session_id), {"$set": {"last_used_at": at}})

    @override
    async def discard(self, session_id: SessionId) -> None:
        await self._remove({"_id": {"$eq": session_id}, "epoch": NO_EPOCH})

    @override
    async def list_stored(self, user_id: UserId, *, limit: int) -> list[Session]:
        with reading():
            found = self._sessions.find({"user_id": {"$eq": user_id}}).sort("_id", -1).limit(limit)
            return await all_of(found, _session)

    @override
    async def list_live(
        self,
        user: User,
        at: datetime,
        *,
        used_after: datetime,
        before: SessionId | None,
        limit: int,
    ) -> list[Session]:
        query: Document = {
            "user_id": {"$eq": user.id},
            "$or": [{"epoch": user.epoch}, {"_id": {"$eq": user.continued}}],
            "revoked_at": None,
            "expires_at": {"$gt": at},
            "last_used_at": {"$gt": used_after},
        }
        if before is not None:
            query["_id"] = {"$lt": before}
        with reading():
            found = self._sessions.find(query).sort("_id", -1).limit(limit)
            return await all_of(found, _session)

    @override
    async def search(
        self,
        query: SessionQuery,
        at: datetime,
        *,
        used_after: datetime,
        before: SessionId | None,
        limit: int,
    ) -> SessionPage:
        named = (("user_id", query.user_id), ("address", query.address))
        wanted: Document = {name: {"$eq": value} for name, value in named if value is not None}
        by_index = dict([*wanted.items()][:1])
        lowest = await self._lowest_looked_at(by_index, before)
        live = wanted | _not_ended(at, used_after)
        found: list[tuple[Session, User]] = []
        for _ in range(_USERS_READ // _AT_A_TIME):
            batch = await self._batch(live, lowest, before)
            found += await self._with_users(batch, at)
            if len(found) > limit:
                return SessionPage(found[:limit], found[limit - 1][0].id)
            if len(batch) < _AT_A_TIME:
                return SessionPage(found, lowest)
            before = batch[-1].id
        return SessionPage(found, before)

    @override
    async def count_live(self, at: datetime, *, used_after: datetime) -> Count:
        with reading():
            stored = await self._sessions.estimated_document_count()
        if stored > COUNTED_EXACTLY:
            with reading():
                ended = await self._sessions.count_documents({"revoked_at": {"$gt": _FIRST}})
                ended += await self._sessions.count_documents({"expires_at": {"$lte": at}})
            return Count(max(0, stored - ended), exact=False)
        with reading():
            found = self._sessions.find(_not_ended(at, used_after)).limit(2 * COUNTED_EXACTLY)
            batch = await all_of(found, _session)
        return Count(len(await self._with_users(batch, at)))

    async def _lowest_looked_at(
        self, wanted: Document, before: SessionId | None
    ) -> SessionId | None:
        """Return the id of the last session that a page looks at; None: it looks at all of them."""
        query = wanted if before is None else wanted | {"_id": {"$lt": before}}
        with reading():
            ids = self._sessions.find(query, projection=["_id"]).sort("_id", -1)
            last = await ids.skip(LOOKED_AT - 1).limit(1).to_list()
        return SessionId(last[0]["_id"]) if last else None

    async def _batch(
        self, live: Document, lowest: SessionId | None, before: SessionId | None
    ) -> list[Session]:
        """Return the next sessions that have not ended by themselves, the newest first."""
        between: Document = {} if lowest is None else {"$gte": lowest}
        if before is not None:
            between["$lt"] = before
        query = live | ({"_id": between} if between else {})
        with reading():
            found = self._sessions.find(query).sort("_id", -1).limit(_AT_A_TIME)
            return await all_of(found, _session)

    async def _with_users(
        self, batch: Sequence[Session], at: datetime
    ) -> list[tuple[Session, User]]:
        """Return those of these sessions that sign somebody in, with their users."""
        users = await self.users.find_many({each.user_id for each in batch})
        pairs = ((each, users.get(each.user_id)) for each in batch)
        return [(each, user) for each, user in pairs if user is not None and each.is_live(user, at)]

    @override
    async def remove_ended(self, before: datetime) -> int:
        # A session with an event in its outbox stays until the event is delivered.
        ended = dict(DELIVERED)
        ended["$or"] = [{"expires_at": {"$lt": before}}, {"revoked_at": {"$lt": before}}]
        with writing():
            result = await self._sessions.delete_many(ended)
        return result.deleted_count

    async def _change(self, query: Document, update: Document) -> bool:
        with writing():
            result = await self._sessions.update_one(query, update)
        return result.matched_count == 1

    async def _remove(self, query: Document) -> None:
        with writing():
            await self._sessions.delete_one(query)

    @property
    def _sessions(self) -> AsyncCollection[Document]:
        return self.database.collection("sessions")


def _unrevoked(session_id: SessionId) -> Document:
    return {"_id": {"$eq": session_id}, "revoked_at": None}


def _not_ended(at: datetime, used_after: datetime) -> Document:
    """Return the condition under which a session has not ended by itself."""
    return {
        "revoked_at": None,
        "expires_at": {"$gt": at},
        "last_used_at": {"$gt": used_after},
    }


def _session(document: Document) -> Session:
    """Return the session in a document."""
    if "methods" not in document:
        document = document | _told_by_the_version_before(document)
    return to_record(Session, document)


def _told_by_the_version_before(document: Document) -> Document:
    """Return `authenticated_at` and `methods` of a session that the version before opened.

    That version stored the names that events use, such as `password`, in the field `factors`. It
    never asked for a second proof within a session (docs/decisions/0014).
    """
    methods = ["pwd" if factor == "password" else factor for factor in document["factors"]]
    return {"authenticated_at": document["created_at"], "methods": methods}
