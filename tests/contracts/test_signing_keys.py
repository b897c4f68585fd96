"""What every store promises about signing keys."""

import asyncio
from dataclasses import replace

import pytest

from gatelodge.errors import AlreadyExists
from gatelodge.stores import Stores
from gatelodge.tokens.store import SigningKey
from tests.contracts.builders import A_MINUTE, NOON, a_signing_key, an_event


async def test_keys_come_back_as_they_were_kept_in_order_of_number(stores: Stores) -> None:
    retired = a_signing_key(1, retires_at=NOON + A_MINUTE, gone_at=NOON + 2 * A_MINUTE)
    keys = [retired, a_signing_key(2), a_signing_key(10)]
    for key in (keys[2], keys[0], keys[1]):
        await stores.signing_keys.add(key, an_event())

    assert await stores.signing_keys.list_keys() == keys


async def test_where_there_are_no_keys_none_are_listed(stores: Stores) -> None:
    assert await stores.signing_keys.list_keys() == []


async def test_a_taken_number_is_refused(stores: Stores) -> None:
    first = a_signing_key(1)
    await stores.signing_keys.add(first, an_event())

    with pytest.raises(AlreadyExists) as caught:
        await stores.signing_keys.add(a_signing_key(1), an_event())

    assert caught.value.field == "number"
    assert await stores.signing_keys.list_keys() == [first]


async def test_of_many_servers_that_make_the_next_key_one_does(stores: Stores) -> None:
    keys = [a_signing_key(1) for _ in range(50)]

    outcomes = await asyncio.gather(*(was_added(stores, key) for key in keys))

    assert outcomes.count(True) == 1
    assert await stores.signing_keys.list_keys() == [keys[outcomes.index(True)]]


async def test_a_key_is_retired_by_its_kid(stores: Stores) -> None:
    key, other = a_signing_key(1), a_signing_key(2)
    await stores.signing_keys.add(key, an_event())
    await stores.signing_keys.add(other, an_event())
    times = {"retires_at": NOON + A_MINUTE, "gone_at": NOON + 2 * A_MINUTE}

    assert await stores.signing_keys.retire(key.kid, an_event(), **times)
    assert not await stores.signing_keys.retire("no-such-key", an_event(), **times)

    assert await stores.signing_keys.list_keys() == [replace(key, **times), other]


async def test_a_key_may_end_earlier_and_never_later(stores: Stores) -> None:
    """A later end does not replace an earlier one, so a dropped key does not come back."""
    key = a_signing_key()
    await stores.signing_keys.add(key, an_event())
    in_time = {"retires_at": NOON + A_MINUTE, "gone_at": NOON + 2 * A_MINUTE}
    at_once = {"retires_at": NOON, "gone_at": NOON}

    assert await stores.signing_keys.retire(key.kid, an_event(), **in_time)
    assert await stores.signing_keys.retire(key.kid, an_event(), **at_once)
    assert not await stores.signing_keys.retire(key.kid, an_event(), **in_time)

    assert await stores.signing_keys.list_keys() == [replace(key, **at_once)]


async def test_of_many_servers_that_retire_a_key_one_does(stores: Stores) -> None:
    key = a_signing_key()
    await stores.signing_keys.add(key, an_event())
    times = {"retires_at": NOON, "gone_at": NOON + A_MINUTE}

    outcomes = await asyncio.gather(
        *(stores.signing_keys.retire(key.kid, an_event(), **times) for _ in range(50))
    )

    assert outcomes.count(True) == 1


async def was_added(stores: Stores, key: SigningKey) -> bool:
    try:
        await stores.signing_keys.add(key, an_event())
    except AlreadyExists:
        return False
    return True
