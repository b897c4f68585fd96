"""Settings as tests need them."""

import pytest

from gatelodge.settings import Settings

CHEAP_HASH = {"hash_memory": 8, "hash_passes": 1}
"""The least that argon2id takes."""


def hashing_cheaply(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Return the settings with the cheapest hash, but for tests that are marked `real_hash`.

    No operator can have that: `Settings` refuses such figures, and `model_copy` checks nothing.
    """
    if request.node.get_closest_marker("real_hash") is not None:
        return settings
    return settings.model_copy(update=CHEAP_HASH)
