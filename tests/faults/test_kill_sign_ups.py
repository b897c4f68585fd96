"""A server that is killed during sign-ups keeps every sign-up that it answered."""

import asyncio
import random
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.faults.sign_ups import read_kept
from tests.support.crowd import Crowd
from tests.support.people import PASSWORD
from tests.support.server import Server

pytestmark = pytest.mark.faults

CROWD = 200
KILLS = 3
MOST_ROUNDS = 15
LATEST_KILL = 150  # answers of 200, so that some people get none


@pytest.mark.parametrize("workers", [1, 2])
async def test_kill_9_loses_no_sign_up_that_was_answered(tmp_path: Path, workers: int) -> None:
    """The server is killed at any moment of 200 sign-ups. It has each confirmed user once.

    It is killed until three kills came amid the sign-ups. On a busy machine some come too late.

    The kernel keeps running, so this test says nothing about power cuts. That commits wait for
    the disk is tested by `test_every_connection_is_durable` among the contracts.
    """
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    answered: set[str] = set()
    number = amid = 0
    with Server(tmp_path, workers=workers) as server:
        while amid < KILLS:
            assert number < MOST_ROUNDS, f"only {amid} kills hit the sign-ups, seed {seed}"
            storm = Storm(server, f"r{number}n", kill_after=chance.randrange(LATEST_KILL))
            await storm.blow(delay=chance.uniform(0, 0.05))
            context = f"round {number} of seed {seed}, {storm}"
            answered |= storm.answered
            amid += storm.was_amid
            server.start()
            check_kept(server, answered, context)
            await check_service(server, storm, chance, context)
            number += 1


@dataclass
class Storm:
    """A crowd that signs up at once, until its server is killed.

    Attributes:
        server: the server that is killed.
        prefix: the beginning of all usernames.
        kill_after: how many answers come before the kill.
        answered: the users who were told that they are registered.
        unknown: the users who got no answer.
    """

    server: Server
    prefix: str
    kill_after: int
    answered: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make the event that says when enough answers have come."""
        self._enough = asyncio.Event()

    def __str__(self) -> str:
        """Say what happened, for a failed assertion."""
        return f"killed after {self.kill_after}: {len(self.answered)} answered"

    @property
    def was_amid(self) -> bool:
        """Whether some people got an answer and some did not."""
        return bool(self.answered) and bool(self.unknown)

    async def blow(self, *, delay: float) -> None:
        """Let everybody sign up. Kill the server `delay` seconds after the chosen answer."""
        if self.kill_after == 0:
            self._enough.set()
        async with Crowd(self.server) as client, asyncio.TaskGroup() as tasks:
            for number in range(CROWD):
                tasks.create_task(self._sign_up(client, f"{self.prefix}{number}"))
            await self._enough.wait()
            await asyncio.sleep(delay)
            assert self.server.running, "the server ended before it was killed"
            await asyncio.to_thread(self.server.kill)

    async def _sign_up(self, client: Crowd, name: str) -> None:
        try:
            response = await client.sign_up(name)
        except httpx2.TransportError:
            self.unknown.add(name)
            self._enough.set()  # do not wait for ever if the server ends by itself
            return
        assert response.status_code == 200, f"{name}: {response.text}"
        self.answered.add(name)
        if len(self.answered) >= self.kill_after:
            self._enough.set()


def check_kept(server: Server, answered: set[str], context: str) -> None:
    """Check that the file is whole, and holds each user confirmed in any round so far once."""
    kept = read_kept(server)
    assert kept.integrity == "ok", context
    assert len(kept.users) == len(set(kept.users)), context
    assert not answered - set(kept.users), f"lost, in {context}"
    assert not answered - kept.complete, f"without role or audit event, in {context}"


async def check_service(server: Server, storm: Storm, chance: random.Random, context: str) -> None:
    """Check that survivors sign in, and that asking again answers who was told nothing."""
    async with Crowd(server) as client:
        for name in chance.sample(sorted(storm.answered), min(2, len(storm.answered))):
            response = await client.post(
                "/api/auth/signin", json={"username": name, "password": PASSWORD}
            )
            assert response.status_code == 200, f"{response.text} to {name}, in {context}"
        for name in chance.sample(sorted(storm.unknown), min(5, len(storm.unknown))):
            there = name in read_kept(server).users
            response = await client.sign_up(name)
            expected = (400, "username_taken") if there else (200, None)
            assert (response.status_code, response.json().get("code")) == expected, context
