"""What every store promises about forgetting the failed tries of everybody."""

from gatelodge.credentials.store import Limit, Reservation
from gatelodge.stores import Stores
from tests.contracts.builders import NOON, an_event

THREE = Limit(3)
KEYS = ["account:ann", "address:203.0.113.7", "everybody", "sign-up:203.0.113.7"]


async def test_everybody_is_forgotten_and_counted(stores: Stores) -> None:
    """Afterwards each begins anew."""
    assert await stores.attempts.forget_all(an_event()) == 0
    for key in KEYS:
        for _ in range(4):
            await stores.attempts.count_failure(key, THREE, NOON)

    assert await stores.attempts.forget_all(an_event()) == len(KEYS)

    assert await stores.attempts.find(KEYS) == {}
    assert (await stores.attempts.count_failure(KEYS[0], THREE, NOON)).streak == 1


async def test_tries_in_progress_stay(stores: Stores) -> None:
    """Else more could be made at once than may fail."""
    for _ in range(2):
        await stores.attempts.count_failure(KEYS[0], THREE, NOON)
    assert await stores.attempts.reserve(Reservation(KEYS[0]), THREE, NOON) is None

    assert await stores.attempts.forget_all(an_event()) == 1

    tries = [await stores.attempts.reserve(Reservation(KEYS[0]), THREE, NOON) for _ in range(3)]
    assert [each is None for each in tries] == [True, True, False]
