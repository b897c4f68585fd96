"""Fixtures for the tests of the pages."""

import httpx
import pytest

from tests.pages.reader import Reader


@pytest.fixture
def reader(client: httpx.AsyncClient) -> Reader:
    """Return a new visitor with a browser."""
    return Reader(client)
