"""The stores on which every promise of a port is tested."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def lost_sockets() -> Iterator[None]:
    """Let the garbage collector close the driver's lost sockets before the test ends.

    When a client is closed, or a call is cancelled, while the driver connects, the driver never
    closes the new socket. A test that makes this happen uses this fixture first, and ignores the
    `ResourceWarning`.
    """
    yield
    gc.collect()
