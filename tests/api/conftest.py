"""Fixtures for the tests of the API."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gatelodge.app import House
from tests.gate.houses import houses
from tests.support.clock import FakeClock
from tests.support.people import Person, signed_in
from tests.support.settings import CHEAP_HASH


@pytest.fixture
async def house_anywhere(
    address: str, tmp_path: Path, clock: FakeClock, request: pytest.FixtureRequest
) -> AsyncIterator[House]:
    """Return a house over each kind of database in turn, with the settings that the test names."""
    changes = CHEAP_HASH | getattr(request, "param", {})
    async with houses(tmp_path, address, clock, 1, **changes) as [house]:
        yield house


@pytest.fixture
async def root(client: httpx2.AsyncClient, house: House) -> Person:
    """Return Adele, an administrator who has just signed in."""
    return await signed_in(client, house, "adele", "admin")
