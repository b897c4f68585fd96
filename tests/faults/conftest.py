"""A replica set that survives the loss of a node."""

from collections.abc import Iterator

import pytest

from tests.support.mongod import ReplicaSet, require_mongod


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """Yield a replica set of three nodes with quick elections."""
    require_mongod()
    with ReplicaSet(tmp_path_factory.mktemp("three"), nodes=3) as replica_set:
        yield replica_set
        for number in range(len(replica_set.nodes)):
            replica_set.kill(number)  # a primary needs fifteen seconds for a clean end
