"""What every store promises about users."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gatelodge.accounts.store import SET_PASSWORD, User, UserStore
from gatelodge.credentials.factors import Factor, FactorId, adding
from gatelodge.errors import AlreadyExists
from gatelodge.ids import SessionId, UserId
from gatelodge.stores import Stores
from tests.contracts.builders import A_MINUTE, NOON, a_session, a_user, an_event
from tests.contracts.racer import NAMES
from tests.support.events import newest

NOBODY = UserId("usr_nobody")


async def test_a_user_comes_back_as_it_was_kept(stores: Stores) -> None:
    user = a_user(
        "Grüße_名",
        roles=("moderator", "user"),
        epoch=3,
        name="Grüße an “名”",
        language="de-AT",
        email_verified_at=NOON,
        disabled_at=NOON + A_MINUTE,
        disabled_reason="She asked for it.",
        must=("set_password", "enrol_factor"),
        last_sign_in_at=NOON - A_MINUTE,
    )
    await stores.users.add(user, an_event())

    assert await stores.users.find(user.id) == user
    assert await stores.users.find_by_username(user.username_key) == user
    assert await stores.users.find_by_email(user.email_key) == user


async def test_a_user_without_a_password_or_roles_comes_back_so(stores: Stores) -> None:
    user = a_user(password_hash=None, roles=())
    await stores.users.add(user, an_event())

    found = await stores.users.find(user.id)

    assert found == user
    assert found is not None
    assert (found.name, found.language, found.disabled_reason, found.must) == ("", None, None, ())
    assert found.email_verified_at is None
    assert found.created_at.tzinfo is not None
    assert found.created_at.utcoffset() == timedelta(0)


async def test_whoever_is_not_there_is_not_found(stores: Stores) -> None:
    await stores.users.add(a_user("Present"), an_event())

    assert await stores.users.find(NOBODY) is None
    assert await stores.users.find_by_username("absent") is None
    assert await stores.users.find_by_email("absent@example.org") is None
    assert await stores.users.find_by_email("present") is None
    assert await stores.users.find_by_username("Present") is None  # the name is not the key


async def test_several_users_are_found_at_once(stores: Stores) -> None:
    ada, bob, cid = a_user("Ada"), a_user("Bob", roles=("user", "admin")), a_user("Cid")
    for user in (ada, bob, cid):
        await stores.users.add(user, an_event())
    await stores.users.remove(cid.id, an_event())

    found = await stores.users.find_many([bob.id, NOBODY, ada.id, cid.id])

    assert found == {ada.id: ada, bob.id: bob}
    assert await stores.users.find_many(set()) == {}


@pytest.mark.parametrize("name", ["$ne", "a.b", "'; drop table users; --", "%", "_", "x" * 250])
async def test_names_that_mean_something_to_a_database_are_names(stores: Stores, name: str) -> None:
    await stores.users.add(a_user("Bystander"), an_event())
    user = a_user(name)
    await stores.users.add(user, an_event())

    assert await stores.users.find_by_username(user.username_key) == user
    assert await stores.users.find_by_email(user.email_key) == user
    assert await stores.users.grant(user.id, name, an_event())
    assert await stores.users.anyone_holds(name)
    assert await stores.users.withdraw(user.id, name, an_event())


async def test_a_taken_username_is_refused(stores: Stores) -> None:
    ada = a_user("Ada")
    await stores.users.add(ada, an_event())

    assert (
        await refused_field(stores.users.add(a_user("ADA", email_key="new@x"), an_event()))
        == "username"
    )
    assert await stores.users.find_by_email("new@x") is None
    assert await stores.users.list_users(after=None, limit=10) == [ada]


async def test_a_taken_email_is_refused_and_the_username_stays_free(stores: Stores) -> None:
    await stores.users.add(a_user("Ada"), an_event())
    other = a_user("Other")

    taken = replace(other, email_key="ada@example.org")
    assert await refused_field(stores.users.add(taken, an_event())) == "email"
    await stores.users.add(other, an_event())

    assert await stores.users.find_by_username("other") == other


async def test_when_both_names_are_taken_the_username_is_named(stores: Stores) -> None:
    await stores.users.add(a_user("Ada"), an_event())
    await stores.users.add(a_user("Bob"), an_event())

    assert await refused_field(stores.users.add(a_user("Ada"), an_event())) == "username"
    crossed = a_user("Ada", email_key="bob@example.org")
    assert await refused_field(stores.users.add(crossed, an_event())) == "username"


async def test_of_many_with_one_username_exactly_one_stays(stores: Stores) -> None:
    users = [a_user("Wanted", email_key=f"{n}@example.org") for n in range(50)]

    outcomes = await added(stores, users)

    assert outcomes.count("added") == 1
    assert outcomes.count("username") == 49
    [kept] = await stores.users.list_users(after=None, limit=100)
    assert kept == users[outcomes.index("added")]
    assert await stores.users.find_by_username("wanted") == kept
    assert await stores.users.find_by_email(kept.email_key) == kept


async def test_of_many_with_one_email_exactly_one_stays(stores: Stores) -> None:
    users = [a_user(f"Wanted{n}", email_key="wanted@example.org") for n in range(50)]

    outcomes = await added(stores, users)

    assert outcomes.count("added") == 1
    assert outcomes.count("email") == 49
    [kept] = await stores.users.list_users(after=None, limit=100)
    assert await stores.users.find_by_email("wanted@example.org") == kept
    losers = [user for user in users if user.id != kept.id]
    for user in losers[:3]:
        assert await stores.users.find_by_username(user.username_key) is None
        await stores.users.add(replace(user, email_key=user.username_key), an_event())


async def test_of_many_with_both_names_exactly_one_stays(stores: Stores) -> None:
    outcomes = await added(stores, [a_user("Wanted") for _ in range(50)])

    assert outcomes.count("added") == 1
    assert outcomes.count("username") == 49


def test_of_two_processes_one_gets_each_name(address: str, stores: Stores) -> None:
    """The database keeps names unique, so it works between processes too."""
    racers = [a_racer(address), a_racer(address)]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        answers = [racer.communicate("go\n", timeout=60)[0] for racer in start_together(racers)]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()

    first, second = (json.loads(answer) for answer in answers)
    assert [a + b for a, b in zip(first, second, strict=True)] == [1] * NAMES


async def test_users_are_listed_by_id_in_pages(stores: Stores) -> None:
    users = [a_user(created_at=NOON + n * A_MINUTE) for n in range(5)]
    for user in reversed(users):
        await stores.users.add(user, an_event())

    assert await stores.users.list_users(after=None, limit=2) == users[:2]
    assert await stores.users.list_users(after=users[1].id, limit=2) == users[2:4]
    assert await stores.users.list_users(after=users[3].id, limit=2) == users[4:]
    assert await stores.users.list_users(after=users[4].id, limit=2) == []


async def test_a_new_hash_of_the_same_password_leaves_the_epoch(stores: Stores) -> None:
    user = a_user(password_hash="old")
    await stores.users.add(user, an_event())

    assert await stores.users.replace_password_hash(user.id, "old", "new")
    assert not await stores.users.replace_password_hash(user.id, "old", "newer")
    assert not await stores.users.replace_password_hash(NOBODY, "old", "new")

    assert await stores.users.find(user.id) == replace(user, password_hash="new")


async def test_a_new_password_raises_the_epoch(stores: Stores) -> None:
    user = a_user(password_hash="old", epoch=4)
    await stores.users.add(user, an_event())

    session = a_session(user_id=user.id)
    changed = await stores.users.change_password(user, "new", an_event(), continued=session.id)

    assert changed == replace(user, password_hash="new", epoch=5, continued=session.id)
    assert await stores.users.find(user.id) == changed


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda users, user: users.replace_password_hash(user.id, "old", "stronger"),
        lambda users, user: users.raise_epoch(user.id, an_event()),
        lambda users, user: users.disable(user.id, NOON, an_event()),
        lambda users, user: users.remove(user.id, an_event()),
        lambda users, user: users.change_password(user, "other", an_event(), continued=None),
    ],
    ids=["rehash", "sign out everywhere", "disable", "delete", "another change"],
)
async def test_a_password_is_changed_only_if_the_user_is_as_it_was_read(
    stores: Stores, meanwhile: Callable[[UserStore, User], Awaitable[object]]
) -> None:
    user = a_user(password_hash="old")
    await stores.users.add(user, an_event())
    await meanwhile(stores.users, user)
    before, events = await stores.users.find(user.id), await event_ids(stores)

    assert await stores.users.change_password(user, "new", an_event(), continued=None) is None

    assert await stores.users.find(user.id) == before
    assert await event_ids(stores) == events


@pytest.mark.parametrize(
    "later",
    [
        lambda users, user: users.raise_epoch(user.id, an_event()),
        lambda users, user: users.disable(user.id, NOON, an_event()),
    ],
    ids=["sign out everywhere", "disable"],
)
async def test_no_session_goes_on_when_all_are_ended_later(
    stores: Stores, later: Callable[[UserStore, User], Awaitable[object]]
) -> None:
    user, session = a_user(), a_session()
    await stores.users.add(user, an_event())
    await stores.users.change_password(user, "new", an_event(), continued=session.id)

    await later(stores.users, user)

    found = await stores.users.find(user.id)
    assert found is not None
    assert (found.epoch, found.continued) == (2, None)


async def test_a_first_password_can_be_set(stores: Stores) -> None:
    user = a_user(password_hash=None)
    await stores.users.add(user, an_event())

    changed = await stores.users.change_password(user, "first", an_event(), continued=None)

    assert changed == replace(user, password_hash="first", epoch=1)


async def test_a_renamed_user_is_found_by_the_new_name_only(stores: Stores) -> None:
    ada = a_user("Ada", name="Ada")
    await stores.users.add(ada, an_event())
    await stores.users.add(a_user("Bob"), an_event())

    renamed = await to(stores, ada, "Countess", name="Ada, Countess of Lovelace")

    assert renamed == replace(
        ada, name="Ada, Countess of Lovelace", username="Countess", username_key="countess"
    )
    assert await stores.users.find(ada.id) == renamed
    assert await stores.users.find_by_username("countess") == renamed
    assert await stores.users.find_by_email(ada.email_key) == renamed
    assert await stores.users.find_by_username("ada") is None


async def test_the_former_username_is_free(stores: Stores) -> None:
    ada = a_user("Ada")
    await stores.users.add(ada, an_event())
    assert await to(stores, ada, "Countess")

    successor = a_user("Ada", email_key="other@example.org")
    await stores.users.add(successor, an_event())

    assert await stores.users.find_by_username("ada") == successor


async def test_a_username_can_be_taken_again_and_again(stores: Stores) -> None:
    ada = a_user("Ada")
    await stores.users.add(ada, an_event())
    for username in ("Countess", "Ada", "Countess", "COUNTESS", "Ada"):
        renamed = await to(stores, ada, username)
        assert renamed is not None
        ada = renamed

    assert await stores.users.find_by_username("ada") == ada
    assert await stores.users.find_by_username("countess") is None
    assert await stores.users.remove(ada.id, an_event())
    await stores.users.add(a_user("Ada"), an_event())
    await stores.users.add(a_user("Countess"), an_event())


async def test_the_name_alone_or_the_spelling_can_be_changed(stores: Stores) -> None:
    ada = a_user("Ada")
    await stores.users.add(ada, an_event())

    named = await to(stores, ada, "Ada", name="Ada L.")
    assert named == replace(ada, name="Ada L.")
    spelt = await to(stores, named, "ADA", name="")

    assert spelt == replace(ada, username="ADA")
    assert await stores.users.find_by_username("ada") == spelt


async def test_a_taken_username_is_no_new_one(stores: Stores) -> None:
    ada, bob = a_user("Ada"), a_user("Bob")
    for user in (ada, bob):
        await stores.users.add(user, an_event())
    events = await event_ids(stores)

    assert await refused_field(to(stores, ada, "BOB", name="Bob")) == "username"

    assert await stores.users.find_by_username("ada") == ada
    assert await stores.users.find_by_username("bob") == bob
    assert await event_ids(stores) == events
    assert await to(stores, ada, "Countess")


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda users, user: users.raise_epoch(user.id, an_event()),
        lambda users, user: users.disable(user.id, NOON, an_event()),
        lambda users, user: users.remove(user.id, an_event()),
        lambda users, user: users.rename(
            user, an_event(), name="A", username=user.username, username_key=user.username_key
        ),
        lambda users, user: users.rename(
            user, an_event(), name=user.name, username="Else", username_key="else"
        ),
    ],
    ids=["sign out everywhere", "disable", "delete", "another name", "another username"],
)
@pytest.mark.parametrize("username", ["Ada", "Countess"])
async def test_a_user_is_renamed_only_as_it_was_read(
    stores: Stores, meanwhile: Callable[[UserStore, User], Awaitable[object]], username: str
) -> None:
    user = a_user("Ada")
    await stores.users.add(user, an_event())
    await meanwhile(stores.users, user)
    before, events = await stores.users.find(user.id), await event_ids(stores)

    assert await to(stores, user, username, name="Ada L.") is None

    assert await stores.users.find(user.id) == before
    assert await event_ids(stores) == events
    if username == "Countess":
        await stores.users.add(a_user("Countess"), an_event())


async def test_a_disabled_user_is_renamed_only_if_that_is_asked_for(stores: Stores) -> None:
    """By the record as it is: an act of before that has not seen the disabling changes nothing."""
    ada = await disabled(stores, "Ada")
    names = {"name": "Ada L.", "username": "Countess", "username_key": "countess"}

    assert await stores.users.rename(ada, an_event(), **names) is None
    stale = replace(ada, epoch=0)
    assert await stores.users.rename(stale, an_event(), **names, disabled_too=True) is None
    renamed = await stores.users.rename(ada, an_event(), **names, disabled_too=True)

    assert renamed == replace(ada, **names)
    assert await stores.users.find_by_username("countess") == renamed
    assert await stores.users.find_by_username("ada") is None


async def test_a_disabled_user_gets_another_address_only_if_that_is_asked_for(
    stores: Stores,
) -> None:
    ada = await disabled(stores, "Ada")
    new = {"email": "Ada@x.org", "email_key": "ada@x.org", "verified_at": NOON}

    assert await stores.users.set_email(ada, an_event(), **new) is None
    stale = replace(ada, epoch=0)
    assert await stores.users.set_email(stale, an_event(), **new, disabled_too=True) is None
    changed = await stores.users.set_email(ada, an_event(), **new, disabled_too=True)

    assert changed == replace(ada, email="Ada@x.org", email_key="ada@x.org", email_verified_at=NOON)
    assert await stores.users.find_by_email("ada@x.org") == changed
    assert await stores.users.find_by_email(ada.email_key) is None


async def disabled(stores: Stores, username: str) -> User:
    """Return a user who was disabled, as stored."""
    user = a_user(username)
    await stores.users.add(user, an_event())
    await stores.users.disable(user.id, NOON, an_event(), reason="Spam.")
    found = await stores.users.find(user.id)
    assert found is not None
    assert found.disabled_reason == "Spam."
    return found


async def test_a_user_has_to_do_something_once_and_every_session_ends(stores: Stores) -> None:
    ada = a_user(continued=SessionId("ses_on"))
    await stores.users.add(ada, an_event())

    assert await stores.users.require(ada.id, SET_PASSWORD, an_event())
    events = await event_ids(stores)
    assert not await stores.users.require(ada.id, SET_PASSWORD, an_event())
    assert not await stores.users.require(a_user().id, SET_PASSWORD, an_event())

    found = await stores.users.find(ada.id)
    assert found == replace(ada, must=(SET_PASSWORD,), epoch=1, continued=None)
    assert await event_ids(stores) == events
    assert await stores.users.require(ada.id, "something_else", an_event())
    found = await stores.users.find(ada.id)
    assert found is not None
    assert (found.must, found.epoch) == ((SET_PASSWORD, "something_else"), 2)


async def test_of_many_that_require_the_same_one_does(stores: Stores) -> None:
    ada = a_user()
    await stores.users.add(ada, an_event())

    done = await asyncio.gather(
        *(stores.users.require(ada.id, SET_PASSWORD, an_event()) for _ in range(20))
    )

    assert done.count(True) == 1
    found = await stores.users.find(ada.id)
    assert found is not None
    assert (found.must, found.epoch) == ((SET_PASSWORD,), 1)


@pytest.mark.parametrize(
    "set_one",
    [
        lambda users, user: users.change_password(user, "new", an_event(), continued=None),
        lambda users, user: users.set_password(user.id, "new", an_event()),
        lambda users, user: users.reset_password(user, "new", an_event(), at=NOON),
    ],
    ids=["change", "set", "reset"],
)
async def test_whoever_has_a_new_password_does_not_have_to_set_one(
    stores: Stores, set_one: Callable[[UserStore, User], Awaitable[object]]
) -> None:
    """What else the user has to do stays."""
    ada = a_user(must=("first", SET_PASSWORD, "last"))
    await stores.users.add(ada, an_event())

    assert await set_one(stores.users, ada)

    found = await stores.users.find(ada.id)
    assert found is not None
    assert (found.must, found.password_hash) == (("first", "last"), "new")


async def test_whoever_loses_the_password_still_has_to_set_one(stores: Stores) -> None:
    """And another hash of the same password is no new password."""
    ada = a_user(must=(SET_PASSWORD,))
    await stores.users.add(ada, an_event())

    assert await stores.users.replace_password_hash(ada.id, "$argon2id$old", "$argon2id$same")
    voided = await stores.users.reset_password(ada, None, an_event(), at=NOON)

    assert voided is not None
    assert (voided.must, voided.password_hash) == ((SET_PASSWORD,), None)


async def test_of_many_that_want_one_username_exactly_one_gets_it(stores: Stores) -> None:
    """By a sign-up or by a change: the others keep what they had."""
    there = [a_user() for _ in range(10)]
    await asyncio.gather(*(stores.users.add(each, an_event()) for each in there))
    new = [a_user("Wanted", email_key=f"{n}@example.org") for n in range(10)]

    outcomes = await asyncio.gather(
        *(to(stores, each, "Wanted") for each in there),
        *(stores.users.add(each, an_event()) for each in new),
        return_exceptions=True,
    )

    refused = [each for each in outcomes if isinstance(each, AlreadyExists)]
    assert [each.field for each in refused] == ["username"] * 19
    winner = [*there, *new][next(n for n, each in enumerate(outcomes) if each not in refused)]
    found = await stores.users.find_by_username("wanted")
    assert found is not None
    assert found.id == winner.id
    for each in set(there) - {winner}:
        assert await stores.users.find_by_username(each.username_key) == each


async def test_of_many_changes_of_one_user_one_wins(stores: Stores) -> None:
    """Names that it did not get are free afterwards."""
    ada = a_user("Ada")
    await stores.users.add(ada, an_event())

    outcomes = await asyncio.gather(*(to(stores, ada, f"Name{n}") for n in range(10)))

    [won] = [each for each in outcomes if each is not None]
    assert await stores.users.find(ada.id) == won
    for n in range(10):
        name = f"name{n}"
        if name != won.username_key:
            assert await stores.users.find_by_username(name) is None
            await stores.users.add(a_user(f"Name{n}"), an_event())
    assert await stores.users.find_by_username(won.username_key) == won


async def test_a_password_is_reset_and_the_address_verified(stores: Stores) -> None:
    ann = a_user(continued=SessionId("ses_1"))
    ben = a_user(email_verified_at=NOON - A_MINUTE)
    for each in (ann, ben):
        await stores.users.add(each, an_event())

    changed = await stores.users.reset_password(ann, "new", an_event(), at=NOON)
    other = await stores.users.reset_password(ben, "new", an_event(), at=NOON)

    assert changed == replace(
        ann, password_hash="new", epoch=1, continued=None, email_verified_at=NOON
    )
    assert other == replace(ben, password_hash="new", epoch=1)
    assert await stores.users.find(ann.id) == changed


async def test_a_reset_verifies_no_address_of_somebody_with_factors(stores: Stores) -> None:
    """They may be of a stranger, who could sign in by them with an address of somebody else."""
    ann, ben = a_user(), a_user(email_verified_at=NOON - A_MINUTE)
    for each in (ann, ben):
        await stores.users.add(each, an_event())
        phone = Factor(FactorId(f"fac_{each.id}"), "totp", "Phone", NOON)
        assert await stores.factors.change(each.id, adding(phone, limit=1))

    changed = await stores.users.reset_password(ann, "new", an_event(), at=NOON)
    other = await stores.users.reset_password(ben, "new", an_event(), at=NOON)

    assert changed is not None
    assert (changed.password_hash, changed.epoch, changed.email_verified_at) == ("new", 1, None)
    assert changed.factors
    assert other is not None
    assert other.email_verified_at == NOON - A_MINUTE


async def test_a_password_is_voided_and_the_address_verified(stores: Stores) -> None:
    ann = a_user(continued=SessionId("ses_1"))
    await stores.users.add(ann, an_event())

    changed = await stores.users.reset_password(ann, None, an_event(), at=NOON)

    assert changed == replace(
        ann, password_hash=None, epoch=1, continued=None, email_verified_at=NOON
    )
    assert await stores.users.find(ann.id) == changed


NOT_AS_READ: dict[str, Callable[[UserStore, User], Awaitable[object]]] = {
    "sign out everywhere": lambda users, user: users.raise_epoch(user.id, an_event()),
    "disable": lambda users, user: users.disable(user.id, NOON, an_event()),
    "delete": lambda users, user: users.remove(user.id, an_event()),
    "another address": lambda users, user: address_of(users, user, "Else@example.org"),
}


@pytest.mark.parametrize("meanwhile", NOT_AS_READ.values(), ids=NOT_AS_READ)
@pytest.mark.parametrize(
    "change",
    [
        lambda users, user: users.reset_password(user, "new", an_event(), at=NOON),
        lambda users, user: address_of(users, user, "New@example.org"),
        lambda users, user: address_of(users, user, user.email),
    ],
    ids=["reset", "change the address", "verify it"],
)
async def test_a_password_and_an_address_are_changed_only_as_they_were_read(
    stores: Stores,
    meanwhile: Callable[[UserStore, User], Awaitable[object]],
    change: Callable[[UserStore, User], Awaitable[User | None]],
) -> None:
    user = a_user()
    await stores.users.add(user, an_event())
    await meanwhile(stores.users, user)
    before, events = await stores.users.find(user.id), await event_ids(stores)

    assert await change(stores.users, user) is None

    assert await stores.users.find(user.id) == before
    assert await event_ids(stores) == events
    await stores.users.add(a_user(email_key="new@example.org"), an_event())


async def test_of_many_resets_of_one_user_one_wins(stores: Stores) -> None:
    user = a_user()
    await stores.users.add(user, an_event())

    outcomes = await asyncio.gather(
        *(stores.users.reset_password(user, f"{n}", an_event(), at=NOON) for n in range(10))
    )

    [won] = [each for each in outcomes if each is not None]
    assert await stores.users.find(user.id) == won


async def test_a_user_is_found_by_the_new_address_only(stores: Stores) -> None:
    ada = a_user("Ada", email_verified_at=NOON)
    await stores.users.add(ada, an_event())

    changed = await address_of(stores.users, ada, "New@example.org", verified_at=None)

    assert changed == replace(
        ada, email="New@example.org", email_key="new@example.org", email_verified_at=None
    )
    assert await stores.users.find_by_email("new@example.org") == changed
    assert await stores.users.find_by_username("ada") == changed
    assert await stores.users.find_by_email(ada.email_key) is None
    await stores.users.add(a_user(email=ada.email, email_key=ada.email_key), an_event())


async def test_the_same_address_can_be_verified(stores: Stores) -> None:
    ada = a_user("Ada")
    await stores.users.add(ada, an_event())

    assert await address_of(stores.users, ada, ada.email) == replace(ada, email_verified_at=NOON)


async def test_a_taken_address_is_no_new_one(stores: Stores) -> None:
    ada, bob = a_user("Ada"), a_user("Bob")
    for user in (ada, bob):
        await stores.users.add(user, an_event())
    events = await event_ids(stores)

    assert await refused_field(address_of(stores.users, ada, bob.email)) == "email"

    assert await stores.users.find_by_email(ada.email_key) == ada
    assert await stores.users.find_by_email(bob.email_key) == bob
    assert await event_ids(stores) == events


async def test_of_many_that_want_one_address_exactly_one_gets_it(stores: Stores) -> None:
    there = [a_user() for _ in range(10)]
    await asyncio.gather(*(stores.users.add(each, an_event()) for each in there))
    new = [a_user(email_key="wanted@example.org") for _ in range(10)]

    outcomes = await asyncio.gather(
        *(address_of(stores.users, each, "Wanted@example.org") for each in there),
        *(stores.users.add(each, an_event()) for each in new),
        return_exceptions=True,
    )

    refused = [each for each in outcomes if isinstance(each, AlreadyExists)]
    assert [each.field for each in refused] == ["email"] * 19
    winner = [*there, *new][next(n for n, each in enumerate(outcomes) if each not in refused)]
    found = await stores.users.find_by_email("wanted@example.org")
    assert found is not None
    assert found.id == winner.id
    for each in set(there) - {winner}:
        assert await stores.users.find_by_email(each.email_key) == each


async def address_of(
    users: UserStore, user: User, email: str, *, verified_at: datetime | None = NOON
) -> User | None:
    """Give the user this address."""
    return await users.set_email(
        user, an_event(), email=email, email_key=email.lower(), verified_at=verified_at
    )


async def to(stores: Stores, user: User | None, username: str, *, name: str = "") -> User | None:
    """Rename the user."""
    assert user is not None
    return await stores.users.rename(
        user, an_event(), name=name, username=username, username_key=username.lower()
    )


async def test_of_many_password_changes_at_once_one_wins(stores: Stores) -> None:
    user = a_user(password_hash="old")
    await stores.users.add(user, an_event())

    outcomes = await asyncio.gather(
        *(
            stores.users.change_password(user, f"new{n}", an_event(), continued=None)
            for n in range(50)
        )
    )

    [winner] = [outcome for outcome in outcomes if outcome is not None]
    assert winner.epoch == 1
    assert await stores.users.find(user.id) == winner


async def test_roles_are_granted_once_and_in_order(stores: Stores) -> None:
    user = a_user(roles=("user",))
    await stores.users.add(user, an_event())

    assert await stores.users.grant(user.id, "moderator", an_event())
    assert await stores.users.grant(user.id, "admin", an_event())
    assert not await stores.users.grant(user.id, "moderator", an_event())
    assert not await stores.users.grant(NOBODY, "moderator", an_event())

    found = await stores.users.find(user.id)
    assert found == replace(user, roles=("user", "moderator", "admin"))


async def test_roles_are_withdrawn_once(stores: Stores) -> None:
    user = a_user(roles=("user", "moderator", "admin"))
    await stores.users.add(user, an_event())

    assert await stores.users.withdraw(user.id, "moderator", an_event())
    assert not await stores.users.withdraw(user.id, "moderator", an_event())
    assert not await stores.users.withdraw(NOBODY, "user", an_event())

    assert await stores.users.find(user.id) == replace(user, roles=("user", "admin"))


async def test_of_many_grants_of_one_role_one_counts(stores: Stores) -> None:
    user = a_user(roles=())
    await stores.users.add(user, an_event())

    outcomes = await asyncio.gather(
        *(stores.users.grant(user.id, "admin", an_event()) for _ in range(50))
    )

    assert outcomes.count(True) == 1
    assert await stores.users.find(user.id) == replace(user, roles=("admin",))


async def test_grants_of_many_roles_at_once_all_count(stores: Stores) -> None:
    user = a_user(roles=())
    await stores.users.add(user, an_event())

    await asyncio.gather(*(stores.users.grant(user.id, f"role{n}", an_event()) for n in range(20)))

    found = await stores.users.find(user.id)
    assert found is not None
    assert sorted(found.roles) == sorted(f"role{n}" for n in range(20))


async def test_disabling_raises_the_epoch_and_counts_once(stores: Stores) -> None:
    user = a_user(epoch=1)
    await stores.users.add(user, an_event())

    assert await stores.users.disable(user.id, NOON, an_event())
    assert not await stores.users.disable(user.id, NOON + A_MINUTE, an_event())
    assert not await stores.users.disable(NOBODY, NOON, an_event())

    assert await stores.users.find(user.id) == replace(user, disabled_at=NOON, epoch=2)


async def test_enabling_counts_once_forgets_the_reason_and_leaves_the_epoch(
    stores: Stores,
) -> None:
    user = a_user(disabled_at=NOON, disabled_reason="Too loud.", epoch=2)
    await stores.users.add(user, an_event())

    assert await stores.users.enable(user.id, an_event())
    assert not await stores.users.enable(user.id, an_event())
    assert not await stores.users.enable(NOBODY, an_event())

    assert await stores.users.find(user.id) == replace(user, disabled_at=None, disabled_reason=None)


async def test_no_raising_of_the_epoch_is_lost(stores: Stores) -> None:
    user = a_user()
    await stores.users.add(user, an_event())

    outcomes = await asyncio.gather(
        *(stores.users.raise_epoch(user.id, an_event()) for _ in range(50))
    )

    assert all(outcomes)
    assert await stores.users.find(user.id) == replace(user, epoch=50)
    assert not await stores.users.raise_epoch(NOBODY, an_event())


async def test_the_last_sign_in_is_remembered(stores: Stores) -> None:
    user = a_user()
    await stores.users.add(user, an_event())

    for at in (NOON, NOON + A_MINUTE):
        session = a_session(user_id=user.id, created_at=at)
        assert await stores.sessions.open(session, an_event())

    assert await stores.users.find(user.id) == replace(user, last_sign_in_at=NOON + A_MINUTE)


async def test_a_removed_user_is_gone_and_the_names_are_free(stores: Stores) -> None:
    user = a_user("Ada", roles=("admin",))
    await stores.users.add(user, an_event())

    assert await stores.users.remove(user.id, an_event())
    assert not await stores.users.remove(user.id, an_event())

    assert await stores.users.find(user.id) is None
    assert await stores.users.find_by_username("ada") is None
    assert await stores.users.find_by_email("ada@example.org") is None
    assert await stores.users.list_users(after=None, limit=10) == []
    assert not await stores.users.anyone_holds("admin")
    successor = a_user("Ada")
    await stores.users.add(successor, an_event())
    assert await stores.users.find_by_username("ada") == successor


async def test_of_many_removals_one_counts(stores: Stores) -> None:
    user = a_user("Ada")
    await stores.users.add(user, an_event())

    outcomes = await asyncio.gather(*(stores.users.remove(user.id, an_event()) for _ in range(20)))

    assert outcomes.count(True) == 1
    await stores.users.add(a_user("Ada"), an_event())


async def test_only_enabled_users_count_as_holders_of_a_role(stores: Stores) -> None:
    admin = a_user(roles=("user", "admin"))
    other = a_user(roles=("admin",), disabled_at=NOON)
    await stores.users.add(admin, an_event())
    await stores.users.add(other, an_event())

    assert await stores.users.anyone_holds("admin")
    assert not await stores.users.anyone_holds("moderator")
    assert not await stores.users.anyone_holds("adm")

    await stores.users.remove(admin.id, an_event())
    assert not await stores.users.anyone_holds("admin")
    await stores.users.enable(other.id, an_event())
    assert await stores.users.anyone_holds("admin")


async def event_ids(stores: Stores) -> list[str]:
    """Return the ids of all stored events."""
    return [event.id for event in await newest(stores.events, 100)]


async def added(stores: Stores, users: list) -> list[str]:
    """Add all users at once. Return for each of them `added`, or the field that was taken."""
    return await asyncio.gather(*(outcome(stores.users.add(user, an_event())) for user in users))


async def outcome(adding: Awaitable[None]) -> str:
    try:
        await adding
    except AlreadyExists as error:
        return error.field
    return "added"


async def refused_field(adding: Awaitable[None]) -> str:
    with pytest.raises(AlreadyExists) as caught:
        await adding
    return caught.value.field


def a_racer(address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.contracts.racer", address, "raced"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start_together(racers: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return racers
