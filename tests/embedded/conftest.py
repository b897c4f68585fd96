"""Fixtures for the tests of applications with the house inside."""

from pathlib import Path

import pytest

from gatelodge.data_folder import DATABASE
from gatelodge.fastapi import Gatelodge
from tests.support.clock import FakeClock
from tests.support.databases import migrated


@pytest.fixture
def auth(tmp_path: Path, clock: FakeClock) -> Gatelodge:
    """Return a Gatelodge that keeps its data in a folder of the test."""
    return Gatelodge(data_dir=migrated(tmp_path / "data" / DATABASE).parent, clock=clock)
