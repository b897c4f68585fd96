"""What every store promises about forgetting the failed tries of everybody."""

from gatelodge.credentials.store import Limit
from gatelodge.stores import Stores
from tests.contracts.builders import NOON

THREE = Limit(3)
KEYS = ["account:ann", "address:203.0.113.7", "everybody", "sign-up:203.0.113.7"]


async def test_everybody_is_forgotten_and_counted(stores: Stores) -> None:
    """Afterwards each begins anew."""
    assert await stores.attempts.forget_all() == 0
    for key in KEYS:
        for _ in range(4):
            await stores.attempts.count_failure(key, THREE, NOON)

    assert await stores.attempts.forget_all() == len(KEYS)

    assert await stores.attempts.find(KEYS) == {}
    assert (await stores.attempts.count_failure(KEYS[0], THREE, NOON)).streak == 1
