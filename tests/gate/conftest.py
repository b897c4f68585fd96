"""Fixtures of the tests of the gate."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatelodge.app import House
from tests.gate.houses import houses


@pytest.fixture
async def pair(tmp_path: Path, address: str) -> AsyncIterator[list[House]]:
    """Yield two houses over an empty database."""
    async with houses(tmp_path, address) as both:
        yield both
