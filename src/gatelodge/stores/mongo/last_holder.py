"""A role that somebody must hold: who may lose it when several lose it at the same moment.

MongoDB changes one document atomically, but whether a user is the last holder depends on the
documents of all others. So whoever is about to lose the role first queues up in one document of
the collection `queues`. All see the same order:

1. `users`: mark the user's document with a new token, `stepping_down`, if the user is enabled and
   holds the role.
2. `queues`: append the user and the token to the queue of the role. The answer shows the queue.
3. `users`: look for an enabled holder who is neither this user nor one of those before them in the
   queue. If there is none, the user is refused, and steps 1 and 2 are undone.
4. `users`: make the change, on the condition that the document still has the token. This removes
   the token.
5. `queues`: take the user out of the queue.

Of two last holders, the first in the queue counts the second as staying, and the second does not
count the first. So one of them stays, whatever the order of the steps.

If a process dies between two steps, its user stays in the queue and counts as leaving. After
`OVERDUE`, the next one who queues up removes the token from that user's document, and then the
entry. From then on, a late write of step 4 is refused. So no clock decides whether a holder stays;
it only decides when others stop waiting for a process that does not answer.
"""

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from gatelodge.clock import Clock
from gatelodge.errors import LastHolder, OutcomeUnknown, StoreUnavailable
from gatelodge.ids import UserId
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.failures import reading, writing
from gatelodge.stores.mongo.records import Document

OVERDUE = timedelta(seconds=60)
"""Longer than the driver tries to write."""

MARK = "stepping_down"

Change = Callable[[Document], Awaitable[bool]]
"""Makes the change if the user's document matches this condition; returns whether it matched."""


@dataclass(frozen=True, slots=True)
class LastHolders:
    """Lets users lose a role, but never the last enabled one who holds it."""

    database: MongoDatabase
    clock: Clock

    async def change(self, user_id: UserId, role: str | None, change: Change) -> bool:
        """Make a change after which this user does not count as a holder of the role any more.

        Args:
            user_id: the user.
            role: the role; None: the change is made without a condition.
            change: makes the change.

        Raises:
            LastHolder: nobody else holds the role; nothing was changed.
        """
        if role is None:
            return await change({})
        token = secrets.token_hex(8)
        if not await self._mark(user_id, role, token):
            return await self._change_of_no_holder(user_id, role, change)
        before = await self._queue_up(user_id, role, token)
        if not await self._somebody_stays(role, {user_id, *before}):
            await self._unmark(user_id, token)
            await self._leave_queue(role, token)
            raise LastHolder
        changed = await change({MARK: {"$eq": token}})
        await self._leave_queue(role, token)
        # Another caller has changed the same user, or this one took too long: begin again.
        return changed or await self.change(user_id, role, change)

    async def _change_of_no_holder(self, user_id: UserId, role: str, change: Change) -> bool:
        """Change a user who does not count as a holder; begin again if that is not so any more."""
        if await change({"$nor": [_holder(role)]}):
            return True
        with reading():
            found = await self._users.find_one({"_id": {"$eq": user_id}} | _holder(role), ["_id"])
        return found is not None and await self.change(user_id, role, change)

    async def _mark(self, user_id: UserId, role: str, token: str) -> bool:
        with writing():
            result = await self._users.update_one(
                {"_id": {"$eq": user_id}} | _holder(role), {"$set": {MARK: token}}
            )
        return result.matched_count == 1

    async def _unmark(self, user_id: str, token: str) -> None:
        with writing():
            await self._users.update_one(
                {"_id": {"$eq": user_id}, MARK: {"$eq": token}}, {"$unset": {MARK: ""}}
            )

    async def _queue_up(self, user_id: UserId, role: str, token: str) -> set[str]:
        """Append the user to the queue; return the users before them who may still leave."""
        now = self.clock.now()
        entry = {"user_id": user_id, "token": token, "since": now}
        with writing():
            queue: Document = await self._queues.find_one_and_update(  # type: ignore[assignment]
                {"_id": role},
                {"$push": {"leaving": entry}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        before: set[str] = set()
        for each in queue["leaving"]:
            if each["token"] == token:
                break
            if abs(now - each["since"]) < OVERDUE:
                before.add(each["user_id"])
            else:
                await self._unmark(each["user_id"], each["token"])
                await self._leave_queue(role, each["token"])
        return before

    async def _leave_queue(self, role: str, token: str) -> None:
        """Take an entry out of the queue. If this fails, the entry becomes overdue."""
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown), writing():
            await self._queues.update_one(
                {"_id": role}, {"$pull": {"leaving": {"token": {"$eq": token}}}}
            )

    async def _somebody_stays(self, role: str, leaving: set[str]) -> bool:
        query: dict[str, Any] = {"_id": {"$nin": sorted(leaving)}} | _holder(role)
        with reading():
            return await self._users.find_one(query, ["_id"]) is not None

    @property
    def _users(self) -> AsyncCollection[Document]:
        return self.database.collection("users")

    @property
    def _queues(self) -> AsyncCollection[Document]:
        return self.database.collection("queues")


def _holder(role: str) -> Document:
    return {"roles": {"$eq": role}, "disabled_at": None}
