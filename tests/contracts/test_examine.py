"""What every database says of itself, and what the doctor makes of it."""

from datetime import UTC, datetime, timedelta

from gatelodge.audit import Event
from gatelodge.doctor.database import check_feed
from gatelodge.ids import new_id
from gatelodge.stores import Stores

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_clock_that_is_right_is_not_off(stores: Stores) -> None:
    state = await stores.database.examine(now)

    assert abs(state.clock_behind) < timedelta(seconds=2)
    assert state.kind in {"file", "replica_set"}
    assert (state.members, state.arbiters) == (1, 0)


async def test_a_clock_that_was_set_back_is_behind(stores: Stores) -> None:
    """An SQLite file has no clock: its newest event is from before the clock was set."""
    at = now()
    await stores.events.add(Event(new_id("evt", at), at, "user.created"))

    state = await stores.database.examine(lambda: now() - HOUR)

    assert abs(state.clock_behind - HOUR) < timedelta(seconds=5)


async def test_a_clock_that_is_ahead_is_told_where_there_is_another(stores: Stores) -> None:
    state = await stores.database.examine(lambda: now() + HOUR)

    expected = timedelta(0) if state.kind == "file" else -HOUR
    assert abs(state.clock_behind - expected) < timedelta(seconds=5)


async def test_a_feed_that_answers_is_nothing_to_tell(stores: Stores) -> None:
    state = await stores.database.examine(now)

    assert await check_feed(stores.feed, state) == []
    assert not stores.feed.catch_up()  # it follows no more
