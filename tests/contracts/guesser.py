"""A process that guesses beside others: `python -m tests.contracts.guesser ADDRESS`.

For each name in turn, it makes fifty wrong guesses at one moment. It prints how many of them were
let in for each name.
"""

import asyncio
import json
import sys

from gatelodge.credentials.store import Limit, Reservation
from gatelodge.stores import Stores, open_stores
from tests.contracts.builders import NOON

NAMES = 10
GUESSES = 50
TEN = Limit(10)


async def guess(address: str) -> list[int]:
    """Return for each name how many guesses were let in."""
    stores = open_stores(address)
    await stores.database.start()
    sys.stdin.readline()  # wait until all processes are ready
    let_in = [await _guess_at(stores, f"account:{number}") for number in range(NAMES)]
    await stores.database.stop()
    return let_in


async def _guess_at(stores: Stores, key: str) -> int:
    return sum(await asyncio.gather(*(_guess(stores, key) for _ in range(GUESSES))))


async def _guess(stores: Stores, key: str) -> bool:
    """Ask until the guess is let in, or the key is blocked; a guess that is let in fails."""
    while True:
        wanted = Reservation(key)
        wait = await stores.attempts.reserve(wanted, TEN, NOON)
        if wait is None:
            await stores.attempts.count_failure(key, TEN, NOON, wanted)
            return True
        if wait:
            return False
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(asyncio.run(guess(sys.argv[1]))))
