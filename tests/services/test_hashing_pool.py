"""The hashing pool: how many hashes run at once, who waits, and who is refused."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.credentials.refusals import HashingBusy, HashingUnavailable


class Gate:
    """Work that begins when a thread is free, and ends when the gate is opened."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._begun = threading.Semaphore(0)
        self._open = threading.Event()

    def pass_through(self, number: int) -> int:
        self.seen.append(number)
        self._begun.release()
        self._open.wait()
        return number

    async def until_begun(self) -> None:
        await asyncio.to_thread(self._begun.acquire)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
async def pool(gate: Gate) -> AsyncIterator[HashingPool]:
    pool = HashingPool(threads=1, queue=2)
    yield pool
    gate.open()
    await pool.close()


async def fill(pool: HashingPool, gate: Gate) -> list[asyncio.Task[int]]:
    """Start three tasks, of which one runs and two wait. Return the three."""
    tasks = [asyncio.create_task(pool.run(gate.pass_through, number)) for number in range(3)]
    await gate.until_begun()
    return tasks


async def test_the_caller_gets_what_the_function_returns(pool: HashingPool) -> None:
    assert await pool.run(lambda left, right: left + right, 40, 2) == 42
    assert (pool.running, pool.waiting, pool.finished) == (0, 0, 1)


async def test_the_caller_gets_what_the_function_raises(pool: HashingPool) -> None:
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 1, 0)

    assert await pool.run(divmod, 7, 2) == (3, 1)


async def test_a_real_hash_is_made_and_verified_off_the_event_loop(pool: HashingPool) -> None:
    hasher = PasswordHasher()
    stored = await pool.run(hasher.hash, "correct horse battery")

    assert await pool.run(hasher.verify, stored, "correct horse battery")
    assert not await pool.run(hasher.verify, None, "correct horse battery")
    assert await pool.run(threading.get_ident) != threading.get_ident()


async def test_a_pool_without_work_has_no_thread() -> None:
    before = threading.active_count()
    pool = HashingPool(threads=2)

    assert threading.active_count() == before
    await pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a thread has its own priority")
async def test_the_threads_let_others_go_first(pool: HashingPool) -> None:
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = await pool.run(threading.get_native_id)

    assert os.getpriority(os.PRIO_PROCESS, thread) == min(usual + 10, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual


async def test_everybody_with_a_place_is_answered_in_turn(pool: HashingPool, gate: Gate) -> None:
    tasks = await fill(pool, gate)
    assert (pool.running, pool.waiting) == (1, 2)
    gate.open()

    assert await asyncio.gather(*tasks) == gate.seen == [0, 1, 2]
    assert (pool.running, pool.waiting, pool.finished) == (0, 0, 3)


async def test_a_full_queue_refuses_at_once(pool: HashingPool, gate: Gate) -> None:
    await fill(pool, gate)

    for _ in range(5):
        with pytest.raises(HashingBusy) as refusal:
            await pool.run(gate.pass_through, 99)
        assert refusal.value.retry_after == 1

    assert pool.refused == 5
    assert gate.seen == [0]


async def test_the_refusal_says_how_long_the_queue_takes(pool: HashingPool, gate: Gate) -> None:
    pool._average_seconds = 2.5
    await fill(pool, gate)

    with pytest.raises(HashingBusy) as refusal:
        await pool.run(gate.pass_through, 99)

    assert refusal.value.retry_after == 8


async def test_one_who_hangs_up_while_waiting_frees_the_place(
    pool: HashingPool, gate: Gate
) -> None:
    """The client is gone. Its password is never hashed, and another client gets the place."""
    running, gone, waiting = await fill(pool, gate)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone

    assert (pool.running, pool.waiting, pool.abandoned) == (1, 1, 1)
    next_one = asyncio.create_task(pool.run(gate.pass_through, 3))
    gate.open()
    assert [await running, await waiting, await next_one] == gate.seen == [0, 2, 3]


@pytest.mark.parametrize(("gives_up", "abandoned"), [(True, 1), (False, 0)])
def test_one_who_hangs_up_before_waiting_is_counted(
    pool: HashingPool, *, gives_up: bool, abandoned: int
) -> None:
    """A sign-in takes its place before it reserves its try in the database."""
    place = pool.take()
    if gives_up:
        assert place.give_up()
    place.leave()

    assert (pool.running, pool.abandoned, pool.finished) == (0, abandoned, 0)


async def test_one_who_hangs_up_while_running_keeps_the_thread_to_the_end(
    pool: HashingPool, gate: Gate
) -> None:
    gone, *waiting = await fill(pool, gate)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone

    assert (pool.running, pool.waiting, pool.abandoned) == (1, 2, 0)
    with pytest.raises(HashingBusy):
        await pool.run(gate.pass_through, 99)
    gate.open()
    assert await asyncio.gather(*waiting) == [1, 2]


async def test_a_thread_that_cannot_start_costs_no_place(
    pool: HashingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password was not hashed. When threads start again, as many are hashed as before."""

    def no_thread(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short_of_threads:
        short_of_threads.setattr(threading.Thread, "start", no_thread)
        for number in range(10):
            with pytest.raises(HashingUnavailable):
                await pool.run(str, number)
    assert (pool.running, pool.waiting, pool.finished) == (0, 0, 0)

    assert await asyncio.gather(*(pool.run(str, number) for number in range(3))) == ["0", "1", "2"]
    assert (pool.running, pool.waiting, pool.finished) == (0, 0, 3)


async def test_a_place_that_is_left_is_free(pool: HashingPool, gate: Gate) -> None:
    """Whether or not anything was computed there, and however often it is left."""
    places = [pool.take() for _ in range(3)]
    with pytest.raises(HashingBusy):
        pool.take()
    for place in (places[0], places[0], places[1]):
        place.leave()
    assert pool.running + pool.waiting == 1

    running = asyncio.create_task(places[2].run(gate.pass_through, 7))
    await gate.until_begun()
    assert places[2].has_begun
    assert not places[2].give_up()
    places[2].leave()
    assert pool.running == 1, "it runs to its end"
    gate.open()
    assert await running == 7
    assert pool.running == 0


async def test_no_more_run_at_once_than_there_are_threads(gate: Gate) -> None:
    pool = HashingPool(threads=2, queue=4)
    tasks = [asyncio.create_task(pool.run(gate.pass_through, number)) for number in range(6)]
    await gate.until_begun()
    await gate.until_begun()

    assert (pool.running, pool.waiting) == (2, 4)
    assert sorted(gate.seen) == [0, 1]
    gate.open()
    assert await asyncio.gather(*tasks) == list(range(6))
    await pool.close()


async def test_of_many_at_once_each_is_answered_or_refused() -> None:
    pool = HashingPool(threads=2, queue=64)
    answers = await asyncio.gather(
        *(pool.run(str, number) for number in range(500)), return_exceptions=True
    )

    for number, answer in enumerate(answers):
        assert isinstance(answer, HashingBusy) or answer == str(number)
    refused = sum(isinstance(answer, HashingBusy) for answer in answers)
    assert refused == pool.refused <= 500 - 66
    assert pool.finished == 500 - refused
    assert (pool.running, pool.waiting) == (0, 0)
    await pool.close()


async def test_closing_finishes_what_was_admitted_and_takes_nothing_new(
    pool: HashingPool, gate: Gate
) -> None:
    tasks = await fill(pool, gate)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)

    with pytest.raises(HashingBusy):
        await pool.run(gate.pass_through, 99)
    gate.open()
    assert await asyncio.gather(*tasks) == [0, 1, 2]
    await closing
    await pool.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("hashing")]
