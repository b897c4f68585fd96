"""Answers that are kept for a while."""

import asyncio
from datetime import timedelta

import pytest

from gatelodge.admin.kept import Kept
from gatelodge.errors import StoreUnavailable
from tests.support.clock import FakeClock

LIFE = timedelta(seconds=10)


class Source:
    """Counts how often it is asked; it answers when the test lets it."""

    def __init__(self) -> None:
        """Answer at once."""
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def find(self) -> int:
        """Return how often it was asked."""
        self.asked += 1
        answer = self.asked
        await self.open.wait()
        if self.fails:
            raise StoreUnavailable
        return answer


async def test_many_who_ask_at_once_ask_the_source_once(clock: FakeClock) -> None:
    source = Source()
    kept = Kept(source.find, LIFE, clock)

    assert await asyncio.gather(*(kept.get() for _ in range(50))) == [1] * 50

    clock.advance(LIFE - timedelta(seconds=1))
    assert await kept.get() == 1
    clock.advance(timedelta(seconds=1))
    assert await kept.get() == 2


async def test_while_a_new_answer_takes_long_the_old_one_serves(clock: FakeClock) -> None:
    source = Source()
    kept = Kept(source.find, LIFE, clock)
    assert await kept.get() == 1
    clock.advance(LIFE)
    source.open.clear()

    assert await asyncio.wait_for(kept.get(), 1) == 1
    assert await asyncio.wait_for(kept.get(), 1) == 1
    source.open.set()
    assert await kept.get() == 2
    assert source.asked == 2
    await kept.close()


async def test_who_waits_only_a_moment_gets_nothing_yet(clock: FakeClock) -> None:
    source = Source()
    source.open.clear()
    kept = Kept(source.find, LIFE, clock)

    assert await kept.soon() is None
    source.open.set()
    assert await kept.soon() == 1
    await kept.close()


async def test_a_failure_is_told_and_is_not_kept(clock: FakeClock) -> None:
    """While there is an old answer, that one serves."""
    source = Source()
    source.fails = True
    kept = Kept(source.find, LIFE, clock)

    with pytest.raises(StoreUnavailable):
        await kept.get()
    assert await kept.soon() is None
    source.fails = False
    assert await kept.get() == 3
    source.fails = True
    clock.advance(LIFE)
    assert await kept.get() == 3


async def test_finding_out_ends_with_the_server(clock: FakeClock) -> None:
    source = Source()
    source.open.clear()
    kept = Kept(source.find, LIFE, clock)
    assert await kept.soon() is None

    await asyncio.wait_for(kept.close(), 1)
