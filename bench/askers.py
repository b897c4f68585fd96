"""Somebody else who asks for lists: `python -m bench.askers DATABASE`.

A separate process asks the stores for the lists of `bench.measures.lists`, about ten a second,
until it is ended. What a token check waits beside it is the price of a machine that the database,
the load and the server share. What it waits beyond that is the price of the server's own work.
"""

import asyncio
import sys
from itertools import cycle

from bench.measures.lists import LIMIT, user_queries
from gatelodge.stores import Stores, open_stores


async def ask(stores: Stores) -> None:
    """Ask for one list of users after the other, and for the number of those who match."""
    for query in cycle([each for queries in user_queries().values() for each in queries]):
        await stores.users.search(query, after=None, limit=LIMIT)
        await stores.users.count_matching(query, limit=10_000)
        await asyncio.sleep(0.1)


async def _main(database: str) -> None:
    stores = open_stores(database)
    await stores.database.start()
    print("asking", flush=True)
    await ask(stores)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
