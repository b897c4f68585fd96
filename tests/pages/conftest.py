"""Fixtures for the tests of the pages."""

import httpx2
import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from tests.pages.reader import Reader
from tests.support.people import sign_in_browser


@pytest.fixture
def reader(client: httpx2.AsyncClient) -> Reader:
    """Return a new visitor with a browser."""
    return Reader(client)


@pytest.fixture
async def ann(client: httpx2.AsyncClient, house: House) -> User:
    """Return Ann, whom the reader is signed in as."""
    return await sign_in_browser(client, house, "ann")
