"""Names of users that are unique, even on a sharded cluster.

On a sharded cluster, an index is unique only within its shard, unless it contains the shard key.
So each name is the `_id` of a document in a collection of its own, `names`. Such a document is a
*claim*: `{_id: "username:<key>", user_id, unsettled_at}`. The database refuses a second claim of
the same name.

A sign-up writes to two collections, and the server may die between any two writes:

1. `names`: insert the claims of the username and the e-mail address, in this order.
2. `users`: insert the user. This write decides: the sign-up has happened if, and only if, it
   succeeds.
3. `names`: remove `unsettled_at` from the claims. It is only a hint for the sweep.

If step 2 never happens, the claims must be released, or the names would be taken for ever. Before a
claim is released, its user is made impossible: one atomic upsert inserts a *void* document with the
user's `_id`, and does nothing if there is a document of this `_id`. So one document decides whether
the sign-up happened, and a claim is released only if it did not:

- A sign-up dies after step 1: a later `add` or the sweep inserts the void document, and releases
  the claims.
- It dies after step 2: the user is complete, and the sweep does step 3.
- It pauses before step 2, and a sweep runs. If the void document comes first, the insert of the
  user is refused, and the names are free for others. If the insert comes first, the upsert does
  nothing, and the user keeps the names.
- A sweep dies after the void document: the next sweep finds the same claim and the void document,
  and releases the claim.
- The task of a sign-up is cancelled, or its server killed, and the database writes afterwards what
  it had read before: the claims appear after a sweep, and the next sweep finds them.
- Two sweeps run together: both use the same void document. Both delete a claim by its name *and*
  user id, so neither can delete a newer claim of the same name.

A deletion is decided in one document, too: the user's document is replaced by a void one, which
lists the claims to release, and has the event of the deletion in its outbox. Then the event is
delivered, the sessions of the user and the claims are deleted, then the void document. If the
server dies in between, the sweep finds the list and does the rest. Each of these steps may be done
twice.

Always true: **a user who exists has both claims.** Claims are deleted only if the user's document
is void, and no claim is made for an id after its step 1. No clock decides this: `unsettled_at` only
tells the sweep which claims to check. It leaves claims alone for a minute, as long as the driver
may try an insert, so that slow sign-ups succeed.

The void documents of sign-ups are never deleted, because a paused sign-up may go on at any time.
Each takes about a hundred bytes, and its id is never used again.

The cost: a sign-up that is refused because of its e-mail address holds its username for a moment.
Another sign-up with this username is refused in that moment.
"""

import contextlib
from dataclasses import dataclass
from datetime import timedelta

from pymongo import DeleteOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from gatelodge.accounts.store import User
from gatelodge.audit import Event
from gatelodge.clock import Clock
from gatelodge.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable, after_a_change
from gatelodge.ids import UserId
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import duplicate_at, reading, writing
from gatelodge.stores.mongo.outbox import FIELD as OUTBOX
from gatelodge.stores.mongo.outbox import Outbox
from gatelodge.stores.mongo.records import Document, to_document

UNSETTLED_FOR = timedelta(seconds=60)

# Matches the documents that are users, and not the void ones.
NOT_VOID: Document = {"void_since": None}

_FIELDS = ("username", "email")
_SETTLE: Document = {"$unset": {"unsettled_at": ""}}
_SWEEP_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Names:
    """The claims of users on their names; see the module's docstring."""

    database: MongoDatabase
    clock: Clock
    outbox: Outbox

    async def find(self, field: str, key: str) -> UserId | None:
        """Return the user id that claims a name, or None. The user may not exist yet."""
        with reading():
            claim = await self._names.find_one({"_id": {"$eq": f"{field}:{key}"}}, ["user_id"])
        return None if claim is None else UserId(claim["user_id"])

    async def claim(self, user: User) -> None:
        """Claim both names of a user, before the user is inserted.

        Raises:
            AlreadyExists: a name is taken; `field` says which. Then neither is claimed.
        """
        try:
            await self._claim(user)
        except AlreadyExists:
            if not await self._free_orphans(_claim_ids(user)):
                raise
            await self._claim(user)

    async def settle(self, user: User) -> None:
        """Mark the claims of an inserted user as settled. If this fails, the sweep does it."""
        with contextlib.suppress(OutcomeUnknown, StoreUnavailable):
            await self._settle(user.id, _claim_ids(user))

    async def release(self, user: User) -> None:
        """Release both names of a user who was not inserted. If this fails, the sweep does it."""
        await self._release_if_possible(user.id, _claim_ids(user))

    async def let_go(self, user: User, event: Event, condition: Document) -> bool:
        """Make the user void, and release both names. True if the user existed.

        Args:
            user: the user.
            event: the event of the deletion.
            condition: what the user's document must match, besides being a user.

        Raises:
            StoreUnavailable: nothing was changed.
            OutcomeUnknown: the user may be deleted; if so, the sweep releases the names.
        """
        # A waiting event of an earlier change moves on to the void document.
        waiting = {"$ifNull": [f"${OUTBOX}", []]}
        leaving = {
            "void_since": {"$literal": self.clock.now()},
            "leaving": {"$literal": _claim_ids(user)},
            OUTBOX: {"$concatArrays": [waiting, {"$literal": [to_document(event)]}]},
        }
        with writing():
            before = await self._users.find_one_and_update(
                {"_id": {"$eq": user.id}} | NOT_VOID | condition,
                [{"$replaceWith": {"_id": "$_id"} | leaving}],
                projection=[OUTBOX],
            )
        if before is None:
            return False
        with after_a_change():
            events = [*before.get(OUTBOX, []), to_document(event)]
            await self._finish_leaving(user.id, _claim_ids(user), events)
        return True

    async def sweep(self) -> int:
        """Clean up after sign-ups and deletions that died halfway.

        Return how many names were released.
        """
        with reading():
            leavers = await self._users.find({"leaving": {"$exists": True}}).to_list()
        for leaver in leavers:
            await self._finish_leaving(leaver["_id"], leaver["leaving"], leaver.get(OUTBOX, []))
        return await self._free_orphans() + sum(len(leaver["leaving"]) for leaver in leavers)

    async def _claim(self, user: User) -> None:
        names, now = _claim_ids(user), self.clock.now()
        claims = [{"_id": name, "user_id": user.id, "unsettled_at": now} for name in names]
        with writing():
            try:
                await self._names.insert_many(claims, ordered=True)
            except BulkWriteError as error:
                taken = duplicate_at(error)
                if taken is None:
                    raise
                await self._release_if_possible(user.id, names[:taken])
                raise AlreadyExists(_FIELDS[taken]) from error

    async def _free_orphans(self, names: list[str] | None = None) -> int:
        """Release the overdue claims whose users do not exist; return how many.

        Args:
            names: the claims to check; None: all.
        """
        overdue: Document = {"unsettled_at": {"$lt": self.clock.now() - UNSETTLED_FOR}}
        query = overdue if names is None else overdue | {"_id": {"$in": names}}
        with reading():
            claims = await self._names.find(query).limit(_SWEEP_LIMIT).to_list()
        return sum([await self._resolve(claim["_id"], claim["user_id"]) for claim in claims])

    async def _resolve(self, name: str, user_id: str) -> bool:
        """Release a name unless its user exists; return whether it was released."""
        if await self._make_void(user_id):
            await self._release(user_id, [name])
            return True
        await self._settle(user_id, [name])
        return False

    async def _make_void(self, user_id: str) -> bool:
        """Insert a void document if the user id has no document. True if it is void now."""
        with writing():
            there = await self._users.find_one_and_update(
                {"_id": {"$eq": user_id}},
                {"$setOnInsert": {"void_since": self.clock.now()}},
                projection=["void_since"],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return there is not None and "void_since" in there

    async def _finish_leaving(self, user_id: str, names: list[str], events: list[Document]) -> None:
        await self._release(user_id, names)
        await self.outbox.deliver_all("users", user_id, events)
        with writing():
            await self.database.collection("sessions").delete_many({"user_id": {"$eq": user_id}})
            await self._users.delete_one({"_id": {"$eq": user_id}, "leaving": {"$exists": True}})

    async def _release_if_possible(self, user_id: str, names: list[str]) -> None:
        with contextlib.suppress(OutcomeUnknown, StoreUnavailable):
            await self._release(user_id, names)

    async def _release(self, user_id: str, names: list[str]) -> None:
        await self._change([DeleteOne(_claim_of(user_id, name)) for name in names])

    async def _settle(self, user_id: str, names: list[str]) -> None:
        await self._change([UpdateOne(_claim_of(user_id, name), _SETTLE) for name in names])

    async def _change(self, writes: list[DeleteOne] | list[UpdateOne]) -> None:
        if writes:
            with writing():
                await self._names.bulk_write(writes)

    @property
    def _names(self) -> AsyncCollection[Document]:
        return self.database.collection("names")

    @property
    def _users(self) -> AsyncCollection[Document]:
        return self.database.collection("users")


def _claim_ids(user: User) -> list[str]:
    return [f"username:{user.username_key}", f"email:{user.email_key}"]


def _claim_of(user_id: str, name: str) -> Document:
    return {"_id": {"$eq": name}, "user_id": {"$eq": user_id}}
