"""A server is killed between a rotation and its answer: the retry gets the same token."""

import asyncio
import os
import random
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from gatelodge.app import build
from gatelodge.sessions.refresh_tokens import RefreshTokens
from gatelodge.sessions.store import SessionStore
from gatelodge.settings import Settings
from gatelodge.stores import Stores
from tests.support.crowd import Crowd
from tests.support.people import PASSWORD, Person
from tests.support.server import Server

pytestmark = pytest.mark.faults

DEVICES = 24
ROUNDS = 4
FREEZES = 50
TURNS = 20


async def test_kill_9_signs_nobody_out(tmp_path: Path, address: str, stores: Stores) -> None:
    """A device whose token was traded and whose answer was lost asks again.

    It gets the token that was in the lost answer.
    """
    seed = secrets.randbits(32)
    chance, lost = random.Random(seed), 0
    with Server(tmp_path, workers=2, database=address, refresh_grace="60s") as server:
        records = Records(stores.sessions, refresh_tokens_of(server))
        devices = await signed_in_devices(server)
        for number in range(ROUNDS):
            await Storm(server, devices, records, chance).blow()
            lost += await records.unheard(devices)
            heirs = [await records.heir(device) for device in devices]
            server.start()
            answers = await retried(server, devices)
            assert answers == heirs, f"in round {number} of seed {seed}"
    assert lost, f"no kill came between a rotation and its answer, seed {seed}"


@dataclass(slots=True)
class Device:
    """One session, and the newest refresh token that its owner was given."""

    token: str


@dataclass(frozen=True, slots=True)
class Records:
    """What the database knows about the devices, read directly."""

    sessions: SessionStore
    tokens: RefreshTokens

    async def unheard(self, devices: list[Device]) -> int:
        """Return how many sessions were rotated without an answer to their device."""
        return sum([await self._ahead(device) for device in devices])

    async def heir(self, device: Device) -> str:
        """Return the token that must follow the one that a device holds."""
        claim = self.tokens.read(device.token)
        session = await self.sessions.find(claim.session_id)
        assert session is not None
        return self.tokens.write(session, claim.generation + 1)

    async def _ahead(self, device: Device) -> int:
        claim = self.tokens.read(device.token)
        session = await self.sessions.find(claim.session_id)
        assert session is not None
        assert session.revoked_at is None
        return session.generation - claim.generation


@dataclass(frozen=True, slots=True)
class Storm:
    """Devices that refresh again and again until their server is killed."""

    server: Server
    devices: list[Device]
    records: Records
    chance: random.Random

    async def blow(self) -> None:
        """Let every device refresh; kill the server when some answers are overdue."""
        async with Crowd(self.server) as client, asyncio.TaskGroup() as tasks:
            for device in self.devices:
                tasks.create_task(self._refresh_until_cut_off(client, device))
            await self._freeze_between_rotation_and_answer()
            await asyncio.to_thread(self.server.kill)

    async def _freeze_between_rotation_and_answer(self) -> None:
        """Stop the server at random moments, until a rotation has no answer yet."""
        for _ in range(FREEZES):
            await asyncio.sleep(self.chance.uniform(0, 0.02))
            os.killpg(self.server.pid, signal.SIGSTOP)
            for _ in range(TURNS):  # answers that were sent before shall be read
                await asyncio.sleep(0)
            if await self.records.unheard(self.devices):
                return
            os.killpg(self.server.pid, signal.SIGCONT)

    async def _refresh_until_cut_off(self, client: httpx2.AsyncClient, device: Device) -> None:
        while True:
            try:
                device.token = await refreshed(client, device.token)
            except httpx2.TransportError:
                return


def refresh_tokens_of(server: Server) -> RefreshTokens:
    """Return the service that writes the server's tokens, with the key from its data folder."""
    return build(Settings(data_dir=server.folder / "data")).sessions.refresh_tokens


async def signed_in_devices(server: Server) -> list[Device]:
    """Return the devices of one user."""
    async with Crowd(server) as client:
        assert (await Person("ann", client).sign_up()).status_code == 200
        return await asyncio.gather(*(signed_in_device(client) for _ in range(DEVICES)))


async def signed_in_device(client: httpx2.AsyncClient) -> Device:
    """Sign in: there are fewer of them than have a place in the queue for hashing."""
    wanted = {"username": "ann", "password": PASSWORD}
    answer = await client.post("/api/auth/signin", json=wanted)
    assert answer.status_code == 200, answer.text
    return Device(answer.json()["refreshToken"])


async def retried(server: Server, devices: list[Device]) -> list[str]:
    """Let every device ask with the token it knows; return what each is given."""
    async with Crowd(server) as client:
        for device in devices:
            device.token = await refreshed(client, device.token)
    return [device.token for device in devices]


async def refreshed(client: httpx2.AsyncClient, token: str) -> str:
    """Trade a refresh token, and return the next one."""
    answer = await client.post("/api/auth/refresh", json={"refreshToken": token})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["refreshToken"])
