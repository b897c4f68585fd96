"""What every store promises about subscriptions and messages."""

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial

from gatelodge.audit import Event
from gatelodge.errors import AlreadyExists
from gatelodge.stores import Stores
from gatelodge.subscriptions.store import Message, Subscription
from tests.contracts.builders import A_MINUTE, NOON, a_user, an_event
from tests.support.events import newest

FORGET = Subscription("shop.forget", ("user.deleted", "user.disabled"), NOON)
GREET = Subscription("shop.greet", ("user.signed_up",), NOON)
LATER = NOON + A_MINUTE
LATEST = NOON + 60 * A_MINUTE


async def claimed(stores: Stores, *names: str) -> Message | None:
    """Claim a message at a minute past noon, for a minute."""
    return await stores.subscriptions.claim(names, LATER, LATER + A_MINUTE, latest=LATEST)


async def told(stores: Stores, *names: str) -> list[Event]:
    """Claim and finish all messages of these subscriptions, and return their events."""
    events = []
    while message := await claimed(stores, *names):
        events.append(message.event)
        assert await stores.subscriptions.finish(message)
    return events


async def test_a_subscription_comes_back_as_it_was_kept(stores: Stores) -> None:
    newer = replace(FORGET, events=("user.deleted",), seen_at=LATER)
    for each in (GREET, FORGET, newer):
        await stores.subscriptions.put(each)

    assert await stores.subscriptions.list_subscriptions() == [newer, GREET]


async def test_who_has_subscribed_is_told_of_what_happens_from_then_on(stores: Stores) -> None:
    await stores.events.add(an_event(name="user.deleted"))
    await stores.subscriptions.put(FORGET)
    await stores.subscriptions.put(GREET)
    detail = {"reason": "“odd”\n text"}
    happened = [
        an_event(name=name, at=NOON + number * A_MINUTE / 10, detail=detail)
        for number, name in enumerate(["user.deleted", "role.granted", "user.disabled"])
    ]
    for each in happened:
        await stores.events.add(each)

    assert await claimed(stores, GREET.name) is None
    assert await told(stores, FORGET.name, GREET.name) == [happened[0], happened[2]]
    assert await claimed(stores, FORGET.name) is None


async def test_a_change_and_the_message_of_its_event_come_together(stores: Stores) -> None:
    """The message is there when the change is answered."""
    await stores.subscriptions.put(GREET)
    user, event = a_user(), an_event(name="user.signed_up")
    await stores.users.add(user, event)

    assert await told(stores, GREET.name) == [event]


async def test_each_subscription_has_a_message_of_its_own(stores: Stores) -> None:
    other = replace(FORGET, name="shop.count")
    await stores.subscriptions.put(FORGET)
    await stores.subscriptions.put(other)
    event = an_event(name="user.deleted")
    await stores.events.add(event)

    assert await told(stores, FORGET.name) == [event]
    assert await stores.subscriptions.count_waiting(FORGET.name) == 0
    assert await stores.subscriptions.count_waiting(other.name) == 1
    assert await told(stores, other.name) == [event]


async def test_an_event_that_is_stored_twice_is_told_once(stores: Stores) -> None:
    await stores.subscriptions.put(FORGET)
    event = an_event(name="user.deleted")
    await asyncio.gather(*(stores.events.add(event) for _ in range(10)))

    assert await stores.subscriptions.count_waiting(FORGET.name) == 1


async def test_nobody_else_gets_a_message_until_the_claim_ends(stores: Stores) -> None:
    await stores.subscriptions.put(FORGET)
    event = an_event(name="user.deleted")
    await stores.events.add(event)
    claim, until = partial(stores.subscriptions.claim, latest=LATEST), LATER + A_MINUTE

    first = await claim([FORGET.name], LATER, until)

    assert first == Message(FORGET.name, event, until, 1)
    assert await claim([FORGET.name], until - A_MINUTE / 60, until + A_MINUTE) is None
    second = await claim([FORGET.name], until, until + A_MINUTE)
    assert second == Message(FORGET.name, event, until + A_MINUTE, 2)
    assert not await stores.subscriptions.finish(first)
    assert not await stores.subscriptions.postpone(first, NOON)
    assert await stores.subscriptions.count_waiting(FORGET.name) == 1
    assert await stores.subscriptions.finish(second)
    assert await stores.subscriptions.count_waiting(FORGET.name) == 0


async def test_a_message_that_is_given_up_is_gone_and_its_event_is_there(stores: Stores) -> None:
    """Whoever has lost the claim gives nothing up."""
    await stores.subscriptions.put(FORGET)
    event, given_up = an_event(name="user.deleted"), an_event(name="message.given_up")
    await stores.events.add(event)
    message = await claimed(stores, FORGET.name)
    assert message is not None

    stale = replace(message, due_at=NOON)
    assert not await stores.subscriptions.finish(stale, an_event(name="message.given_up"))
    assert await stores.subscriptions.finish(message, given_up)

    assert not await stores.subscriptions.finish(message, an_event(name="message.given_up"))
    assert not await stores.subscriptions.postpone(message, NOON)
    assert await claimed(stores, FORGET.name) is None
    assert await stores.subscriptions.count_waiting(FORGET.name) == 0
    stored = await newest(stores.events, 9)
    assert [each for each in stored if each.name == "message.given_up"] == [given_up]


async def test_a_message_that_is_postponed_lets_others_go_first(stores: Stores) -> None:
    await stores.subscriptions.put(FORGET)
    events = [an_event(name="user.deleted", at=NOON + n * A_MINUTE / 10) for n in range(2)]
    for each in events:
        await stores.events.add(each)
    first = await claimed(stores, FORGET.name)
    assert first is not None
    assert await stores.subscriptions.postpone(first, LATER)

    assert await told(stores, FORGET.name) == events[::-1]


async def test_what_a_clock_far_ahead_has_dated_is_due_after_all_others(stores: Stores) -> None:
    """It would wait as long as the clock was ahead: a year, or a hundred."""
    await stores.subscriptions.put(FORGET)
    ahead = an_event(name="user.deleted", at=NOON + 525_600 * A_MINUTE)
    waits = an_event(name="user.deleted", at=LATEST)
    due = an_event(name="user.deleted", at=NOON)
    for each in (ahead, waits, due):
        await stores.events.add(each)

    assert await told(stores, FORGET.name) == [due, ahead]
    assert await stores.subscriptions.count_waiting(FORGET.name) == 1


async def test_a_claim_that_ends_far_ahead_is_over(stores: Stores) -> None:
    await stores.subscriptions.put(FORGET)
    event = an_event(name="user.deleted", at=NOON)
    await stores.events.add(event)
    ahead = NOON + 525_600 * A_MINUTE
    first = await stores.subscriptions.claim(
        [FORGET.name], ahead, ahead + A_MINUTE, latest=ahead + A_MINUTE
    )

    second = await claimed(stores, FORGET.name)

    assert first is not None
    assert second == Message(FORGET.name, event, LATER + A_MINUTE, 2)
    assert await claimed(stores, FORGET.name) is None
    assert not await stores.subscriptions.finish(first)
    assert await stores.subscriptions.finish(second)


async def test_claims_and_failures_are_counted_apart(stores: Stores) -> None:
    await stores.subscriptions.put(FORGET)
    await stores.events.add(an_event(name="user.deleted"))
    for failed in (True, False, True):
        message = await claimed(stores, FORGET.name)
        assert message is not None
        assert await stores.subscriptions.postpone(message, LATER, failed=failed)

    message = await claimed(stores, FORGET.name)
    assert message is not None
    assert (message.claims, message.failures) == (4, 2)


async def test_of_many_who_claim_together_each_gets_another_message(stores: Stores) -> None:
    await stores.subscriptions.put(FORGET)
    for _ in range(10):
        await stores.events.add(an_event(name="user.deleted"))

    messages = await asyncio.gather(*(claimed(stores, FORGET.name) for _ in range(30)))

    ids = Counter(each.event.id for each in messages if each)
    assert len(ids) == 10
    assert set(ids.values()) == {1}


async def test_whoever_is_not_seen_is_removed_with_their_messages(stores: Stores) -> None:
    seen = replace(GREET, seen_at=LATER)
    for each in (FORGET, seen):
        await stores.subscriptions.put(each)
    for name in ("user.deleted", "user.signed_up"):
        await stores.events.add(an_event(name=name))
    removed = an_event(name="subscription.removed")
    remove = stores.subscriptions.remove

    assert not await remove(FORGET.name, removed, unseen_since=NOON)
    assert not await remove(seen.name, removed, unseen_since=LATER)
    assert removed not in await newest(stores.events, 9)
    assert await remove(FORGET.name, removed, unseen_since=LATER)
    assert not await remove(FORGET.name, an_event(), unseen_since=LATER)
    assert removed in await newest(stores.events, 9)
    assert await stores.subscriptions.list_subscriptions() == [seen]
    assert await stores.subscriptions.count_waiting(FORGET.name) == 0
    assert await stores.subscriptions.count_waiting(GREET.name) == 1
    await stores.events.add(an_event(name="user.deleted"))
    assert await stores.subscriptions.count_waiting(FORGET.name) == 0


async def test_a_webhook_is_added_and_removed_with_its_event(stores: Stores) -> None:
    webhook = replace(FORGET, name="shop", url="https://shop.example/hook", sealed_secret=b"\x00")
    added, removed = an_event(name="webhook.added"), an_event(name="webhook.removed")
    await stores.subscriptions.add(webhook, added)
    assert await stores.subscriptions.list_subscriptions() == [webhook]
    assert await stores.subscriptions.find("shop") == webhook
    assert await stores.subscriptions.find("other") is None
    assert await stores.subscriptions.remove(webhook.name, removed)

    assert await stores.subscriptions.list_subscriptions() == []
    listed = await newest(stores.events, 9)
    assert {each.id for each in listed} == {added.id, removed.id}
    assert await stores.subscriptions.find("shop") is None
    await stores.subscriptions.add(replace(FORGET, name="shop"), an_event())
    assert await stores.subscriptions.list_subscriptions() == [replace(FORGET, name="shop")]


async def test_of_many_who_reseal_a_subscription_together_one_does(stores: Stores) -> None:
    webhook = replace(FORGET, name="shop", url="https://shop.example/", sealed_secret=b"first")
    other = replace(webhook, name="other")
    for each in (webhook, other):
        await stores.subscriptions.add(each, an_event(name="webhook.added"))
    events = [an_event(name="webhook.rotated") for _ in range(20)]
    reseal = stores.subscriptions.reseal

    outcomes = await asyncio.gather(
        *(reseal("shop", b"first", b"%d" % number, each) for number, each in enumerate(events))
    )

    assert outcomes.count(True) == 1
    won = outcomes.index(True)
    assert await stores.subscriptions.find("shop") == replace(webhook, sealed_secret=b"%d" % won)
    assert await stores.subscriptions.find("other") == other
    listed = await newest(stores.events, 30)
    rotated = [each.id for each in listed if each.name == "webhook.rotated"]
    assert rotated == [events[won].id]


async def test_what_is_removed_or_was_never_there_is_not_resealed(stores: Stores) -> None:
    webhook = replace(FORGET, name="shop", url="https://shop.example/", sealed_secret=b"first")
    await stores.subscriptions.add(webhook, an_event(name="webhook.added"))
    await stores.subscriptions.remove("shop", an_event(name="webhook.removed"))
    for name in ("shop", "other"):
        event = an_event(name="webhook.rotated")
        assert not await stores.subscriptions.reseal(name, b"first", b"second", event)
    assert await stores.subscriptions.list_subscriptions() == []
    listed = await newest(stores.events, 9)
    assert "webhook.rotated" not in {each.name for each in listed}


async def test_of_many_who_add_a_subscription_together_one_does(stores: Stores) -> None:
    async def add(number: int) -> bool:
        event = an_event(name="webhook.added", detail={"number": str(number)})
        added = replace(FORGET, url=f"https://shop.example/{number}")
        try:
            await stores.subscriptions.add(added, event)
        except AlreadyExists:
            return False
        return True

    for _ in range(2):  # the second time, one was there and is removed
        outcomes = await asyncio.gather(*(add(number) for number in range(20)))
        assert outcomes.count(True) == 1
        (found,) = await stores.subscriptions.list_subscriptions()
        assert found.url == f"https://shop.example/{outcomes.index(True)}"
        assert await stores.subscriptions.remove(FORGET.name, an_event(name="webhook.removed"))
    listed = await newest(stores.events, 50)
    assert [each.name for each in listed].count("webhook.added") == 2


async def test_of_many_who_remove_a_subscription_together_one_does(stores: Stores) -> None:
    await stores.subscriptions.put(FORGET)
    events = [an_event(name="subscription.removed") for _ in range(20)]

    outcomes = await asyncio.gather(
        *(stores.subscriptions.remove(FORGET.name, event) for event in events)
    )

    assert outcomes.count(True) == 1
    listed = await newest(stores.events, 30)
    assert [each.id for each in listed] == [events[outcomes.index(True)].id]


async def test_what_is_due_is_found_by_one_question(stores: Stores) -> None:
    """For those who are asked for only; what is claimed, or waits, is not due."""
    find = partial(stores.subscriptions.find_due, latest=LATEST)
    both = [GREET.name, FORGET.name]
    for each in (GREET, FORGET):
        await stores.subscriptions.put(each)
    assert await find(both, LATER) is None

    await stores.events.add(an_event(name="user.deleted"))

    assert await find(both, LATER) == FORGET.name
    assert await find([GREET.name], LATER) is None
    assert await find([], LATER) is None
    assert await stores.subscriptions.claim([FORGET.name], LATER, LATER + A_MINUTE, latest=LATEST)
    assert await find(both, LATER) is None
    assert await find(both, LATER + A_MINUTE) == FORGET.name
    assert await find(both, LATER, latest=LATER) == FORGET.name
