"""Users who come and go: `python -m bench.passers DATABASE RATE`.

A separate process adds users and deletes them again, between those who stay in every order, until
its input ends. Then it prints as JSON how many of these changes it made, and in how many seconds.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import EVENT_PREFIX, Event
from gatelodge.clock import SystemClock
from gatelodge.ids import USER_PREFIX, UserId, new_id
from gatelodge.stores import open_stores

AT_A_TIME = 64
"""How many of them are there at most."""


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


async def pass_by(users: UserStore, rate: float) -> dict[str, float]:
    """Add users and delete them until the input ends.

    Args:
        users: where they are stored.
        rate: how many of these changes there are in a second, at most.

    Returns:
        How many changes there were, and in how many seconds.
    """
    until = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    chance, changes, began = random.Random(rate), 0, time.monotonic()

    async def turns() -> AsyncIterator[int]:
        nonlocal changes
        while not until.done():
            changes += 1
            await asyncio.sleep(began + changes / rate - time.monotonic())
            yield changes

    async def one() -> None:
        nonlocal changes
        async for number in turns():
            user = somebody(number, SystemClock().now(), chance)
            await users.add(user, _event("user.signed_up", user.id))
            changes += 1
            await asyncio.sleep(began + changes / rate - time.monotonic())
            await users.remove(user.id, _event("user.deleted", user.id))

    await asyncio.gather(*(one() for _ in range(AT_A_TIME)))
    return {"changes": changes, "seconds": time.monotonic() - began}


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


async def _main(database: str, rate: float) -> None:
    stores = open_stores(database)
    await stores.database.start()
    try:
        print(json.dumps(await pass_by(stores.users, rate)))
    finally:
        await stores.database.stop()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], float(sys.argv[2])))
