"""Long work lets others on the event loop go on in between."""

import asyncio
import time

import pytest

from gatelodge import turns
from gatelodge.turns import Turns, in_turns


async def test_others_go_on_while_much_is_done() -> None:
    """Somebody who is always ready gets the loop after each turn, not only at the end."""
    done: list[int] = []
    seen: list[int] = []

    async def somebody() -> None:
        while len(done) < 20:
            seen.append(len(done))
            await asyncio.sleep(0)

    def slow(number: int) -> int:
        until = time.perf_counter() + turns.TURN_SECONDS
        while time.perf_counter() < until:
            pass
        done.append(number)
        return -number

    other = asyncio.create_task(somebody())
    results = await in_turns(slow, range(20))
    await other

    assert results == [-number for number in range(20)]
    assert set(seen) >= set(range(1, 19))


async def test_nobody_is_waited_for_within_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step costs little as long as the turn lasts."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 3600)
    went_on = asyncio.create_task(asyncio.sleep(0))

    mine = Turns()
    for _ in range(100):
        await mine.next()

    assert not went_on.done()
    await went_on
