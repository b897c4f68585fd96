"""Two requests about one user reach two workers in the same instant.

What was ended stays ended, whoever was first, and one who can administer is left. The workers are
processes that share only the database. `GATELODGE_ROUNDS` sets how often each race is run.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND, Origin
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.tokens.pair import TokenPair
from tests.contracts.builders import a_user, an_event
from tests.gate.houses import Device, new_device
from tests.gate.test_next_request import house_of
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
        """Say whether a token is admitted; both workers must agree."""
        headers = {"Authorization": f"Bearer {token}"}
        await self.renew_connections()
        asked = await asyncio.gather(
            *(each.get("/api/test/user", headers) for each in self.workers)
        )
        assert len(set(asked)) == 1, asked
        return asked[0] == 200


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


@pytest.fixture(params=["sqlite", "mongodb"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    """Yield a server with two workers over an empty database."""
    settings = {"secret_key": SECRET_KEY, **NO_LIMITS}
    if request.param == "mongodb":
        settings["database"] = str(request.getfixturevalue("mongodb_address"))
    with Server(tmp_path, workers=2, **settings) as server:
        house = house_of(server)
        async with house.open():
            pair = Pair(server, house)
            await pair.renew_connections()
            yield pair
            await pair.close()


async def sign_out_everywhere_beside_a_change(pair: Pair) -> None:
    """Whichever is first: no token that was issued before, or by the change, lives on."""
    ann = await pair.device()
    other = await new_device(pair.house, ann.user)
    change = change_password(ann)
    statuses = await pair.together(change, sign_out(ann, everywhere=True))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [ann.token, other.token]
    tokens += [change.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def sign_out_everywhere_beside_a_proof(pair: Pair) -> None:
    """From another device: neither the session of the proof lives on, nor its successor."""
    ann = await pair.device()
    other = await new_device(pair.house, ann.user)
    proof = prove_again(ann)
    statuses = await pair.together(proof, sign_out(other, everywhere=True))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [ann.token, other.token]
    tokens += [proof.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def sign_out_beside_a_change(pair: Pair) -> None:
    """The session that changes the password is ended on another worker; its tokens are dead."""
    ann = await pair.device()
    change = change_password(ann)
    statuses = await pair.together(change, sign_out(ann))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [ann.token]
    tokens += [change.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def two_changes(pair: Pair) -> None:
    """On two devices, from the same password: one wins, and only its session goes on."""
    ann = await pair.device()
    other = await new_device(pair.house, ann.user)
    statuses = await pair.together(change_password(ann), change_password(other))
    assert sorted(statuses) in ([200, 400], [200, 401])
    alive = [await pair.is_admitted(each.token) for each in (ann, other)]
    assert alive == [status == 200 for status in statuses]


async def two_last_administrators(pair: Pair) -> None:
    """Both delete themselves: one of them stays, and is told why."""
    ann, bob = await pair.device("admin"), await pair.device("admin")
    deletion = delete(ann), delete(bob)
    statuses = await pair.together(*deletion)
    assert min(statuses) == 200 < max(statuses)
    stays = statuses.index(max(statuses))
    assert deletion[stays].answer["code"] == "last_admin"
    assert await pair.house.accounts.has_admin()
    await pair.house.stores.users.remove((ann, bob)[stays].user.id, an_event(name="user.deleted"))


async def sign_in_beside_a_deletion(pair: Pair) -> None:
    """Whoever is signed in to an account that is deleted holds tokens that are worth nothing."""
    ann = await pair.device()
    entry = sign_in(ann)
    statuses = await pair.together(entry, delete(ann))
    assert statuses in {(200, 200), (401, 200)}
    if statuses[0] == 200:
        assert not await pair.is_admitted(entry.answer["accessToken"])
    assert not await pair.is_admitted(ann.token)


async def two_tabs_refresh(pair: Pair) -> None:
    """Both get tokens that work, of one session."""
    ann = await pair.device()
    opened = await pair.house.sessions.open(ann.user, ("pwd",), "bearer", Origin())
    tabs = refresh(opened.tokens), refresh(opened.tokens)
    assert await pair.together(*tabs) == (200, 200)
    assert tabs[0].answer["refreshToken"] == tabs[1].answer["refreshToken"]
    assert all([await pair.is_admitted(each.answer["accessToken"]) for each in tabs])


async def sign_out_beside_a_refresh(pair: Pair) -> None:
    """The session is over, whichever was first."""
    ann = await pair.device()
    opened = await pair.house.sessions.open(ann.user, ("pwd",), "bearer", Origin())
    trade = refresh(opened.tokens)
    headers = {"Authorization": f"Bearer {opened.tokens.access_token}"}
    statuses = await pair.together(trade, Ask("POST", "/api/auth/signout", headers))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [opened.tokens.access_token]
    tokens += [trade.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def disabled_beside_a_change(pair: Pair) -> None:
    """An operator disables the user, and enables them again: no token of before lives on."""
    ann = await pair.device()
    change = change_password(ann)
    worker = pair.workers[sum(pair.outcomes.values()) % 2]
    status, disabled = await asyncio.gather(
        worker.request(change.method, change.path, change.headers, change.body),
        pair.house.accounts.disable(ann.user, COMMAND),
    )
    answer = json.loads(worker.body)
    pair.outcomes[status, int(disabled)] += 1
    assert (status in {200, 401}, disabled) == (True, True)
    found = await pair.house.accounts.get_by_username(ann.user.username)
    assert await pair.house.accounts.enable(found, COMMAND)
    tokens = [ann.token, *([answer["accessToken"]] if status == 200 else [])]
    assert not any([await pair.is_admitted(token) for token in tokens])


Race = Callable[[Pair], Coroutine[Any, Any, None]]
RACES: list[Race] = [
    sign_out_everywhere_beside_a_change,
    sign_out_beside_a_change,
    sign_out_everywhere_beside_a_proof,
    two_changes,
    two_last_administrators,
    sign_in_beside_a_deletion,
    two_tabs_refresh,
    sign_out_beside_a_refresh,
    disabled_beside_a_change,
]


async def test_whoever_is_first_what_was_ended_stays_ended(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    for race in RACES:
        pair.outcomes.clear()
        for _ in range(ROUNDS):
            await race(pair)
            await pair.renew_connections()
        if ROUNDS >= 100:
            with capsys.disabled():
                sys.stdout.write(f"\n{race.__name__}: {dict(pair.outcomes)}")
