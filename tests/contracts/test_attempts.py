"""What every store promises about failed tries and tries in progress."""

import asyncio
import json
import random
import sys
from datetime import datetime, timedelta

import pytest

from gatelodge.credentials.store import (
    LAPSES_AFTER,
    Attempts,
    Limit,
    Reservation,
    after_failure,
)
from gatelodge.stores import Stores
from tests.contracts.builders import A_MINUTE, NOON

THREE = Limit(3)
DAY = timedelta(days=1)


async def test_a_failure_is_found_as_it_was_counted(stores: Stores) -> None:
    """It is found by its key. Keys without failures are not in the answer."""
    counted = await stores.attempts.count_failure("account:ann", THREE, NOON)

    assert counted == after_failure(None, "account:ann", THREE, NOON)
    assert await stores.attempts.find(["account:ann", "account:bob"]) == {"account:ann": counted}
    assert await stores.attempts.find([]) == {}


async def test_failures_add_up_until_one_has_to_wait(stores: Stores) -> None:
    """Every store counts as the function `after_failure` does."""
    expected: Attempts | None = None
    for second in range(5):
        at = NOON + timedelta(seconds=second)
        expected = after_failure(expected, "account:ann", THREE, at)
        assert await stores.attempts.count_failure("account:ann", THREE, at) == expected

    assert expected is not None
    assert expected.failures == expected.streak == 5
    assert expected.blocked_until == NOON + timedelta(seconds=4 + 120)


@pytest.mark.parametrize("behind", [timedelta(milliseconds=1), timedelta(seconds=12)])
async def test_a_clock_that_is_behind_finds_nothing_blocked(
    stores: Stores, behind: timedelta
) -> None:
    """Two processes try a new name at once, and then one fails."""
    reserve, before = stores.attempts.reserve, NOON - behind
    assert await reserve(Reservation("account:ann"), THREE, NOON) is None
    assert await reserve(Reservation("account:ann"), THREE, before) is None

    failed = await stores.attempts.count_failure("account:bob", THREE, NOON)
    assert failed.wait_at(THREE, before) == timedelta(0)
    assert await reserve(Reservation("account:bob"), THREE, before) is None


async def test_of_many_who_fail_together_each_is_counted(stores: Stores) -> None:
    counted = await asyncio.gather(
        *(stores.attempts.count_failure("address:203.0.113.7", THREE, NOON) for _ in range(30))
    )

    assert sorted(each.failures for each in counted) == list(range(1, 31))
    found = await stores.attempts.find(["address:203.0.113.7"])
    assert found["address:203.0.113.7"].streak == 30


async def test_what_is_forgotten_begins_anew(stores: Stores) -> None:
    """Other records stay as they are."""
    await stores.attempts.count_failure("account:ann", THREE, NOON)
    await stores.attempts.count_failure("account:bob", THREE, NOON)

    assert await stores.attempts.forget(["account:ann", "account:nobody"])
    assert not await stores.attempts.forget(["account:ann", "account:nobody"])
    assert not await stores.attempts.forget([])
    assert list(await stores.attempts.find(["account:ann", "account:bob"])) == ["account:bob"]
    assert (await stores.attempts.count_failure("account:ann", THREE, NOON)).streak == 1


async def test_quiet_records_are_swept(stores: Stores) -> None:
    """Each failure in a row keeps the record one day longer, up to a month.

    Slow guesses are counted together that way.
    """
    few = await stores.attempts.count_failure("account:ann", THREE, NOON)
    for _ in range(3):
        many = await stores.attempts.count_failure("account:bob", THREE, NOON)

    assert few.forget_at == NOON + DAY
    assert many.forget_at == NOON + 3 * DAY
    assert await stores.attempts.remove_quiet(NOON + DAY - A_MINUTE) == 0
    assert await stores.attempts.remove_quiet(NOON + DAY) == 1
    assert list(await stores.attempts.find(["account:ann", "account:bob"])) == ["account:bob"]
    assert await stores.attempts.remove_quiet(NOON + 3 * DAY) == 1
    for _ in range(40):
        many = await stores.attempts.count_failure("account:cid", THREE, NOON)
    assert many.forget_at == NOON + 30 * DAY


NOW = timedelta(0)
ANN = "account:ann"


async def reserve(
    stores: Stores, limit: Limit = THREE, at: datetime = NOON
) -> Reservation | timedelta:
    """Reserve a try of Ann. Return the reservation, or how long she has to wait."""
    wanted = Reservation(ANN)
    wait = await stores.attempts.reserve(wanted, limit, at)
    return wanted if wait is None else wait


async def reserved(stores: Stores, limit: Limit = THREE, at: datetime = NOON) -> Reservation:
    """Reserve a try of Ann, which must be allowed."""
    wanted = await reserve(stores, limit, at)
    assert isinstance(wanted, Reservation)
    return wanted


async def test_no_more_are_reserved_than_may_fail(stores: Stores) -> None:
    """However many callers come together. What is given back can be reserved again."""
    together = await asyncio.gather(*(reserve(stores) for _ in range(30)))

    granted = [each for each in together if isinstance(each, Reservation)]
    assert len(granted) == 3
    assert together.count(NOW) == 27
    assert await stores.attempts.find([ANN]) == {}, "nothing has failed yet"
    await stores.attempts.give_back(granted[0])
    await stores.attempts.give_back(granted[0])
    assert isinstance(await reserve(stores), Reservation)
    assert await reserve(stores) == NOW


async def test_a_reservation_that_fails_is_a_failure(stores: Stores) -> None:
    """Failures and reservations together reach the limit; only failures block."""
    first, second = await reserved(stores), await reserved(stores)
    counted = await stores.attempts.count_failure(ANN, THREE, NOON, first)

    assert counted == after_failure(None, ANN, THREE, NOON)
    third = await reserved(stores)
    assert await reserve(stores) == NOW
    await stores.attempts.count_failure(ANN, THREE, NOON, second)
    await stores.attempts.count_failure(ANN, THREE, NOON, third)
    assert await reserve(stores) == timedelta(seconds=30)
    later = NOON + timedelta(seconds=30)
    await reserved(stores, at=later)
    assert await reserve(stores, at=later) == NOW, "after a wait, one at a time"


async def test_success_forgets_failures_and_leaves_the_tries_in_progress(stores: Stores) -> None:
    for _ in range(2):
        await stores.attempts.count_failure(ANN, Limit(4), NOON)
    right, wrong = await reserved(stores, Limit(4)), await reserved(stores, Limit(4))
    await stores.attempts.give_back(right, forget=True)

    assert await stores.attempts.find([ANN]) == {}
    assert not await stores.attempts.forget([ANN])
    granted = [await reserve(stores, Limit(4)) for _ in range(4)]
    assert [isinstance(each, Reservation) for each in granted] == [True, True, True, False]
    counted = await stores.attempts.count_failure(ANN, Limit(4), NOON, wrong)
    assert counted == after_failure(None, ANN, Limit(4), NOON)


async def test_what_is_forgotten_says_nothing_of_tries_in_progress(stores: Stores) -> None:
    """A name that somebody is signing in with has no failures to be forgotten."""
    right = await reserved(stores)
    assert not await stores.attempts.forget([ANN])
    await stores.attempts.give_back(right, forget=True)
    assert not await stores.attempts.forget([ANN])


async def test_the_reservations_of_a_process_that_died_lapse(stores: Stores) -> None:
    """And they are swept."""
    for _ in range(3):
        await reserved(stores)
    almost, lapsed = NOON + LAPSES_AFTER - timedelta(seconds=1), NOON + LAPSES_AFTER

    assert await reserve(stores, at=almost) == NOW
    late = await reserved(stores, at=lapsed)
    await stores.attempts.give_back(late)
    assert await stores.attempts.remove_quiet(lapsed) == 0, "there were no failures"
    assert await stores.attempts.find([ANN]) == {}


async def test_nothing_is_reserved_beyond_the_hard_stop(stores: Stores) -> None:
    limit = Limit(10, hard_stop=12)
    day = NOON
    for number in range(9):
        await stores.attempts.count_failure(ANN, limit, day + A_MINUTE * 10 * number)
    later = NOON + DAY / 2

    granted = [await reserve(stores, limit, later) for _ in range(4)]
    assert [isinstance(each, Reservation) for each in granted] == [True, True, True, False]
    for each in granted[:3]:
        assert isinstance(each, Reservation)
        await stores.attempts.count_failure(ANN, limit, later, each)
    assert await reserve(stores, limit, later) == limit.longest_wait
    assert await reserve(stores, limit, later + 20 * DAY) == limit.longest_wait


@pytest.mark.parametrize("seed", range(8))
async def test_every_store_counts_and_reserves_as_the_rules_say(stores: Stores, seed: int) -> None:
    """Random limits, tries and times; the rules are `after_failure` and the methods of `Limit`."""
    chance = random.Random(seed)
    limit = a_limit(chance)
    before: Attempts | None = None
    at, open_tries = NOON, list[Reservation]()
    for _ in range(60):
        at += timedelta(milliseconds=chance.choice([0, 1, 999, 30_000, 61_000, 400_000]))
        wait = before.wait_at(limit, at) if before else NOW
        failures, streak = (before.failures_at(at), before.streak) if before else (0, 0)
        wanted = await reserve(stores, limit, at)
        if wait or len(open_tries) >= limit.tries_left(failures, streak):
            assert wanted == wait
        else:
            assert isinstance(wanted, Reservation)
            open_tries.append(wanted)
        if open_tries and chance.random() < 0.7:
            ended = open_tries.pop(chance.randrange(len(open_tries)))
            before = after_failure(before, ANN, limit, at)
            assert await stores.attempts.count_failure(ANN, limit, at, ended) == before
        for each in open_tries:  # none of them lives long enough to lapse
            await stores.attempts.give_back(each)
        open_tries.clear()
    expected = {} if before is None else {ANN: before}
    assert await stores.attempts.find([ANN]) == expected


def a_limit(chance: random.Random) -> Limit:
    """Return a limit of one of the kinds that the server uses, with other figures."""
    tries = chance.randint(1, 6)
    return Limit(
        tries,
        first_wait=chance.choice([None, timedelta(seconds=30), timedelta(seconds=1)]),
        longest_wait=timedelta(minutes=chance.choice([5, 60])),
        doubles_after=chance.choice([1, tries, 3]),
        hard_stop=chance.choice([0, 15, 100]),
    )


async def test_two_processes_together_let_in_no_more_than_may_fail(address: str) -> None:
    """Of a hundred wrong guesses at one moment, exactly ten are looked at."""
    command = [sys.executable, "-m", "tests.contracts.guesser", address]
    pipe = asyncio.subprocess.PIPE
    guessers = [
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(2)
    ]
    for each in guessers:
        assert each.stdout is not None
        assert await each.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(each.communicate(b"go\n") for each in guessers))

    looked_at = [json.loads(output) for output, _ in answers]
    assert [sum(each) for each in zip(*looked_at, strict=True)] == [10] * 10
