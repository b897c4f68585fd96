"""Fixtures that every kind of test uses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from gatelodge.app import House, build, create_app
from gatelodge.settings import Settings
from tests.support import vectors
from tests.support.clock import FakeClock
from tests.support.mongod import mongodb_url
from tests.support.server import Server

__all__ = ["mongodb_url"]


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test sets."""
    return FakeClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with the data in a folder of the test's own."""
    return Settings(data_dir=tmp_path)


@pytest.fixture
async def house(settings: Settings, clock: FakeClock) -> AsyncIterator[House]:
    """Return the whole house over a real SQLite file, without doors."""
    built = build(settings, clock)
    await asyncio.to_thread(built.stores.database.migrate)
    async with built.serve():
        yield built


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that speaks to the real application in this process."""
    transport = httpx.ASGITransport(app=create_app(house), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return the real server in a process of its own, over SQLite."""
    with Server(tmp_path) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of a run whether the vectors that others publish ran."""
    vectors.summarize(terminalreporter)
