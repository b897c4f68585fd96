"""A server that is killed amid sign-ups keeps every one that it answered."""

import asyncio
import random
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.faults.sign_ups import crowd_client, read_kept, sign_up
from tests.support.people import PASSWORD
from tests.support.server import Server

pytestmark = pytest.mark.faults

CROWD = 200
LATEST_KILL = 150  # answers, of 200: early enough to leave some without one


@pytest.mark.parametrize(("workers", "rounds"), [(1, 16), (2, 4)])
async def test_kill_9_loses_no_sign_up_that_was_answered(
    tmp_path: Path, workers: int, rounds: int
) -> None:
    """Killed at any moment of 200 sign-ups, the server has all it said yes to, each once.

    The kernel outlives the process here, so that this says nothing of power cuts; that commits
    wait for the disk too is told by `test_every_connection_is_durable` among the contracts.
    """
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    answered: set[str] = set()
    amid = 0
    with Server(tmp_path, workers=workers) as server:
        for number in range(rounds):
            storm = Storm(server, f"r{number}n", kill_after=chance.randrange(LATEST_KILL))
            await storm.blow(delay=chance.uniform(0, 0.05))
            context = f"round {number} of seed {seed}, {storm}"
            answered |= storm.answered
            amid += storm.was_amid
            server.start()
            check_kept(server, answered, context)
            await check_service(server, storm, chance, context)
    assert amid >= rounds * 3 // 4, f"only {amid} of {rounds} kills came amid sign-ups, seed {seed}"


@dataclass
class Storm:
    """A crowd that signs up all at once, until its server is killed.

    Attributes:
        server: what they sign up with, and what is killed.
        prefix: what all their names begin with.
        kill_after: how many answers come before the kill.
        answered: who was told that they are registered.
        unknown: who asked and was told nothing.
    """

    server: Server
    prefix: str
    kill_after: int
    answered: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make ready to count."""
        self._enough = asyncio.Event()

    def __str__(self) -> str:
        """Tell what happened in numbers, for a failed assertion."""
        return f"killed after {self.kill_after}: {len(self.answered)} answered"

    @property
    def was_amid(self) -> bool:
        """Whether the kill left some with an answer and some without."""
        return bool(self.answered) and bool(self.unknown)

    async def blow(self, *, delay: float) -> None:
        """Let everybody sign up; kill the server some seconds after the chosen answer."""
        if self.kill_after == 0:
            self._enough.set()
        async with crowd_client(self.server) as client, asyncio.TaskGroup() as tasks:
            for number in range(CROWD):
                tasks.create_task(self._sign_up(client, f"{self.prefix}{number}"))
            await self._enough.wait()
            await asyncio.sleep(delay)
            assert self.server.running, "the server ended before it was killed"
            await asyncio.to_thread(self.server.kill)

    async def _sign_up(self, client: httpx.AsyncClient, name: str) -> None:
        try:
            response = await sign_up(client, name)
        except httpx.TransportError:
            self.unknown.add(name)
            self._enough.set()  # a server that ends by itself must not be waited for
            return
        assert response.status_code == 200, f"{name}: {response.text}"
        self.answered.add(name)
        if len(self.answered) >= self.kill_after:
            self._enough.set()


def check_kept(server: Server, answered: set[str], context: str) -> None:
    """Check that the file is whole and holds whoever was answered, in any round so far, once."""
    kept = read_kept(server)
    assert kept.integrity == "ok", context
    assert len(kept.users) == len(set(kept.users)), context
    assert not answered - set(kept.users), f"lost, in {context}"
    assert not answered - kept.complete, f"without role or audit event, in {context}"


async def check_service(server: Server, storm: Storm, chance: random.Random, context: str) -> None:
    """Check that survivors sign in, and that asking again answers who was told nothing."""
    async with crowd_client(server) as client:
        for name in chance.sample(sorted(storm.answered), min(2, len(storm.answered))):
            response = await client.post(
                "/api/auth/signin", json={"username": name, "password": PASSWORD}
            )
            assert response.status_code == 200, f"{response.text} to {name}, in {context}"
        for name in chance.sample(sorted(storm.unknown), min(5, len(storm.unknown))):
            there = name in read_kept(server).users
            response = await sign_up(client, name)
            expected = (400, "username_taken") if there else (200, None)
            assert (response.status_code, response.json().get("code")) == expected, context
