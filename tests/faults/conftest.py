"""A replica set that survives the loss of a node, and servers with two workers."""

import gc
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.pairs import NO_LIMITS, SECRET_KEY, Pair
from tests.gate.test_next_request import house_of
from tests.support.mongod import ReplicaSet, close_observers, require_mongod
from tests.support.server import Server


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """Yield a replica set of three nodes with quick elections."""
    require_mongod()
    folder = tmp_path_factory.mktemp("three")
    with ReplicaSet(folder, nodes=3) as replica_set:
        yield replica_set
        close_observers()
        gc.collect()  # sockets that the driver lost, see `mongodb_url`
        for number in range(len(replica_set.nodes)):
            replica_set.kill(number)  # a primary needs fifteen seconds for a clean end
    shutil.rmtree(folder)  # a gigabyte, which may be in memory


@pytest.fixture(params=["sqlite", "mongodb"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    """Yield a server with two workers over an empty database; moderators need a second factor."""
    settings = {
        "secret_key": SECRET_KEY,
        "second_factor_required_for": "moderator",
        **NO_LIMITS,
    }
    if request.param == "mongodb":
        settings["database"] = str(request.getfixturevalue("mongodb_address"))
    with Server(tmp_path, workers=2, **settings) as server:
        house = house_of(server)
        async with house.open():
            pair = Pair(server, house)
            await pair.renew_connections()
            yield pair
            await pair.close()
