"""Users who come and go: `python -m bench.passers DATABASE RATE`.

A separate process adds users and deletes them again, between those who stay in every order, until
its input ends. Then it prints as JSON how many of these changes it made, and in how many seconds.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from pymongo import AsyncMongoClient

from gatelodge.accounts.store import User
from gatelodge.audit import EVENT_PREFIX, Event
from gatelodge.clock import SystemClock
from gatelodge.ids import USER_PREFIX, UserId, new_id
from gatelodge.stores import open_stores
from gatelodge.stores.mongo.records import Document
from gatelodge.stores.mongo.users import document_of

Change: TypeAlias = Callable[[list[User]], Awaitable[None]]

TASKS, AT_ONCE = 4, 10
"""How many groups of users are there at most, and how many users a group has."""


def somebody(number: int, now: datetime, chance: random.Random) -> User:
    """Return a user who signed up some time in the last three years."""
    created = now - timedelta(days=1_000 * chance.random())
    letters = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(4))
    username = f"{letters}{number}"
    return User(
        id=UserId(new_id(USER_PREFIX, created)),
        username=username,
        username_key=username,
        email=f"{username}@example.com",
        email_key=f"{username}@example.com",
        password_hash=None,
        roles=("user", "support") if number % 8 == 0 else ("user",),
        created_at=created,
        name=letters.title(),
        last_sign_in_at=chance.choice((None, now - (now - created) * chance.random())),
        disabled_at=chance.choice((None, None, now)),
    )


async def pass_by(come: Change, go: Change, rate: float) -> dict[str, float]:
    """Add users and delete them until the input ends.

    Args:
        come: adds users.
        go: deletes users.
        rate: how many of these changes there are in a second, at most.

    Returns:
        How many changes there were, and in how many seconds.
    """
    until = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    chance, changes, began = random.Random(rate), 0, time.monotonic()

    async def one() -> None:
        nonlocal changes
        while not until.done():
            now = SystemClock().now()
            some = [somebody(changes + number, now, chance) for number in range(AT_ONCE)]
            for change in (come, go):
                changes += AT_ONCE
                await asyncio.sleep(began + changes / rate - time.monotonic())
                await change(some)

    await asyncio.gather(*(one() for _ in range(TASKS)))
    return {"changes": changes, "seconds": time.monotonic() - began}


async def _through_sqlite(file: str, rate: float) -> dict[str, float]:
    stores = open_stores(file)
    await stores.database.start()

    async def come(some: list[User]) -> None:
        adds = (stores.users.add(each, _event("user.signed_up", each.id)) for each in some)
        await asyncio.gather(*adds)

    async def go(some: list[User]) -> None:
        removals = (stores.users.remove(each.id, _event("user.deleted", each.id)) for each in some)
        await asyncio.gather(*removals)

    try:
        return await pass_by(come, go, rate)
    finally:
        await stores.database.stop()


async def _through_mongodb(address: str, rate: float) -> dict[str, float]:
    """Write documents of users straight: the verbs of one process make a few hundred a second."""
    async with AsyncMongoClient[Document](address) as client:
        users = client.get_default_database()["users"]

        async def come(some: list[User]) -> None:
            await users.insert_many([document_of(each) for each in some], ordered=False)

        async def go(some: list[User]) -> None:
            await users.delete_many({"_id": {"$in": [each.id for each in some]}})

        return await pass_by(come, go, rate)


def _event(name: str, about: str) -> Event:
    now = SystemClock().now()
    return Event(
        id=new_id(EVENT_PREFIX, now),
        at=now,
        name=name,
        actor=about,
        target=about,
        address="192.0.2.7",
        user_agent="",
        request_id="",
    )


if __name__ == "__main__":
    _, database, rate = sys.argv
    through = _through_mongodb if database.startswith("mongodb") else _through_sqlite
    print(json.dumps(asyncio.run(through(database, float(rate)))))
