"""A process that races others for names: `python -m tests.contracts.racer ADDRESS PREFIX`.

For each name in turn, it tries to add several users of that name, each with another id. It prints
how many of its own users were kept for each name.
"""

import asyncio
import json
import sys

from gatelodge.errors import AlreadyExists
from gatelodge.stores import Stores, open_stores
from tests.contracts.builders import a_user, an_event

NAMES = 5
TRIES = 10


async def race(address: str, prefix: str) -> list[int]:
    """Return for each name how many users of this process were kept."""
    stores = open_stores(address)
    await stores.database.start()
    sys.stdin.readline()  # wait until all processes are ready
    kept = [await _race_for(stores, f"{prefix}{number}") for number in range(NAMES)]
    await stores.database.stop()
    return kept


async def _race_for(stores: Stores, name: str) -> int:
    outcomes = await asyncio.gather(*(_try(stores, name) for _ in range(TRIES)))
    return outcomes.count(True)


async def _try(stores: Stores, name: str) -> bool:
    try:
        await stores.users.add(a_user(name), an_event())
    except AlreadyExists:
        return False
    return True


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(asyncio.run(race(*sys.argv[1:]))))
