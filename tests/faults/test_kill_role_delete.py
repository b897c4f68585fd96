"""A command that is killed while it takes a role from many revives nothing, and can be repeated.

Each user who has lost the role has one event that says so, whichever command took it.
"""

import asyncio
import contextlib
import random
import secrets
import signal
import subprocess
from pathlib import Path

import pytest

from gatelodge.accounts.store import Role
from gatelodge.app import House, build
from gatelodge.gate.principal import Principal
from gatelodge.settings import Settings
from gatelodge.stores.mongo import MongoDatabase
from gatelodge.stores.mongo.records import to_document
from tests.contracts.builders import a_user, an_event
from tests.gate.houses import asked, new_device
from tests.support.events import newest
from tests.support.mongod import wait_until_gone, with_database
from tests.support.server import GATELODGE, environment

pytestmark = pytest.mark.faults

CROWD = 3_000
ROUNDS = 3
EDIT = "pages:edit"
KILLED = "killed"
DELETE = [str(GATELODGE), "role", "delete", "editor", "--take-from-all"]


@pytest.mark.parametrize("name", ["sqlite", "mongodb"])
async def test_kill_9_amid_a_deletion(
    tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    """Killed at any moment after the role itself is gone, until nobody holds it."""
    database = killed = ""
    if name == "mongodb":
        url, name = request.getfixturevalue("mongodb_url"), f"roles_{tmp_path.name}"
        database, killed = with_database(url, name), with_database(url, name, appName=KILLED)
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    data_dir = tmp_path / "data"
    here = environment(tmp_path, {"data_dir": str(data_dir), "database": killed})
    house = build(Settings(data_dir=data_dir, database=database))
    await asyncio.to_thread(house.stores.database.migrate)
    async with house.open():
        device = await new_device(house, None, "editor")
        await house.stores.roles.add(Role("editor", "", (EDIT,)), an_event())
        await fill(house)
        kills = 0
        for _ in range(ROUNDS):
            before = len(await house.stores.users.list_holders("editor", limit=CROWD + 1))
            if await killed_amid(house, here, before, chance.uniform(0, 0.01)):
                kills += 1
            principal = await asked(house, device.token)
            assert isinstance(principal, Principal)
            assert "editor" not in principal.roles, f"seed {seed}"
            assert EDIT not in principal.permissions, f"seed {seed}"
        left = len(await house.stores.users.list_holders("editor", limit=CROWD + 1))
        assert kills > 0, f"no kill came amid the deletion, seed {seed}"
        assert left > 0, f"nobody was left, seed {seed}"
        done = await asyncio.to_thread(command, here)
        assert done.stdout == f"editor is deleted; it was taken from {shown(left)}.\n"
        assert await house.stores.users.list_holders("editor", limit=1) == []
        told = await told_of(house)
        assert (len(told), len(set(told))) == (CROWD + 1, CROWD + 1), f"seed {seed}"


async def told_of(house: House) -> list[str | None]:
    """Return the users of whom an event says that they lost the role."""
    if isinstance(house.stores.database, MongoDatabase):
        await house.stores.users.outbox.sweep()  # type: ignore[attr-defined]
    events = await newest(house.stores.events, 3 * CROWD)
    return [event.target for event in events if event.name == "role.withdrawn"]


async def fill(house: House) -> None:
    """Let many users hold the role."""
    crowd = [a_user(roles=("user", "editor")) for _ in range(CROWD)]
    database = house.stores.database
    if isinstance(database, MongoDatabase):  # faster, without their names
        await database.collection("users").insert_many([to_document(user) for user in crowd])
    else:
        await asyncio.gather(*(house.stores.users.add(user, an_event()) for user in crowd))


async def killed_amid(house: House, here: dict[str, str], before: int, delay: float) -> bool:
    """Start the command, and kill it a moment after it has begun to take; False: it had ended."""
    started = await asyncio.create_subprocess_exec(
        *DELETE, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(await house.stores.users.list_holders("editor", limit=before)) == before:
        assert started.returncode is None, "it ended and took nothing"
        await asyncio.sleep(0.001)
    await asyncio.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        started.kill()
    was_killed = await started.wait() == -signal.SIGKILL
    if isinstance(house.stores.database, MongoDatabase):
        await asyncio.to_thread(wait_until_gone, here["GATELODGE_DATABASE"], KILLED)
    return was_killed


def command(here: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(DELETE, env=here, capture_output=True, text=True, check=True)


def shown(users: int) -> str:
    """Return a number of users in words."""
    return "1 user" if users == 1 else f"{users:,} users"
