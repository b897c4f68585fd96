"""A revocation counts on the next request, at every worker and every node."""

import asyncio
import base64
import contextlib
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gatelodge.app import House, build
from gatelodge.audit import COMMAND
from gatelodge.settings import Settings
from gatelodge.stores.mongo.feed import MAX_STALENESS
from tests.contracts.builders import an_event
from tests.gate.houses import Device, new_device
from tests.support.server import Server
from tests.support.wire import Connection, one_connection_to_each_worker

WORKERS = 2
REVOCATIONS = 300
AT_ONCE = 100
OTHERS = 6
SAMPLES = 60
LENT = "things:lent"


@dataclass(frozen=True, slots=True)
class Revocation:
    """One way in which a user loses something.

    Attributes:
        path: what the device could ask for before.
        status: the status of the answer after the change.
        happen: makes the change. It returns when the change was answered or committed.
    """

    path: str
    status: int
    happen: Callable[[House, Connection, Device], Awaitable[object]]


async def sign_out(_house: House, connection: Connection, device: Device) -> None:
    """Sign out by HTTP, at the worker behind this connection."""
    assert await connection.request("POST", "/api/auth/signout", device.headers) == 200


async def withdraw(house: House, _connection: Connection, device: Device) -> None:
    """Take the role away, as the command does."""
    assert await house.accounts.withdraw(device.user, "moderator", COMMAND)


async def disable(house: House, _connection: Connection, device: Device) -> None:
    """Disable the user, as the command does."""
    assert await house.accounts.disable(device.user, COMMAND)


async def delete(house: House, _connection: Connection, device: Device) -> None:
    """Delete the user, as the command does."""
    assert await house.accounts.delete(device.user, COMMAND)


async def change_password(house: House, _connection: Connection, device: Device) -> None:
    """Change the password as the service does, on another device."""
    assert await house.stores.users.change_password(
        device.user, "$argon2id$new", an_event(), continued=None
    )


async def grant_admin(house: House, _connection: Connection, device: Device) -> None:
    """Grant a role whose holders must have a second factor, as the command does."""
    assert await house.accounts.grant(device.user, "admin", COMMAND)


async def forbid(house: House, _connection: Connection, _device: Device) -> None:
    """Take a permission from a role that the user holds, as the command does."""
    assert await house.roles.forbid("moderator", LENT, COMMAND)


REVOCATIONS_BY_KIND = (
    Revocation("/api/test/user", 401, sign_out),
    Revocation("/api/test/mod", 403, withdraw),
    Revocation("/api/auth/verify", 401, disable),
    Revocation("/api/test/user", 401, delete),
    Revocation("/api/auth/verify?role=moderator", 401, change_password),
    Revocation(f"/api/auth/verify?permission={LENT}", 403, forbid),
    Revocation("/api/auth/verify", 403, grant_admin),
)


async def test_on_sqlite_the_next_request_is_refused_by_every_worker(tmp_path: Path) -> None:
    """The request is sent after the change was acknowledged. All must be refused.

    Every worker has answered for the device before, so all of them know it from memory. Other
    connections keep asking, so several requests share one turn of a worker's event loop.
    """
    with Server(tmp_path, workers=WORKERS, second_factor_required_for="admin") as server:
        house = house_of(server)
        async with house.open(), others_asking(house, server.port):
            connections = await one_connection_to_each_worker(server.pid, server.port, WORKERS)
            refused = await revoked_one_by_one(house, connections)
            for connection in connections:
                await connection.close()
    assert refused == REVOCATIONS * WORKERS


@contextlib.asynccontextmanager
async def others_asking(house: House, port: int) -> AsyncIterator[None]:
    """Keep several connections busy with requests of a user who loses nothing."""
    device = await new_device(house)
    over = asyncio.Event()

    async def keep_asking() -> None:
        connection = await Connection.open(port)
        while not over.is_set():
            assert await connection.get("/api/test/user", device.headers) == 200
        await connection.close()

    async with asyncio.TaskGroup() as asking:
        for _ in range(OTHERS):
            asking.create_task(keep_asking())
        yield
        over.set()


async def revoked_one_by_one(house: House, connections: list[Connection]) -> int:
    """Make the changes. Return how often the next request was refused."""
    refused = 0
    devices: list[Device] = []
    for number in range(REVOCATIONS):
        revocation = REVOCATIONS_BY_KIND[number % len(REVOCATIONS_BY_KIND)]
        if number % AT_ONCE == 0:  # many are made at once, for one wait for the disk
            made = (new_device(house, None, "moderator") for _ in range(AT_ONCE))
            devices = await asyncio.gather(*made)
        device = devices[number % AT_ONCE]
        if revocation.happen is forbid:
            assert await house.roles.permit("moderator", LENT, COMMAND)
        for _ in range(2):  # a read, then from memory
            assert await statuses(connections, revocation.path, device) == [200] * len(connections)
        await revocation.happen(house, connections[number % len(connections)], device)
        after = await statuses(connections, revocation.path, device)
        refused += after.count(revocation.status)
    return refused


async def statuses(connections: list[Connection], path: str, device: Device) -> list[int]:
    """Ask every worker at the same time, and return the statuses."""
    return await asyncio.gather(*(each.get(path, device.headers) for each in connections))


def house_of(server: Server) -> House:
    """Return a house in this process over the server's data, with its keys and its issuer."""
    secret = server.environment.get("GATELODGE_SECRET_KEY")
    database = server.environment.get("GATELODGE_DATABASE", "")
    data_dir = server.folder / "data"
    return build(
        Settings(data_dir=data_dir, database=database, port=server.port, secret_key=secret)
        if secret
        else Settings(data_dir=data_dir, port=server.port)
    )


# MongoDB


@pytest.fixture
async def nodes(tmp_path: Path, mongodb_address: str) -> AsyncIterator[list[Server]]:
    """Yield two nodes over one replica set."""
    secret = base64.b64encode(secrets.token_bytes(48)).decode()
    with Server(tmp_path / "a", database=mongodb_address, secret_key=secret) as first:
        second = Server(
            tmp_path / "b",
            database=mongodb_address,
            secret_key=secret,
            public_url=f"http://localhost:{first.port}",
        )
        with second:
            yield [first, second]


async def test_on_mongodb_the_other_node_refuses_in_time(
    nodes: list[Server], capsys: pytest.CaptureFixture[str]
) -> None:
    """The time runs from the acknowledged write at one node to the first refusal by the other.

    The bound is `MAX_STALENESS`. The figures are printed.
    """
    house = house_of(nodes[0])
    async with house.open():
        first, second = [await Connection.open(node.port) for node in nodes]
        latencies = sorted(
            [await seconds_until_refused(house, first, second) for _ in range(SAMPLES)]
        )
        for connection in (first, second):
            await connection.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\nrevocation seen by another node, after the write: {shown(latencies)}\n"
        )
    assert latencies[-1] < MAX_STALENESS.total_seconds() + 0.5


async def seconds_until_refused(house: House, first: Connection, second: Connection) -> float:
    """Sign a device out at the first node. Return the seconds until the second node refuses it."""
    device = await new_device(house)
    for connection in (first, second, second):
        assert await connection.get("/api/test/user", device.headers) == 200
    await sign_out(house, first, device)
    acknowledged_at = time.perf_counter()
    while await second.get("/api/test/user", device.headers) != 401:
        assert time.perf_counter() - acknowledged_at < 10
    return time.perf_counter() - acknowledged_at


def shown(latencies: list[float]) -> str:
    """Return the figures as text."""
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    last = len(latencies) - 1
    return ", ".join(
        f"{name} {latencies[round(place * last)] * 1000:.1f} ms" for name, place in places.items()
    )
