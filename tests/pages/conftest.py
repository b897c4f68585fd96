"""Fixtures of the pages' tests."""

import httpx
import pytest

from tests.pages.reader import Reader


@pytest.fixture
def reader(client: httpx.AsyncClient) -> Reader:
    """Return somebody with a browser who was never here."""
    return Reader(client)
