"""Two requests that reach two workers in the same instant.

The workers are processes that share only the database. `GATELODGE_ROUNDS` sets how often each race
is run.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gatelodge.app import House
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.stores.mongo.feed import MAX_STALENESS
from gatelodge.tokens.pair import TokenPair
from tests.contracts.builders import a_user, an_event
from tests.gate.houses import Device, new_device
from tests.support.server import Server
from tests.support.wire import Connection, one_connection_to_each_worker

ROUNDS = int(os.environ.get("GATELODGE_ROUNDS", "4"))
PASSWORD, NEW = "correct horse battery", "eight wild geese at dawn"
SECRET_KEY = "nuQw1S2yDb4fJk6mZp8rTv0xCe3hLa5g"
NO_LIMITS = {
    f"sign_in_tries_per_{of}": "0" for of in ("account", "address")
} | {"sign_in_tries_in_all": "0"}  # fmt: skip
HASHED = PasswordHasher(8, 1).hash(PASSWORD)


@dataclass
class Pair:
    """A server with two workers.

    Attributes:
        server: the server.
        house: a third process, so to say, over the same database.
        outcomes: the statuses of both requests, and how often they came.
        workers: a connection to each worker.
    """

    server: Server
    house: House
    outcomes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    workers: list[Connection] = field(default_factory=list)

    async def renew_connections(self) -> None:
        """Connect to each worker anew: who is refused before the body was read is hung up on."""
        await self.close()
        server = self.server
        self.workers = await one_connection_to_each_worker(server.pid, server.port, 2)

    async def close(self) -> None:
        """Close all connections."""
        for each in self.workers:
            await each.close()

    async def device(self, *roles: str) -> Device:
        """Return a session of a new user, who has a password."""
        number = sum(self.outcomes.values())
        user = replace(a_user(f"u{number}x{os.urandom(4).hex()}", password_hash=HASHED))
        user = replace(user, roles=("user", *roles), created_at=self.house.clock.now())
        await self.house.stores.users.add(user, an_event(name="user.signed_up"))
        return await new_device(self.house, user)

    async def together(self, first: "Ask", second: "Ask") -> tuple[int, int]:
        """Send two requests in one instant, each to the other worker than in the round before."""
        one, other = self.workers[:: 1 if sum(self.outcomes.values()) % 2 else -1]
        statuses = await asyncio.gather(
            one.request(first.method, first.path, first.headers, first.body),
            other.request(second.method, second.path, second.headers, second.body),
        )
        self.outcomes[statuses[0], statuses[1]] += 1
        first.answer, second.answer = json.loads(one.body), json.loads(other.body)
        return statuses[0], statuses[1]

    async def is_admitted(self, token: str) -> bool:
        """Say whether a token is admitted; both workers must agree.

        With one file, they do so at once. MongoDB's change stream may take a moment on the worker
        that did not make the change; after a second without news it asks the database.
        """
        loop = asyncio.get_running_loop()
        on_mongodb = self.house.settings.database_address.startswith("mongodb")
        deadline = loop.time() + (MAX_STALENESS.total_seconds() if on_mongodb else 0)
        asked = await self._ask_both(token)
        while len(set(asked)) == 2 and loop.time() < deadline:
            asked = await self._ask_both(token)
        assert len(set(asked)) == 1, asked
        return asked[0] == 200

    async def _ask_both(self, token: str) -> list[int]:
        headers = {"Authorization": f"Bearer {token}"}
        await self.renew_connections()
        return await asyncio.gather(*(each.get("/api/test/user", headers) for each in self.workers))


@dataclass
class Ask:
    """A request, and its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: object = None
    answer: Any = None


def change_password(of: Device) -> Ask:
    body = {"currentPassword": PASSWORD, "newPassword": NEW}
    return Ask("POST", "/api/auth/password", of.headers, body)


def prove_again(of: Device) -> Ask:
    return Ask("POST", "/api/auth/again", of.headers, {"password": PASSWORD})


def sign_out(of: Device, **more: bool) -> Ask:
    return Ask("POST", "/api/auth/signout", of.headers, more)


def delete(of: Device) -> Ask:
    return Ask("DELETE", "/api/auth/me", of.headers, {"password": PASSWORD})


def sign_in(of: Device) -> Ask:
    body = {"username": of.user.username, "password": PASSWORD}
    return Ask("POST", "/api/auth/signin", {}, body)


def refresh(tokens: TokenPair) -> Ask:
    return Ask("POST", "/api/auth/refresh", {}, {"refreshToken": tokens.refresh_token})


Race = Callable[[Pair], Coroutine[Any, Any, None]]


async def run_races(pair: Pair, races: Sequence[Race], capsys: pytest.CaptureFixture[str]) -> None:
    """Run each race, and show how often which came first if there are many rounds."""
    for race in races:
        pair.outcomes.clear()
        for _ in range(ROUNDS):
            await race(pair)
            await pair.renew_connections()
        if ROUNDS >= 100:
            with capsys.disabled():
                sys.stdout.write(f"\n{race.__name__}: {dict(pair.outcomes)}")
