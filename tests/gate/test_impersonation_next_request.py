"""Whoever loses what it needs to see the application as another user is refused at once.

On every worker of a server with SQLite, and in time on every node with MongoDB.
"""

import asyncio
import base64
import secrets
import time
from pathlib import Path

from gatelodge.app import House
from gatelodge.stores.mongo.feed import MAX_STALENESS
from tests.contracts.builders import an_event
from tests.gate.houses import new_device
from tests.gate.test_impersonation import (
    LOSSES,
    PROVED,
    SUPPORT,
    Scene,
    begin,
    device_of,
)
from tests.gate.test_next_request import house_of, others_asking, statuses
from tests.support.server import Server
from tests.support.wire import Connection, one_connection_to_each_worker

WORKERS = 2
ROUNDS = 4
PATH = "/api/auth/verify"


async def a_scene(house: House) -> Scene:
    """Return a new scene, with the role as it must be."""
    await house.stores.roles.ensure([SUPPORT])
    await house.stores.roles.permit(SUPPORT.name, "users:impersonate", an_event(), limit=9)
    eve = await new_device(house, None, SUPPORT.name, methods=PROVED)
    bob = await new_device(house)
    opened = await begin(house, eve, bob)
    return Scene([house], eve, bob, device_of(opened), opened)


async def test_on_sqlite_every_worker_refuses_the_next_request(tmp_path: Path) -> None:
    """All workers knew the token from memory, and answered for others meanwhile."""
    refused = 0
    with Server(tmp_path, workers=WORKERS) as server:
        house = house_of(server)
        async with house.open(), others_asking(house, server.port):
            connections = await one_connection_to_each_worker(server.pid, server.port, WORKERS)
            for what in [*LOSSES] * ROUNDS:
                scene = await a_scene(house)
                for _ in range(2):  # a read, then from memory
                    found = await statuses(connections, PATH, scene.viewed)
                    assert found == [200] * WORKERS, what
                await LOSSES[what](house, scene)
                refused += (await statuses(connections, PATH, scene.viewed)).count(401)
            for connection in connections:
                await connection.close()
    assert refused == ROUNDS * len(LOSSES) * WORKERS


async def test_on_mongodb_the_other_node_refuses_in_time(
    tmp_path: Path, mongodb_address: str
) -> None:
    secret = base64.b64encode(secrets.token_bytes(48)).decode()
    with Server(tmp_path / "a", database=mongodb_address, secret_key=secret) as first:
        url = f"http://localhost:{first.port}"
        second = Server(tmp_path / "b", database=mongodb_address, secret_key=secret, public_url=url)
        with second:
            house = house_of(first)
            async with house.open():
                connection = await Connection.open(second.port)
                latencies = [await seconds(house, connection, what) for what in LOSSES]
                await connection.close()
    assert max(latencies) < MAX_STALENESS.total_seconds() + 0.5


async def seconds(house: House, connection: Connection, what: str) -> float:
    """Return how long after a loss a node goes on to let the impersonator in."""
    scene = await a_scene(house)
    async with asyncio.timeout(10):
        while await connection.get(PATH, scene.viewed.headers) != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await connection.get(PATH, scene.viewed.headers) == 200
    await LOSSES[what](house, scene)
    lost_at = time.perf_counter()
    while await connection.get(PATH, scene.viewed.headers) != 401:
        assert time.perf_counter() - lost_at < 10, what
    return time.perf_counter() - lost_at
