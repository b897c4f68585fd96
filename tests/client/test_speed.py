"""What a check costs an application, in CPU time of the whole process."""

import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from gatelodge.client import Verifier
from tests.client.conftest import Key
from tests.client.test_verifier import GOOD
from tests.support import figures
from tests.support.clock import FakeClock
from tests.support.issuer import ME, LittleServer

TIMES = 20_000
MOST_MICROSECONDS = 30


@pytest.mark.parametrize("freshness", [timedelta(seconds=1), None])
async def test_a_warm_check_costs_at_most_30_microseconds(
    issuer: LittleServer,
    key: Key,
    clock: FakeClock,
    record_property: Callable[[str, object], None],
    freshness: timedelta | None,
) -> None:
    issuer.publish(key.jwk)
    issuer.say(ME, json.dumps(GOOD).encode())
    tokens = [key.sign(issuer.address, clock) for _ in range(100)]
    async with Verifier(issuer.address, freshness=freshness, clock=clock) as verifier:
        for token in tokens:
            await verifier.check(token)
        asked = len(issuer.asked)

        began = time.process_time()
        for number in range(TIMES):
            await verifier.check(tokens[number % 100])
        each = (time.process_time() - began) / TIMES * 1e6

    kind = "offline" if freshness is None else "kept for a second"
    record_property(figures.NAME, f"client, a warm check, {kind}: {each:.1f} µs CPU")
    assert len(issuer.asked) == asked
    assert each <= MOST_MICROSECONDS
