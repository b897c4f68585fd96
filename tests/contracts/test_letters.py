"""What every store promises about letters."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import get_args

import pytest

from gatelodge.letters.store import Letter, LetterState
from gatelodge.stores import Stores
from tests.contracts.builders import A_MINUTE, NOON, a_letter, an_event

LATER = NOON + A_MINUTE
SECOND = timedelta(seconds=1)


async def claimed(stores: Stores) -> Letter | None:
    """Claim a letter at a minute past noon, for a minute."""
    letters = await stores.letters.claim(LATER, LATER + A_MINUTE, limit=1)
    assert len(letters) <= 1
    return letters[0] if letters else None


async def must_claim(stores: Stores) -> Letter:
    """Claim a letter that is due."""
    letter = await claimed(stores)
    assert letter is not None
    return letter


async def test_a_letter_is_found_as_it_was_stored(stores: Stores) -> None:
    letter, bare = a_letter(), a_letter(language=None, sealed_values=None, request_digest=None)

    assert await stores.letters.add(letter)
    assert await stores.letters.add(bare)

    assert await stores.letters.find(letter.id) == letter
    assert await stores.letters.find(bare.id) == bare
    assert await stores.letters.find("ltr_none") is None


async def test_one_id_is_stored_once(stores: Stores) -> None:
    letter = a_letter()
    others = [replace(letter, kind=f"kind {number}") for number in range(10)]

    outcomes = await asyncio.gather(*(stores.letters.add(each) for each in others))

    assert outcomes.count(True) == 1
    assert await stores.letters.find(letter.id) == others[outcomes.index(True)]


async def test_letters_are_listed_from_the_newest(stores: Stores) -> None:
    letters = [a_letter(created_at=NOON + number * SECOND) for number in range(5)]
    for each in letters:
        await stores.letters.add(each)
    sent = await must_claim(stores)
    await stores.letters.finish(sent, "sent", LATER)

    listed = await stores.letters.list_letters(before=None, limit=2)
    rest = await stores.letters.list_letters(before=listed[-1].id, limit=9, states=["waiting"])

    assert [each.id for each in listed] == [each.id for each in letters[:2:-1]]
    assert [each.id for each in rest] == [letters[2].id, letters[1].id]
    assert sent.id == letters[0].id


async def test_letters_of_a_state_are_counted_up_to_a_limit(stores: Stores) -> None:
    for _ in range(5):
        await stores.letters.add(a_letter())
    for state in ("given_up", "given_up", "sent"):
        await stores.letters.finish(await must_claim(stores), state, LATER)

    counts = {state: await stores.letters.count(state, limit=9) for state in get_args(LetterState)}

    assert counts == {"waiting": 2, "sent": 1, "given_up": 2, "dropped": 0}
    assert await stores.letters.count("waiting", limit=1) == 1
    assert await stores.letters.count("given_up", limit=2) == 2


async def test_who_claims_first_has_the_letter_until_the_claim_ends(stores: Stores) -> None:
    await stores.letters.add(a_letter())

    claims = await asyncio.gather(*(claimed(stores) for _ in range(10)))

    assert [each for each in claims if each is not None] == [
        replace(await must_find(stores), due_at=LATER + A_MINUTE, claims=1)
    ]
    assert await stores.letters.claim(LATER + 2 * A_MINUTE, LATER + 3 * A_MINUTE, limit=1)


async def must_find(stores: Stores) -> Letter:
    """Return the only letter."""
    (letter,) = await stores.letters.list_letters(before=None, limit=2)
    return letter


async def retried(stores: Stores, letter_id: str, at: datetime) -> bool:
    """Let a letter be due at an instant, where a claim lasts for a minute."""
    return await stores.letters.retry(letter_id, at, an_event(), claims_end_by=at + A_MINUTE)


async def test_the_letter_that_is_due_longest_comes_first(stores: Stores) -> None:
    due = [a_letter(due_at=NOON + number * SECOND) for number in (3, 1, 2)]
    for each in [*due, a_letter(due_at=LATER + SECOND)]:
        await stores.letters.add(each)

    got = [(await must_claim(stores)).id for _ in due]

    assert got == [due[1].id, due[2].id, due[0].id]
    assert await claimed(stores) is None


async def test_many_claim_each_letter_once(stores: Stores) -> None:
    letters = [a_letter() for _ in range(30)]
    for each in letters:
        await stores.letters.add(each)

    claims = await asyncio.gather(*(claimed(stores) for _ in range(40)))
    while (more := await claimed(stores)) is not None:
        claims.append(more)

    got = [each.id for each in claims if each is not None]
    assert sorted(got) == sorted(each.id for each in letters)


async def test_several_are_claimed_at_once_and_no_two_claims_share_one(stores: Stores) -> None:
    letters = [a_letter(due_at=NOON + number * SECOND) for number in range(30)]
    for each in letters:
        await stores.letters.add(each)
    until = LATER + A_MINUTE

    first = await stores.letters.claim(LATER, until, limit=4)
    assert {each.id for each in first} == {each.id for each in letters[:4]}
    got = [each.id for each in first]
    for _ in range(30):
        claims = await asyncio.gather(
            *(stores.letters.claim(LATER, until, limit=5) for _ in range(4))
        )
        got += [each.id for some in claims for each in some]

    assert sorted(got) == sorted(each.id for each in letters)
    assert await stores.letters.claim(LATER, until, limit=5) == []


async def test_a_letter_that_was_sent_keeps_nothing_that_was_written_in_it(stores: Stores) -> None:
    await stores.letters.add(a_letter())
    letter = await must_claim(stores)
    assert await stores.letters.write(letter, subject="usr_ann", sealed_values=b"code")
    written = await must_find(stores)

    assert await stores.letters.finish(letter, "sent", LATER)

    assert written == replace(letter, subject="usr_ann", sealed_values=b"code", written=True)
    assert await must_find(stores) == replace(
        written, state="sent", ended_at=LATER, sealed_values=None
    )
    assert await stores.letters.claim(LATER + 5 * A_MINUTE, LATER + 6 * A_MINUTE, limit=1) == []


async def test_a_letter_may_be_about_nobody(stores: Stores) -> None:
    await stores.letters.add(a_letter())
    letter = await must_claim(stores)

    assert await stores.letters.write(letter, subject=None, sealed_values=b"code")

    assert (await must_find(stores)).subject is None


async def test_whom_a_letter_is_about_is_kept_where_its_author_says_nothing(stores: Stores) -> None:
    await stores.letters.add(replace(a_letter(), subject="usr_ann"))
    letter = await must_claim(stores)

    assert await stores.letters.write(letter, subject=None, sealed_values=b"code")

    assert (await must_find(stores)).subject == "usr_ann"


async def test_a_letter_that_was_given_up_can_be_sent_after_all(stores: Stores) -> None:
    await stores.letters.add(a_letter())
    letter = await must_claim(stores)
    await stores.letters.postpone(letter, NOON, failed=True, error="down")
    letter = await must_claim(stores)
    assert await stores.letters.finish(letter, "given_up", LATER, error="550 no")
    given_up = await must_find(stores)

    assert await retried(stores, letter.id, LATER)

    assert given_up == replace(letter, state="given_up", ended_at=LATER, error="550 no", failures=1)
    assert await must_find(stores) == replace(
        given_up, state="waiting", due_at=LATER, failures=0, claims=0, ended_at=None
    )
    again = await must_claim(stores)
    assert again.sealed_values == letter.sealed_values
    await stores.letters.finish(again, "sent", LATER)
    for each in (letter.id, "ltr_none"):
        assert not await retried(stores, each, LATER)


async def test_a_letter_that_is_being_sent_is_not_sent_anew(stores: Stores) -> None:
    """Only when its claim has ended, or it has failed."""
    await stores.letters.add(a_letter())
    end = LATER + A_MINUTE
    claim = await must_claim(stores)

    assert not await retried(stores, claim.id, LATER)
    assert await must_find(stores) == claim
    assert await stores.letters.postpone(claim, end, failed=True, error="451 later")
    assert await retried(stores, claim.id, LATER)
    second = await must_claim(stores)
    assert not await retried(stores, claim.id, LATER)
    assert await retried(stores, claim.id, end), "who sent it has died"
    assert await must_find(stores) == replace(second, due_at=end)
    [third] = await stores.letters.claim(end, end + A_MINUTE, limit=1)
    assert await stores.letters.postpone(third, end + 5 * A_MINUTE, failed=True)
    assert await retried(stores, claim.id, end), "no claim lasts that long"


async def test_a_failure_is_counted_and_its_reason_kept(stores: Stores) -> None:
    await stores.letters.add(a_letter())
    letter = await must_claim(stores)

    assert await stores.letters.postpone(letter, LATER + SECOND, failed=True, error="451 later")

    later = await must_find(stores)
    assert later == replace(letter, due_at=LATER + SECOND, failures=1, error="451 later")
    assert await claimed(stores) is None
    [again] = await stores.letters.claim(LATER + SECOND, LATER + A_MINUTE, limit=1)
    assert await stores.letters.postpone(again, LATER)
    assert (await must_find(stores)).error == "451 later"


async def test_whose_claim_has_ended_changes_nothing(stores: Stores) -> None:
    await stores.letters.add(a_letter())
    old = await must_claim(stores)
    [new] = await stores.letters.claim(old.due_at, old.due_at + A_MINUTE, limit=1)

    assert not await stores.letters.write(old, subject="usr_bob", sealed_values=b"other")
    assert not await stores.letters.finish(old, "sent", LATER)
    assert not await stores.letters.postpone(old, NOON, failed=True, error="old")
    assert await must_find(stores) == new


async def test_guesses_are_counted_up_to_a_limit(stores: Stores) -> None:
    letter = a_letter()
    await stores.letters.add(letter)

    counted = await asyncio.gather(*(stores.letters.count_guess(letter.id, 5) for _ in range(20)))

    assert counted.count(True) == 5
    assert not await stores.letters.count_guess("ltr_none", 5)


async def test_letters_to_an_address_that_were_asked_for_before_one_are_counted(
    stores: Stores,
) -> None:
    for letter in (
        a_letter(created_at=NOON - A_MINUTE),
        a_letter(kind="password-changed"),
        a_letter(to_key="bob@example.org"),
    ):
        await stores.letters.add(letter)
    burst = [a_letter(created_at=NOON + number * SECOND) for number in range(1, 6)]
    for letter in reversed(burst):
        await stores.letters.add(letter)
    count = partial(stores.letters.count_before, kinds=["reset-password", "other"], since=NOON)

    assert [await count(each) for each in burst] == [0, 1, 2, 3, 4]
    assert await count(burst[0], since=NOON - A_MINUTE) == 1
    assert await count(burst[0], kinds=["password-changed"]) == 1
    assert await count(replace(burst[4], to_key="eve@example.org")) == 0


@pytest.mark.parametrize(
    ("end", "counted"), [("sent", 1), ("given_up", 1), ("dropped", 0), (None, 1)]
)
async def test_a_letter_counts_unless_it_was_dropped(
    stores: Stores, end: LetterState | None, counted: int
) -> None:
    """Once it is written also for letters before it: they may be stored later than it."""
    before, later = a_letter(due_at=LATER + A_MINUTE), a_letter(created_at=NOON + SECOND)
    after = a_letter(created_at=NOON + 2 * SECOND)
    await stores.letters.add(later)
    claim = await must_claim(stores)
    count = partial(stores.letters.count_before, kinds=["reset-password"], since=NOON)
    assert (await count(before), await count(later), await count(after)) == (0, 0, 1)

    assert await stores.letters.write(claim, subject=None, sealed_values=b"")
    if end is not None:
        await stores.letters.finish(claim, end, LATER)

    assert (await count(before), await count(later), await count(after)) == (counted, 0, counted)


async def test_waiting_letters_are_counted(stores: Stores) -> None:
    for at in (NOON, LATER, LATER + SECOND):
        await stores.letters.add(a_letter(created_at=at))

    assert await stores.letters.count_waiting() == 3
    assert await stores.letters.count_waiting(due_by=LATER) == 2
    await stores.letters.finish(await must_claim(stores), "dropped", LATER)
    assert await stores.letters.count_waiting() == 2


async def test_letters_that_ended_long_ago_are_deleted(stores: Stores) -> None:
    for number in range(5):
        await stores.letters.add(a_letter(created_at=NOON + number * SECOND))
    for number in range(4):
        await stores.letters.finish(await must_claim(stores), "sent", NOON + number * A_MINUTE)
    end = NOON + 3 * A_MINUTE

    assert await stores.letters.sweep(end, limit=2) == 2
    assert await stores.letters.sweep(end, limit=2) == 1
    assert await stores.letters.sweep(end, limit=2) == 0
    left = await stores.letters.list_letters(before=None, limit=9)
    assert [each.state for each in left] == ["waiting", "sent"]
