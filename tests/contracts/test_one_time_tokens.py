"""What every store promises about one-time tokens."""

import asyncio
from dataclasses import replace

import pytest

from gatelodge.credentials.one_time_tokens import OneTimeToken, digest_of
from gatelodge.stores import Stores, open_stores
from tests.contracts.builders import A_MINUTE, NOON, an_event
from tests.contracts.failpoints import failing
from tests.support.events import newest
from tests.support.mongod import empty_mongodb

TOKEN = OneTimeToken("reset", "usr_ann", digest_of("a secret"), NOON + A_MINUTE)


def _of_letter(number: int) -> OneTimeToken:
    return replace(TOKEN, digest=digest_of(str(number)), letter=f"ltr_{number:02}")


async def test_a_token_is_found_as_it_was_kept(stores: Stores) -> None:
    await stores.one_time_tokens.put(TOKEN)

    assert await stores.one_time_tokens.find("reset", "usr_ann") == TOKEN
    assert await stores.one_time_tokens.find("reset", "usr_bob") is None
    assert await stores.one_time_tokens.find("verify", "usr_ann") is None


async def test_a_new_token_voids_the_one_before(stores: Stores) -> None:
    """There is one token for each purpose and subject."""
    newer = replace(TOKEN, digest=digest_of("another"), expires_at=NOON + 2 * A_MINUTE)
    await stores.one_time_tokens.put(TOKEN)
    await stores.one_time_tokens.put(newer)

    assert await stores.one_time_tokens.find("reset", "usr_ann") == newer
    assert not await stores.one_time_tokens.consume("reset", "usr_ann", TOKEN.digest, NOON)
    assert await stores.one_time_tokens.consume("reset", "usr_ann", newer.digest, NOON)


async def test_a_token_may_be_stored_only_where_there_is_no_younger_one(stores: Stores) -> None:
    put, end = stores.one_time_tokens.put, TOKEN.expires_at
    others = [replace(TOKEN, digest=digest_of(f"secret {number}")) for number in range(20)]

    outcomes = await asyncio.gather(*(put(each, unless_after=NOON) for each in others))

    assert outcomes.count(True) == 1
    stored = others[outcomes.index(True)]
    assert await stores.one_time_tokens.find("reset", "usr_ann") == stored
    assert not await put(TOKEN, unless_after=end - A_MINUTE / 60)
    assert await put(TOKEN, unless_after=end)
    assert await put(replace(stored, subject="usr_bob"), unless_after=NOON)
    assert await put(stored)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == stored


async def test_the_token_of_the_newest_letter_wins_in_any_order(stores: Stores) -> None:
    """Two processes may write two letters to one user at once, the newer one first."""
    put, find = stores.one_time_tokens.put_newer, stores.one_time_tokens.find

    for subject in (f"usr_{number}" for number in range(150)):
        older, newer = (replace(_of_letter(number), subject=subject) for number in (1, 2))
        outcomes = await asyncio.gather(put(older, NOON), put(newer, NOON))

        assert outcomes[1]
        assert await find("reset", subject) == newer


async def test_the_token_of_an_older_letter_replaces_none_that_can_be_used(stores: Stores) -> None:
    put, end = stores.one_time_tokens.put_newer, TOKEN.expires_at
    older, newer = _of_letter(1), _of_letter(2)

    assert await put(newer, NOON)
    assert not await put(older, NOON)
    assert not await put(older, end - A_MINUTE / 60)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == newer
    assert await put(replace(newer, digest=digest_of("written again")), NOON)
    assert await put(replace(older, subject="usr_bob"), NOON)
    assert await put(older, end)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == older

    await stores.one_time_tokens.put(TOKEN)
    assert await put(older, NOON), "a token that is in no letter is older than any letter"


async def test_of_many_who_consume_a_token_together_one_does(stores: Stores) -> None:
    await stores.one_time_tokens.put(TOKEN)

    outcomes = await asyncio.gather(
        *(stores.one_time_tokens.consume("reset", "usr_ann", TOKEN.digest, NOON) for _ in range(50))
    )

    assert outcomes.count(True) == 1
    assert await stores.one_time_tokens.find("reset", "usr_ann") is None


async def test_a_token_is_worth_nothing_from_its_end_on(stores: Stores) -> None:
    await stores.one_time_tokens.put(TOKEN)

    late = TOKEN.expires_at
    assert not await stores.one_time_tokens.consume("reset", "usr_ann", TOKEN.digest, late)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == TOKEN


async def test_a_token_is_consumed_for_its_own_purpose_subject_and_secret(stores: Stores) -> None:
    """A wrong purpose, subject or secret does not consume it."""
    await stores.one_time_tokens.put(TOKEN)

    consume = stores.one_time_tokens.consume
    assert not await consume("verify", "usr_ann", TOKEN.digest, NOON)
    assert not await consume("reset", "usr_bob", TOKEN.digest, NOON)
    assert not await consume("reset", "usr_ann", digest_of("a guess"), NOON)
    assert await consume("reset", "usr_ann", TOKEN.digest, NOON)


async def test_tokens_put_together_leave_one(stores: Stores) -> None:
    """Two servers that start at once print two links. Only the newest link works."""
    for subject in (f"usr_{number}" for number in range(20)):
        mine = replace(TOKEN, subject=subject)
        tokens = [replace(mine, digest=digest_of(str(number))) for number in range(20)]

        assert all(await asyncio.gather(*map(stores.one_time_tokens.put, tokens)))

        assert await stores.one_time_tokens.find("reset", subject) in tokens


async def test_all_of_a_token_is_kept(stores: Stores) -> None:
    whole = replace(
        TOKEN, life=600, code_digest=bytes(range(32)), letter="ltr_1", facts={"email": "é@x.org"}
    )
    await stores.one_time_tokens.put(whole)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == whole

    await stores.one_time_tokens.put(TOKEN)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == TOKEN


async def test_of_many_who_change_the_facts_they_have_read_one_does(stores: Stores) -> None:
    """The facts of a token are one state: who has read an older one changes nothing."""
    read = replace(TOKEN, life=600, letter="ltr_1", facts={"email": "é@x.org", "by": "ada"})
    change = stores.one_time_tokens.change_facts
    await stores.one_time_tokens.put(read)
    wanted = [{**read.facts, "n": str(number)} for number in range(20)]

    outcomes = await asyncio.gather(*(change(read, facts, NOON) for facts in wanted))

    assert outcomes.count(True) == 1
    changed = replace(read, facts=wanted[outcomes.index(True)])
    assert await stores.one_time_tokens.find("reset", "usr_ann") == changed
    assert not await change(replace(changed, digest=digest_of("other")), {}, NOON)
    assert not await change(replace(changed, purpose="verify"), {}, NOON)
    assert not await change(changed, {}, changed.expires_at)
    begun = await stores.one_time_tokens.begin(changed, NOON)
    assert begun, "its letter was sent meanwhile"
    assert await change(changed, read.facts, NOON)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == replace(
        read, life=None, expires_at=NOON + 10 * A_MINUTE
    )
    await stores.one_time_tokens.consume("reset", "usr_ann", read.digest, NOON)
    assert not await change(read, {}, NOON)


async def test_the_life_of_a_token_begins_once(stores: Stores) -> None:
    """It begins when its letter was sent, and a letter may be sent twice."""
    waiting = replace(TOKEN, life=600)
    begin = stores.one_time_tokens.begin
    await stores.one_time_tokens.put(waiting)

    outcomes = await asyncio.gather(*(begin(waiting, NOON) for _ in range(10)))

    assert outcomes.count(True) == 1
    assert not await begin(waiting, NOON + A_MINUTE)
    begun = replace(waiting, life=None, expires_at=NOON + 10 * A_MINUTE)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == begun


async def test_a_letter_that_is_sent_late_begins_no_newer_token(stores: Stores) -> None:
    waiting = replace(TOKEN, life=600)
    newer = replace(waiting, digest=digest_of("newer"))
    begin = stores.one_time_tokens.begin
    await stores.one_time_tokens.put(newer)

    assert not await begin(waiting, NOON)
    assert not await begin(TOKEN, NOON)
    assert await stores.one_time_tokens.find("reset", "usr_ann") == newer


async def test_tokens_that_expired_long_ago_are_deleted(stores: Stores) -> None:
    for number in range(4):
        expires_at = NOON + number * A_MINUTE
        await stores.one_time_tokens.put(
            replace(TOKEN, subject=f"usr_{number}", expires_at=expires_at)
        )

    assert await stores.one_time_tokens.sweep(NOON + 3 * A_MINUTE, limit=2) == 2
    assert await stores.one_time_tokens.sweep(NOON + 3 * A_MINUTE, limit=2) == 1
    assert await stores.one_time_tokens.find("reset", "usr_3") is not None
    assert await stores.one_time_tokens.find("reset", "usr_0") is None


async def test_tokens_of_a_purpose_that_have_not_expired_are_listed(stores: Stores) -> None:
    put, listed = stores.one_time_tokens.put, stores.one_time_tokens.list_alive
    for number in (2, 0, 1):
        await put(replace(TOKEN, purpose="invite", subject=str(number), facts={"n": str(number)}))
    await put(replace(TOKEN, purpose="invited", subject="0"))
    await put(replace(TOKEN, purpose="invite", subject="3", expires_at=NOON))

    found = await listed("invite", NOON, limit=9)

    assert [each.facts["n"] for each in found] == ["0", "1", "2"]
    assert await listed("invite", NOON, limit=2) == found[:2]
    assert await listed("setup", NOON, limit=9) == []


@pytest.mark.usefixtures("lost_sockets")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_whatever_follows_in_mongodb_no_event_of_a_token_is_lost(own_mongodb: str) -> None:
    """The events cannot be copied for a while: they wait in the document of the token."""
    stores = open_stores(own_mongodb)
    empty_mongodb(own_mongodb)
    await stores.database.start()
    tokens, events = stores.one_time_tokens, [an_event() for _ in range(4)]
    waiting = replace(TOKEN, life=600)
    key = TOKEN.purpose, TOKEN.subject
    try:
        with failing(own_mongodb, "insert", collection="events", errorCode=11601):
            assert await tokens.put(waiting, event=events[0])
            assert await tokens.put(waiting, event=events[1])
            assert await tokens.put(waiting)
            assert await tokens.find(*key) == waiting
            assert await tokens.consume(*key, TOKEN.digest, NOON, events[2])
            for at in (NOON, NOON - 9 * A_MINUTE):  # the clock of another server is behind
                assert not await tokens.consume(*key, TOKEN.digest, at)
                assert not await tokens.consume(*key, TOKEN.digest, at, an_event())
                assert not await tokens.change_facts(waiting, {"a": "b"}, at)
                assert not await tokens.begin(waiting, at)
                assert await tokens.list_alive("reset", at, limit=9) == []
            assert await tokens.find(*key) is None
            assert await tokens.put(TOKEN, unless_after=NOON - 9 * A_MINUTE, event=events[3])
            assert await tokens.consume(*key, TOKEN.digest, NOON)
            assert await tokens.find(*key) is None
            assert await tokens.put_newer(_of_letter(1), NOON)
            assert await tokens.find(*key) == _of_letter(1)
            assert await tokens.sweep(NOON + 9 * A_MINUTE, limit=9) == 0

        await stores.users.outbox.sweep()  # type: ignore[attr-defined]

        stored = await newest(stores.events, 9)
        assert sorted(stored, key=lambda each: each.id) == sorted(events, key=lambda each: each.id)
        assert await tokens.sweep(NOON + 9 * A_MINUTE, limit=9) == 1
    finally:
        await stores.database.stop()
