"""What every store promises about failed tries."""

import asyncio
from datetime import timedelta

from gatelodge.credentials.store import Attempts, Limit, after_failure
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

    assert await stores.attempts.forget("account:ann")
    assert not await stores.attempts.forget("account:ann")
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
