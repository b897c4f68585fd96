"""Names that are unique on a sharded cluster too.

On a sharded cluster an index is unique only within its shard, unless it contains the shard key:
the one value that is unique everywhere is the key a collection is sharded by. So names have a
collection of their own, where a *claim* is `{_id: "username:<key>", user_id, unsettled_at}`,
and the database refuses a second claim of one name, whoever asks and wherever it lives.

To sign up takes writes to two collections, and anything may die between them:

1. `names`: insert the claims of username and e-mail address, in this order.
2. `users`: insert the user. This is **the decision**: before it nobody signed up, after it
   somebody did.
3. `names`: take `unsettled_at` off the claims: a note for the sweep, on which nothing depends.

A claim whose user never comes would keep its name for ever. It is given up, but only after its
user was made impossible: one atomic upsert puts a *void* document at the user's `_id`, and does
nothing when a document is there. So "did this sign-up happen?" is asked of one document, which
has one answer, and a claim is released only after the answer was no.

- A sign-up dies after 1: a later `add`, or the sweep, voids the id and releases the claims.
- It dies after 2: the user is complete, and the sweep makes up for step 3.
- It sleeps before 2 and a sweep comes. Either the id is void, the insert meets that document
  and is refused, and whoever took the name over keeps it; or the insert came first, the upsert
  changed nothing, and the sign-up keeps its names. Never both.
- The sweep dies after voiding: the next one finds the same claim, meets the void document, and
  releases.
- Two sweeps meet: both void one id, with one document, and both delete one claim, by its name
  *and* user id, so that neither can hit a claim that was made since.

Removing a user is decided in one document as well: the user's own becomes void, and lists the
claims that are leaving with it. Then they are deleted, then the document. Whoever dies or
sleeps in between, the sweep finds that list and does the same; all of it may be done twice.

What always holds: **a user who is there has both claims.** They go only when the user's
document is void, and nothing makes a claim for an id after its step 1. No clock decides:
`unsettled_at` only says which claims are worth a look, and one younger than a minute, the
driver's patience with an insert, is left alone, so that slow sign-ups succeed.

The void documents of sign-ups stay, since a sleeper may wake up at any time: a hundred bytes
for each that died halfway, at an id that is never used again.

The price: a sign-up that is about to be refused for its e-mail address holds its username for a
moment, and who asks for that name in the same moment is told that it is taken.
"""

import contextlib
from dataclasses import dataclass
from datetime import timedelta

from pymongo import DeleteOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from gatelodge.accounts.store import User
from gatelodge.clock import Clock
from gatelodge.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from gatelodge.ids import UserId
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import duplicate_at, reading, writing
from gatelodge.stores.mongo.records import Document

UNSETTLED_FOR = timedelta(seconds=60)

# True of the documents that are users.
NOT_VOID: Document = {"void_since": None}

_FIELDS = ("username", "email")
_SETTLE: Document = {"$unset": {"unsettled_at": ""}}
_SWEEP_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Names:
    """The claims of users on their names."""

    database: MongoDatabase
    clock: Clock

    async def find(self, field: str, key: str) -> UserId | None:
        """Return the id that claims a name, or None. Its user may not have come yet."""
        with reading():
            claim = await self._names.find_one({"_id": {"$eq": f"{field}:{key}"}}, ["user_id"])
        return None if claim is None else UserId(claim["user_id"])

    async def claim(self, user: User) -> None:
        """Claim both names of a user who is about to be kept.

        Raises:
            AlreadyExists: one is taken; then neither is claimed.
        """
        try:
            await self._claim(user)
        except AlreadyExists:
            if not await self._free_orphans(_claim_ids(user)):
                raise
            await self._claim(user)

    async def settle(self, user: User) -> None:
        """Note that a user has come. Where that fails, the sweep makes up for it."""
        with contextlib.suppress(OutcomeUnknown, StoreUnavailable):
            await self._settle(user.id, _claim_ids(user))

    async def release(self, user: User) -> None:
        """Free both names of a user who was not kept. Where that fails, the sweep does it."""
        await self._release_if_possible(user.id, _claim_ids(user))

    async def let_go(self, user: User) -> bool:
        """Make the user void and free both names. True when the user was there before."""
        leaving = {"void_since": self.clock.now(), "leaving": _claim_ids(user)}
        with writing():
            result = await self._users.replace_one({"_id": {"$eq": user.id}} | NOT_VOID, leaving)
        if result.matched_count == 0:
            return False
        try:
            await self._finish_leaving(user.id, _claim_ids(user))
        except StoreUnavailable as error:  # which would say that nothing was changed
            raise OutcomeUnknown from error
        return True

    async def sweep(self) -> int:
        """Finish what dead sign-ups and removals left behind; say how many names are freed."""
        with reading():
            leavers = await self._users.find({"leaving": {"$exists": True}}).to_list()
        for leaver in leavers:
            await self._finish_leaving(leaver["_id"], leaver["leaving"])
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
        """Free those names, or of all names, whose users never came; say how many."""
        overdue: Document = {"unsettled_at": {"$lt": self.clock.now() - UNSETTLED_FOR}}
        query = overdue if names is None else overdue | {"_id": {"$in": names}}
        with reading():
            claims = await self._names.find(query).limit(_SWEEP_LIMIT).to_list()
        return sum([await self._resolve(claim["_id"], claim["user_id"]) for claim in claims])

    async def _resolve(self, name: str, user_id: str) -> bool:
        """Free a name unless its user is there. True when it is free."""
        if await self._make_void(user_id):
            await self._release(user_id, [name])
            return True
        await self._settle(user_id, [name])
        return False

    async def _make_void(self, user_id: str) -> bool:
        """Make sure that a user who did not come never will. False when the user is there."""
        with writing():
            there = await self._users.find_one_and_update(
                {"_id": {"$eq": user_id}},
                {"$setOnInsert": {"void_since": self.clock.now()}},
                projection=["void_since"],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return there is not None and "void_since" in there

    async def _finish_leaving(self, user_id: str, names: list[str]) -> None:
        await self._release(user_id, names)
        with writing():
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
