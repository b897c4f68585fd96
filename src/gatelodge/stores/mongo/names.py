"""Names and passkeys of users that are unique, even on a sharded cluster.

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

A change of the username or the e-mail address has two more claims to think of, the new one and the
former one. It is decided in one document as well. Each user's document has a number, the *turn*
(missing: 0):

1. `users`: read the turn.
2. `names`: insert the claim of the new name, with the turn and `unsettled_at`. If the user has such
   a claim already, of an earlier change, write the turn and `unsettled_at` into it.
3. `names`: write both into the claim of the former name, too. It stays the user's.
4. `users`: change the name, if the turn is still the one that was read, and raise the turn.
   This write decides.
5. `names`: delete the claim of the former name, and remove `unsettled_at` from that of the new one.

Whoever finds such a claim unsettled after a minute raises the turn of its user first. From then on,
step 4 of a change that paused is refused. The answer shows which name the user has now: its claim
is settled, and any other one is deleted. A claim is settled or deleted only if its turn is lower
than the turn just written. So a later change of the same user, which has written its own turn into
the claim, keeps it.

The ids of passkeys are claimed in the same way (`passkey:<id>`): a user who adds one has one more
claim, and a user who removes one has one less (`trade`).

A deletion is decided in one document, too: the user's document is replaced by a void one, which
lists the claims to release, and has the event of the deletion in its outbox. Then the event is
delivered, the sessions of the user and the claims are deleted, then the void document. If the
server dies in between, the sweep finds the list and does the rest. Each of these steps may be done
twice.

Always true: **a user who exists has both claims, and those of their passkeys.** A claim is deleted
only if the user's document is void, or if it says that the user does not have the name, and that
write refuses each change that began before. A look-up by name compares the name in the user's
document: a claim may be there before its user has the name, and after. No clock decides this:
`unsettled_at` only tells the sweep which claims to check. It leaves claims alone for a minute, as
long as the driver may try an insert, so that slow sign-ups succeed.

The void documents of sign-ups are never deleted, because a paused sign-up may go on at any time.
Each takes about a hundred bytes, and its id is never used again.

The cost: a sign-up that is refused because of its e-mail address holds its username for a moment.
Another sign-up with this username is refused in that moment.
"""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pymongo import DeleteOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from gatelodge.accounts.store import User
from gatelodge.audit import Event
from gatelodge.clock import Clock
from gatelodge.credentials.factors import credential_ids_of
from gatelodge.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable, after_a_change
from gatelodge.ids import UserId
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import duplicate_at, reading, writing
from gatelodge.stores.mongo.outbox import FIELD as OUTBOX
from gatelodge.stores.mongo.outbox import Outbox
from gatelodge.stores.mongo.records import Document, to_document

TURN = "turn"
"""The field of a user, and of a claim, that numbers the changes of its names."""

UNSETTLED_FOR = timedelta(seconds=60)

# Matches the documents that are users, and not the void ones.
NOT_VOID: Document = {"void_since": None}

NameField: TypeAlias = Literal["username", "email"]
_FIELDS: tuple[NameField, ...] = ("username", "email")
_NAMED = [*(f"{each}_key" for each in _FIELDS), "factors.credential_id"]
"""The fields of a user that say which claims the user has."""

_OWN_NAMES = [{"$concat": [f"{each}:", f"${each}_key"]} for each in _FIELDS]
_PASSKEYS: Document = {
    "$map": {
        "input": {
            "$filter": {
                "input": {"$ifNull": ["$factors", []]},
                "cond": {"$gt": ["$$this.credential_id", None]},
            }
        },
        "in": {"$concat": ["passkey:", "$$this.credential_id"]},
    }
}
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
        """Claim both names and the passkeys of a user, before the user is inserted.

        Raises:
            AlreadyExists: one is taken; `field` says which. Then none is claimed.
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

    async def exchange(
        self, field: NameField, user: User, key: str, condition: Document, update: Document
    ) -> Document | None:
        """Make a change that gives the user the username or the e-mail address with this key.

        Return the changed document, or None if the user does not match; then nothing was changed.

        Args:
            field: which of the two is changed.
            user: the user as read before.
            key: the key of the new name; it may be that of the present one.
            condition: what the user's document must match, besides being a user.
            update: the change; it sets the name.

        Raises:
            AlreadyExists: the name is taken.
            StoreUnavailable: nothing was changed.
            OutcomeUnknown: the change may have been made; if so, the sweep releases the former
                name.
        """
        present = user.username_key if field == "username" else user.email_key
        if key == present:
            return await self._decide(user.id, condition, update)
        return await self.trade(
            user.id,
            condition,
            update,
            gained={f"{field}:{key}": field},
            lost=[f"{field}:{present}"],
        )

    async def trade(
        self,
        user_id: UserId,
        condition: Document,
        update: Document,
        *,
        gained: Mapping[str, str],
        lost: Collection[str],
    ) -> Document | None:
        """Make a change with which a user gains claims and loses others.

        Return the changed document, or None if the user does not match; then nothing was changed.

        Args:
            user_id: the user.
            condition: what the user's document must match, besides being a user.
            update: the change, with operators such as `$set`.
            gained: the claims that the user gets, each with the field of the record that it is for.
            lost: the claims that the user has no more.

        Raises:
            AlreadyExists, StoreUnavailable, OutcomeUnknown: as for `exchange`.
        """
        turn = await self._turn_of(user_id)
        if turn is None:
            return None
        in_turn = condition | {TURN: turn or {"$in": [0, None]}}
        counted = update | {"$inc": update.get("$inc", {}) | {TURN: 1}}
        touched = [*lost, *gained]
        try:
            for name, field in gained.items():
                await self._claim_another(user_id, name, turn, field)
            for name in lost:
                await self._write_turn(user_id, name, turn)
            changed = await self._decide(user_id, in_turn, counted)
        except StoreUnavailable:
            await self._resolve_if_possible(user_id, touched)
            raise
        if changed is None:
            await self._resolve_if_possible(user_id, touched)
            return None
        with contextlib.suppress(OutcomeUnknown, StoreUnavailable):
            earlier = _before(turn + 1)
            await self._change(
                [
                    *(DeleteOne(_claim_of(user_id, name) | earlier) for name in lost),
                    *(UpdateOne(_claim_of(user_id, name) | earlier, _SETTLE) for name in gained),
                ]
            )
        return changed

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
            "leaving": {"$concatArrays": [_OWN_NAMES, _PASSKEYS]},
            OUTBOX: {"$concatArrays": [waiting, {"$literal": [to_document(event)]}]},
        }
        with writing():
            before = await self._users.find_one_and_update(
                {"_id": {"$eq": user.id}} | NOT_VOID | condition,
                [{"$replaceWith": {"_id": "$_id"} | leaving}],
                projection=[OUTBOX, *_NAMED],
            )
        if before is None:
            return False
        with after_a_change():
            events = [*before.get(OUTBOX, []), to_document(event)]
            await self._finish_leaving(user.id, _names_in(before), events)
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
                field = _FIELDS[taken] if taken < len(_FIELDS) else "credential_id"
                raise AlreadyExists(field) from error

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
        """Release a name unless its user exists and has it; return whether it was released."""
        if await self._make_void(user_id):
            await self._release(user_id, [name])
            return True
        with writing():
            user = await self._users.find_one_and_update(
                {"_id": {"$eq": user_id}} | NOT_VOID,
                {"$inc": {TURN: 1}},
                projection=[TURN, *_NAMED],
                return_document=ReturnDocument.AFTER,
            )
        if user is None:  # deleted meanwhile; the next sweep finds the void document
            return False
        claim = _claim_of(user_id, name) | _before(user[TURN])
        has_it = name in _names_in(user)
        await self._change([UpdateOne(claim, _SETTLE) if has_it else DeleteOne(claim)])
        return not has_it

    async def _turn_of(self, user_id: UserId) -> int | None:
        """Return the turn of a user, or None if there is no such user."""
        with reading():
            found = await self._users.find_one({"_id": {"$eq": user_id}} | NOT_VOID, [TURN])
        return None if found is None else found.get(TURN, 0)

    async def _claim_another(self, user_id: UserId, name: str, turn: int, field: str) -> None:
        """Claim one more name for a user who exists.

        Raises:
            AlreadyExists: another user has it.
        """
        claim = {"_id": name, "user_id": user_id, "unsettled_at": self.clock.now(), TURN: turn}
        for _ in range(2):
            with contextlib.suppress(AlreadyExists), writing():
                await self._names.insert_one(claim)
                return
            if await self._write_turn(user_id, name, turn):
                return
            await self._free_orphans([name])
        raise AlreadyExists(field)

    async def _write_turn(self, user_id: UserId, name: str, turn: int) -> bool:
        """Mark a claim of this user as unsettled since this turn. True if the user has it."""
        with writing():
            result = await self._names.update_one(
                _claim_of(user_id, name),
                {"$set": {"unsettled_at": self.clock.now()}, "$max": {TURN: turn}},
            )
        return result.matched_count == 1

    async def _decide(
        self, user_id: UserId, condition: Document, update: Document
    ) -> Document | None:
        with writing():
            return await self._users.find_one_and_update(
                {"_id": {"$eq": user_id}} | NOT_VOID | condition,
                update,
                return_document=ReturnDocument.AFTER,
            )

    async def _resolve_if_possible(self, user_id: UserId, names: list[str]) -> None:
        with contextlib.suppress(OutcomeUnknown, StoreUnavailable):
            for name in names:
                await self._resolve(name, user_id)

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

    async def _change(self, writes: Sequence[DeleteOne | UpdateOne]) -> None:
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
    """Return the ids of the claims of a new user: names first, in the order of `_FIELDS`."""
    passkeys = (passkey_claim(each) for each in sorted(credential_ids_of(user.factors)))
    return [f"username:{user.username_key}", f"email:{user.email_key}", *passkeys]


def _names_in(document: Document) -> list[str]:
    """Return the ids of the claims for the names and passkeys in a user's document."""
    passkeys = (each.get("credential_id") for each in document.get("factors", ()))
    return [
        *(f"{each}:{document[f'{each}_key']}" for each in _FIELDS),
        *(passkey_claim(each) for each in passkeys if each is not None),
    ]


def passkey_claim(credential_id: str) -> str:
    """Return the id of the claim on a passkey."""
    return f"passkey:{credential_id}"


def _before(turn: int) -> Document:
    """Match the claims of turns before this one."""
    return {TURN: {"$not": {"$gte": turn}}}


def _claim_of(user_id: str, name: str) -> Document:
    return {"_id": {"$eq": name}, "user_id": {"$eq": user_id}}
