"""Another username counts on the next request, at every worker and every node."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gatelodge.accounts.service import NewNames
from gatelodge.app import House, create_app
from gatelodge.credentials.own_proof import OwnProof
from gatelodge.stores.mongo.feed import MAX_STALENESS
from tests.gate.houses import houses
from tests.support.people import HERE, PASSWORD, Person, signed_in
from tests.support.settings import CHEAP_HASH

ROUNDS = 20
SLACK_SECONDS = 0.5
"""What a busy machine may add."""


@pytest.fixture
async def neighbours(address: str, tmp_path: Path) -> AsyncIterator[list[House]]:
    """Yield two houses over one database, like two workers or nodes."""
    async with houses(tmp_path, address, **CHEAP_HASH, username_change="on") as built:
        yield built


def speaking_to(house: House) -> httpx2.AsyncClient:
    """Return a client of this house, with its fast door."""
    transport = httpx2.ASGITransport(app=create_app(house))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080")


async def name_told(person: Person, client: httpx2.AsyncClient) -> str:
    """Return the username that forward-auth tells a proxy."""
    answer = await client.get("/api/auth/verify", headers=person.headers)
    assert answer.status_code == 200
    return answer.headers["x-auth-user"]


async def test_the_former_username_is_forgotten_at_once(
    neighbours: list[House], address: str
) -> None:
    """Both houses know the user from memory. After the answer, neither tells the former name.

    On MongoDB the other node may tell it until its stream reports the change, a second at most.
    """
    ours, theirs = neighbours
    here, there = speaking_to(ours), speaking_to(theirs)
    person = await signed_in(here, ours, "ann0")
    user = await ours.accounts.get_by_username("ann0")
    [session] = await ours.sessions.list_own(user, before=None, limit=9)
    for number in range(1, ROUNDS + 1):
        for client in (here, there) * 2:
            assert await name_told(person, client) == user.username
        wanted = NewNames(username=f"ann{number}")

        proof = OwnProof(session.id, session.authenticated_at, PASSWORD)
        user = await ours.accounts.rename_own(user, proof, wanted, HERE)

        assert await name_told(person, here) == f"ann{number}"
        if not address.startswith("mongodb"):
            assert await name_told(person, there) == f"ann{number}"
        await _tells(person, there, f"ann{number}")


async def _tells(person: Person, client: httpx2.AsyncClient, name: str) -> None:
    """Wait until a node tells this name; it must within `MAX_STALENESS`."""
    until = time.monotonic() + MAX_STALENESS.total_seconds() + SLACK_SECONDS
    while await name_told(person, client) != name:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
