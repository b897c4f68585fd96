"""A change and its event are stored together: both, or neither, whatever fails in between."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from gatelodge.accounts import roles as role_rules
from gatelodge.accounts.refusals import NoSuchRole
from gatelodge.accounts.roles import RoleService
from gatelodge.accounts.store import SET_PASSWORD, Role, User
from gatelodge.audit import COMMAND, AuditLog, Event
from gatelodge.credentials.factors import adding, removing, removing_all, using_code
from gatelodge.credentials.one_time_tokens import OneTimeToken, digest_of
from gatelodge.credentials.store import Limit
from gatelodge.errors import AlreadyExists, LastHolder, OutcomeUnknown, StoreUnavailable
from gatelodge.letters.store import Letter
from gatelodge.sessions.store import NO_EPOCH, Session
from gatelodge.stores import Stores, open_stores
from gatelodge.subscriptions.store import Message, Subscription
from gatelodge.tokens.store import SigningKey
from tests.contracts.builders import (
    A_MINUTE,
    NOON,
    a_factor,
    a_letter,
    a_session,
    a_signing_key,
    a_user,
    an_event,
)
from tests.contracts.failpoints import events_refused, failing
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.mongod import documents_of, empty_mongodb, put_back

EDITOR = Role("editor", "Writes pages.", ("pages:write",))
FAR_FUTURE = NOON + timedelta(days=9)
LATER = NOON + 2 * A_MINUTE  # the claims of the world have ended


@dataclass(frozen=True)
class World:
    """What there is before each change.

    Attributes:
        user: a user who holds `admin` and `user`.
        other: a disabled user.
        session: a session of the user.
        key: a signing key.
        letter: a letter as it was claimed.
        message: a message as it was claimed.
    """

    user: User
    other: User
    session: Session
    key: SigningKey
    letter: Letter
    message: Message


Act = Callable[[Stores, World, Event], Awaitable[object]]

PASSKEY = a_factor("passkey")
CODES = a_factor("recovery_codes", digests=(b"a" * 32, b"b" * 32))
NEW_PASSKEY = a_factor("passkey")
KEYS = ("address", "sign-up")
NEW_USER = a_user("Newcomer")
NEW_SESSION = a_session()
NEW_KEY = a_signing_key(2)
TOKEN = OneTimeToken("invite", "ann", digest_of("a secret"), NOON + A_MINUTE, life=60)
NEW_TOKEN = replace(TOKEN, digest=digest_of("another"), expires_at=NOON + 2 * A_MINUTE)

ACTS: dict[str, Act] = {
    "add a user": lambda stores, world, event: stores.users.add(NEW_USER, event),
    "change the password": lambda stores, world, event: stores.users.change_password(
        world.user, "new", event, continued=world.session.id
    ),
    "rename": lambda stores, world, event: stores.users.rename(
        world.user, event, name="Ada L.", username="Renamed", username_key="renamed"
    ),
    "reset the password": lambda stores, world, event: stores.users.reset_password(
        world.user, "new", event, at=NOON
    ),
    "change the address": lambda stores, world, event: stores.users.set_email(
        world.user, event, email="new@x.org", email_key="new@x.org", verified_at=NOON
    ),
    "set the password": lambda stores, world, event: stores.users.set_password(
        world.user.id, "new", event
    ),
    "grant": lambda stores, world, event: stores.users.grant(world.user.id, "moderator", event),
    "withdraw": lambda stores, world, event: stores.users.withdraw(world.user.id, "user", event),
    "disable": lambda stores, world, event: stores.users.disable(world.user.id, NOON, event),
    "enable": lambda stores, world, event: stores.users.enable(world.other.id, event),
    "require": lambda stores, world, event: stores.users.require(
        world.user.id, SET_PASSWORD, event
    ),
    "end all sessions": lambda stores, world, event: stores.users.raise_epoch(world.user.id, event),
    "delete a user": lambda stores, world, event: stores.users.remove(world.user.id, event),
    "add a passkey": lambda stores, world, event: stores.factors.change(
        world.user.id, adding(NEW_PASSKEY, limit=9), event
    ),
    "remove a passkey": lambda stores, world, event: stores.factors.change(
        world.user.id, removing(PASSKEY.id), event
    ),
    "use a recovery code": lambda stores, world, event: stores.factors.change(
        world.user.id, using_code(CODES.digests[0], NOON), event
    ),
    "reset the factors": lambda stores, world, event: stores.factors.change(
        world.user.id, removing_all(), event, ends_sessions=True
    ),
    "make a role": lambda stores, world, event: stores.roles.add(Role("new", ""), event),
    "describe": lambda stores, world, event: stores.roles.describe("editor", "Other.", event),
    "permit": lambda stores, world, event: stores.roles.permit("editor", "a:b", event, limit=9),
    "forbid": lambda stores, world, event: stores.roles.forbid("editor", "pages:write", event),
    "delete a role": lambda stores, world, event: stores.roles.remove("editor", event),
    "open a session": lambda stores, world, event: stores.sessions.open(
        replace(NEW_SESSION, user_id=world.user.id), event
    ),
    "impersonate": lambda stores, world, event: stores.sessions.open(
        replace(NEW_SESSION, user_id=world.user.id, impersonator=world.other.id), event
    ),
    "end a session": lambda stores, world, event: stores.sessions.revoke(
        world.session.id, NOON, "signed_out", event
    ),
    "forget failures": lambda stores, world, event: stores.attempts.forget(KEYS, event),
    "forget all failures": lambda stores, world, event: stores.attempts.forget_all(event),
    "add a key": lambda stores, world, event: stores.signing_keys.add(NEW_KEY, event),
    "retire a key": lambda stores, world, event: stores.signing_keys.retire(
        world.key.kid, event, retires_at=NOON, gone_at=NOON
    ),
    "store a token": lambda stores, world, event: stores.one_time_tokens.put(
        replace(TOKEN, subject="bob"), event=event
    ),
    "store a token in place of another": lambda stores, world, event: stores.one_time_tokens.put(
        NEW_TOKEN, unless_after=TOKEN.expires_at, event=event
    ),
    "use a token up": lambda stores, world, event: stores.one_time_tokens.consume(
        "invite", "ann", TOKEN.digest, NOON, event
    ),
    "give a letter up": lambda stores, world, event: stores.letters.finish(
        world.letter, "given_up", NOON, error="550 no", event=event
    ),
    "send a letter after all": lambda stores, world, event: stores.letters.retry(
        world.letter.id, LATER, event, claims_end_by=LATER + A_MINUTE
    ),
    "give a message up": lambda stores, world, event: stores.subscriptions.finish(
        world.message, event
    ),
}

CHANGING_EACH_TIME = [
    ACTS[name]
    for name in (
        "end all sessions",
        "set the password",
        "reset the factors",
        "store a token",
        "send a letter after all",
    )
]
"""These raise an epoch, replace what they have stored, or let a letter be due once more."""

UNLESS_LAST: dict[str, Act] = {
    "withdraw": lambda stores, world, event: stores.users.withdraw(
        world.user.id, "admin", event, unless_last="admin"
    ),
    "disable": lambda stores, world, event: stores.users.disable(
        world.user.id, NOON, event, unless_last="admin"
    ),
    "delete": lambda stores, world, event: stores.users.remove(
        world.user.id, event, unless_last="admin"
    ),
}


def a_world(user: User, other: User) -> World:
    """Return records that are not stored."""
    message = Message("shop.forget", an_event(name="user.deleted"), NOON, 1)
    return World(user, other, a_session(user_id=user.id), a_signing_key(1), a_letter(), message)


@pytest.fixture
async def world(stores: Stores) -> World:
    """Return the records that the changes start from."""
    user, other = a_user(roles=("user", "admin")), a_user(disabled_at=NOON)
    world = a_world(user, other)
    for each in (user, other):
        await stores.users.add(each, an_event())
    factors = (a_factor(), PASSKEY, CODES)
    for factor in factors:
        await stores.factors.change(user.id, adding(factor, limit=9))
    await stores.roles.add(EDITOR, an_event())
    await stores.sessions.add(world.session)
    await stores.signing_keys.add(world.key, an_event())
    for key in KEYS:
        await stores.attempts.count_failure(key, Limit(9), NOON)
    await stores.one_time_tokens.put(TOKEN)
    await stores.letters.add(world.letter)
    [letter] = await stores.letters.claim(NOON, NOON + A_MINUTE, limit=9)
    user, message = replace(user, factors=factors), await claimed(stores, world.message)
    return replace(world, user=user, letter=letter, message=message)


async def claimed(stores: Stores, message: Message) -> Message:
    """Return a message that was stored and claimed."""
    heard = Subscription(message.subscription, (message.event.name,), NOON)
    await stores.subscriptions.put(heard)
    await stores.events.add(message.event)
    claimed = await stores.subscriptions.claim(
        [heard.name], NOON, NOON + A_MINUTE, latest=FAR_FUTURE
    )
    assert claimed is not None
    return claimed


async def everything(stores: Stores, world: World) -> list[object]:
    """Return all records that the acts change."""
    return [
        await stores.users.list_users(after=None, limit=10),
        await stores.roles.list_roles(),
        await stores.sessions.find(world.session.id),
        await stores.sessions.find(NEW_SESSION.id),
        await stores.signing_keys.list_keys(),
        await stores.attempts.find(KEYS),
        await stores.one_time_tokens.find("invite", "ann"),
        await stores.one_time_tokens.find("invite", "bob"),
        await stores.letters.find(world.letter.id),
        await stores.subscriptions.count_waiting(world.message.subscription),
    ]


async def stored(stores: Stores, event: Event) -> list[Event]:
    """Return the stored events with this event's id, after every chore was done."""
    await stores.events.add(an_event())  # once it is confirmed, so is what was written before it
    if hasattr(stores.users, "outbox"):
        await stores.users.sweep_names()  # type: ignore[attr-defined]
        await stores.roles.sweep()  # type: ignore[attr-defined]
        await stores.users.outbox.sweep()
    events = await newest(stores.events, 1000)
    return [each for each in events if each.id == event.id]


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_a_change_stores_its_event(stores: Stores, world: World, act: Act) -> None:
    event = an_event(outcome="refused", at=NOON + A_MINUTE)
    before = await everything(stores, world)

    await act(stores, world, event)

    assert await everything(stores, world) != before
    events = await newest(stores.events, 1000)
    assert events.count(event) == 1


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_what_changes_nothing_stores_no_event(stores: Stores, world: World, act: Act) -> None:
    await act(stores, world, an_event())
    if act in (ACTS["open a session"], ACTS["impersonate"]):
        await stores.users.disable(world.user.id, NOON, an_event())
        world = replace(world, session=await found(stores, world.session))
    before = await everything(stores, world)
    again = an_event()

    with contextlib.suppress(AlreadyExists):
        if await act(stores, world, again) not in (None, False):
            assert act in CHANGING_EACH_TIME
            return

    assert await everything(stores, world) == before
    assert await stored(stores, again) == []


async def test_a_letter_that_is_left_alone_has_no_event(stores: Stores, world: World) -> None:
    """It is being sent, or it was sent, or there is none."""
    letter, event = world.letter, an_event()

    assert not await stores.letters.retry(letter.id, NOON, event, claims_end_by=LATER)
    assert await stores.letters.finish(letter, "sent", NOON)
    for each in (letter.id, "ltr_none"):
        assert not await stores.letters.retry(each, LATER, event, claims_end_by=LATER)

    assert await stored(stores, event) == []


@pytest.mark.usefixtures("lost_sockets")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_a_letter_carries_both_events_until_they_are_copied_in_mongodb(
    own_mongodb: str,
) -> None:
    """It is given up and sent after all while no event can be copied."""
    stores = open_stores(own_mongodb)
    empty_mongodb(own_mongodb)
    await stores.database.start()
    try:
        there = await world.__wrapped__(stores)  # type: ignore[attr-defined]
        given_up, retried = an_event(), an_event()
        with failing(own_mongodb, "insert", collection="events", errorCode=11601):
            await ACTS["give a letter up"](stores, there, given_up)
            await ACTS["send a letter after all"](stores, there, retried)
        [claimed] = await stores.letters.claim(LATER, LATER + A_MINUTE, limit=1)

        assert await stores.letters.finish(claimed, "sent", LATER)

        for each in (given_up, retried):
            assert await stored(stores, each) == [each]
    finally:
        await stores.database.stop()


async def found(stores: Stores, session: Session) -> Session:
    """Return the session as it is stored."""
    current = await stores.sessions.find(session.id)
    assert current is not None
    return current


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
async def test_without_its_event_nothing_is_changed_in_sqlite(
    stores: Stores, address: str, world: World, act: Act
) -> None:
    before, event = await everything(stores, world), an_event()

    with events_refused(address), pytest.raises((StoreUnavailable, AlreadyExists)):
        await act(stores, world, event)

    assert await everything(stores, world) == before
    assert await stored(stores, event) == []
    assert await act(stores, world, event) is not False
    assert len(await stored(stores, event)) == 1


COMMANDS = ("insert", "update", "delete", "findAndModify")
FAULTS: dict[str, dict[str, Any]] = {
    "nothing is done": {"errorCode": 11601},
    "done, and no majority confirms it": {"writeConcernError": {"code": 64, "errmsg": "lost"}},
}


@pytest.mark.usefixtures("lost_sockets")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_whichever_write_fails_in_mongodb_the_change_has_its_event(
    own_mongodb: str, act: Act, fault: dict[str, Any]
) -> None:
    """The first write of the act fails, then the second, and so on, until it has no more."""
    empty_mongodb(own_mongodb)
    stores = open_stores(own_mongodb)
    await stores.database.start()
    failed = 0
    try:
        there = await world.__wrapped__(stores)  # type: ignore[attr-defined]
        before, documents = await everything(stores, there), documents_of(own_mongodb)
        for skipped in range(8):
            put_back(own_mongodb, documents)
            event = an_event(at=NOON + A_MINUTE)
            mode = {"skip": skipped} if skipped else "alwaysOn"
            with (
                failing(own_mongodb, *COMMANDS, mode=mode, **fault) as met,
                contextlib.suppress(StoreUnavailable, OutcomeUnknown, AlreadyExists),
            ):
                await act(stores, there, event)
            copies = await stored(stores, event)
            changed = await everything(stores, there) != before
            assert len(copies) == changed, skipped
            failed += not changed
            if met.hits == 0:
                break
        assert failed or "writeConcernError" in fault
    finally:
        await stores.database.stop()


@pytest.mark.parametrize("address", ["mongodb"], indirect=True)
@pytest.mark.parametrize("name", ["forget failures", "forget all failures"])
async def test_what_stops_amid_many_documents_has_its_event(
    stores: Stores, world: World, name: str
) -> None:
    """MongoDB changes one document after the other, and cannot change the last one here."""
    attempts = stores.attempts.database.collection("attempts")  # type: ignore[attr-defined]
    await attempts.update_one({"_id": KEYS[-1]}, {"$set": {"outbox": "no array"}})
    event = an_event()

    with pytest.raises(OperationFailure):
        await ACTS[name](stores, world, event)

    assert list(await stores.attempts.find(KEYS)) == [KEYS[-1]]
    assert len(await stored(stores, event)) == 1
    assert await attempts.find_one({"outbox._id": event.id}) is None


async def sweep_messages(stores: Stores) -> None:
    """Delete what is left of messages that were given up."""
    await stores.subscriptions.sweep()  # type: ignore[attr-defined]


async def remove_subscription(stores: Stores) -> None:
    """Remove the subscription with its messages, and delete what is left of them."""
    await stores.subscriptions.remove("shop.forget", an_event())
    await sweep_messages(stores)


SWEEPS: list[tuple[str, str, Callable[[Stores], Awaitable[object]]]] = [
    ("end a session", "sessions", lambda stores: stores.sessions.remove_ended(FAR_FUTURE)),
    ("forget failures", "attempts", lambda stores: stores.attempts.remove_quiet(FAR_FUTURE)),
    (
        "use a token up",
        "one_time_tokens",
        lambda stores: stores.one_time_tokens.sweep(FAR_FUTURE, limit=9),
    ),
    ("give a letter up", "letters", lambda stores: stores.letters.sweep(FAR_FUTURE, limit=9)),
    ("give a message up", "messages", sweep_messages),
    ("give a message up", "messages", remove_subscription),
]


@pytest.mark.usefixtures("lost_sockets")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize(("name", "collection", "sweep"), SWEEPS)
async def test_a_sweep_leaves_what_carries_an_event_in_mongodb(
    own_mongodb: str,
    name: str,
    collection: str,
    sweep: Callable[[Stores], Awaitable[object]],
) -> None:
    """The event could not be copied when the change was made: it is nowhere else."""
    stores = open_stores(own_mongodb)
    empty_mongodb(own_mongodb)
    await stores.database.start()
    documents = stores.database.collection(collection)  # type: ignore[attr-defined]
    try:
        there, event = await world.__wrapped__(stores), an_event()  # type: ignore[attr-defined]
        with failing(own_mongodb, "insert", collection="events", errorCode=11601):
            await ACTS[name](stores, there, event)

        await sweep(stores)

        assert await documents.count_documents({"outbox._id": event.id}) > 0
        assert len(await stored(stores, event)) == 1
        await sweep(stores)
        assert await documents.count_documents({}) == 0
    finally:
        await stores.database.stop()


# A role that is taken from all: an act of many writes


@pytest.fixture
def in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a role be taken from two users at once."""
    monkeypatch.setattr(role_rules, "HOLDERS_AT_ONCE", 2)


async def hold(stores: Stores) -> list[User]:
    """Make a role, and return the users who hold it."""
    await stores.roles.add(EDITOR, an_event())
    holders = [a_user(roles=("user", EDITOR.name)) for _ in range(3)]
    for each in holders:
        await stores.users.add(each, an_event())
    return holders


async def take_from_all(stores: Stores) -> None:
    """Delete the role and take it from all, as far as the database lets that happen.

    If only the event at the end was refused, there is nothing left to be done.
    """
    service = RoleService(stores.roles, stores.users, AuditLog(stores.events, FakeClock()))
    with contextlib.suppress(StoreUnavailable, OutcomeUnknown, NoSuchRole):
        await service.delete_and_take(EDITOR.name, COMMAND)


async def lost_by(stores: Stores, holders: list[User]) -> int:
    """Return how many have lost the role, after a check that these, and no others, have events."""
    await stored(stores, an_event())
    events = await newest(stores.events, 1000)
    found = [await stores.users.find(each.id) for each in holders]
    lost = [each.id for each in found if each is not None and EDITOR.name not in each.roles]
    assert sorted(str(e.target) for e in events if e.name == "role.withdrawn") == sorted(lost)
    deleted = await stores.roles.find(EDITOR.name) is None
    assert [e.name for e in events].count("role.deleted") == deleted
    return len(lost)


@pytest.mark.usefixtures("in_pages")
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize("written", range(5))
async def test_whichever_event_fails_in_sqlite_nobody_loses_a_role_without_one(
    stores: Stores, address: str, written: int
) -> None:
    """The first one is that of the role itself."""
    holders = await hold(stores)

    with events_refused(address, but=written):
        await take_from_all(stores)

    assert await lost_by(stores, holders) == max(0, min(written - 1, len(holders)))
    await take_from_all(stores)
    assert await lost_by(stores, holders) == len(holders)


@pytest.mark.usefixtures("lost_sockets", "in_pages")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_whichever_write_fails_in_mongodb_nobody_loses_a_role_without_an_event(
    own_mongodb: str, fault: dict[str, Any]
) -> None:
    """From the first write on, then from the second, and so on, until there are no more."""
    stores = open_stores(own_mongodb)
    await stores.database.start()
    outcomes, hits, skipped = set(), 1, 0
    try:
        while hits and skipped < 30:
            empty_mongodb(own_mongodb)
            holders = await hold(stores)
            mode = {"skip": skipped} if skipped else "alwaysOn"
            with failing(own_mongodb, *COMMANDS, mode=mode, **fault) as met:
                await take_from_all(stores)
            outcomes.add(await lost_by(stores, holders))
            hits, skipped = met.hits, skipped + 1
        assert outcomes >= {0, 2, 3}
        assert hits == 0
    finally:
        await stores.database.stop()


# The last holder


@pytest.mark.parametrize("act", UNLESS_LAST.values(), ids=UNLESS_LAST)
async def test_the_last_holder_stays(stores: Stores, world: World, act: Act) -> None:
    before, event = await everything(stores, world), an_event()
    await stores.users.grant(world.other.id, "admin", an_event())  # but this one is disabled
    await stores.users.withdraw(world.other.id, "admin", an_event())

    with pytest.raises(LastHolder):
        await act(stores, world, event)

    assert await everything(stores, world) == before
    assert await stored(stores, event) == []


@pytest.mark.parametrize("act", UNLESS_LAST.values(), ids=UNLESS_LAST)
async def test_one_who_is_not_the_last_may_leave(stores: Stores, world: World, act: Act) -> None:
    another = a_user(roles=("admin",))
    await stores.users.add(another, an_event())
    event = an_event()

    assert await act(stores, world, event)

    assert len(await stored(stores, event)) == 1
    assert await stores.users.anyone_holds("admin")
    with pytest.raises(LastHolder):
        await act(stores, replace(world, user=another), an_event())


@pytest.mark.parametrize("act", UNLESS_LAST.values(), ids=UNLESS_LAST)
async def test_who_does_not_count_as_a_holder_may_leave(
    stores: Stores, world: World, act: Act
) -> None:
    """A disabled administrator can be deleted, and a role that is not held is not missed."""
    await stores.users.grant(world.other.id, "admin", an_event())

    gone = await act(stores, replace(world, user=world.other), an_event())

    assert gone is (act is not UNLESS_LAST["disable"])
    assert await stores.users.anyone_holds("admin")


@pytest.mark.parametrize("round_", range(10))
async def test_of_all_who_leave_at_once_one_stays(stores: Stores, round_: int) -> None:
    """Whatever way they leave: somebody stays, and everybody else may go."""
    people = [a_user(roles=("admin",)) for _ in range(6)]
    await asyncio.gather(*(stores.users.add(each, an_event()) for each in people))
    acts = list(UNLESS_LAST.values())
    there = [a_world(each, each) for each in people]

    outcomes = await asyncio.gather(
        *(
            acts[(number + round_) % 3](stores, each, an_event())
            for number, each in enumerate(there)
        ),
        return_exceptions=True,
    )

    assert {type(each) for each in outcomes} == {bool, LastHolder}
    assert outcomes.count(True) == 6 - sum(isinstance(each, LastHolder) for each in outcomes)
    assert await stores.users.anyone_holds("admin")


async def test_of_many_who_demote_the_same_user_one_does(stores: Stores) -> None:
    one, two = a_user(roles=("admin",)), a_user(roles=("admin",))
    for each in (one, two):
        await stores.users.add(each, an_event())

    outcomes = await asyncio.gather(
        *(
            stores.users.withdraw(one.id, "admin", an_event(), unless_last="admin")
            for _ in range(10)
        ),
        return_exceptions=True,
    )

    assert outcomes.count(True) == 1
    assert await stores.users.anyone_holds("admin")
    with pytest.raises(LastHolder):
        await stores.users.remove(two.id, an_event(), unless_last="admin")


# Sessions


async def test_a_session_opens_only_for_the_user_as_read(stores: Stores, world: World) -> None:
    session = replace(NEW_SESSION, user_id=world.user.id, created_at=NOON + A_MINUTE)
    for stale in (
        replace(session, epoch=1),
        replace(session, user_id=world.other.id),  # who is disabled
        replace(session, user_id=a_user().id),  # who does not exist
    ):
        event = an_event()
        assert not await stores.sessions.open(stale, event)
        assert await stored(stores, event) == []
    assert await stores.sessions.find(session.id) is None

    assert await stores.sessions.open(session, an_event())

    assert await stores.sessions.find(session.id) == session
    user = await stores.users.find(world.user.id)
    assert user == replace(world.user, last_sign_in_at=NOON + A_MINUTE)


async def test_the_sessions_of_a_deleted_user_are_deleted(stores: Stores, world: World) -> None:
    other = a_session(user_id=world.other.id)
    await stores.sessions.add(other)

    assert await stores.users.remove(world.user.id, an_event())

    assert await stores.sessions.find(world.session.id) is None
    assert await stores.sessions.find(other.id) == other


async def test_a_session_that_goes_on_is_live_and_listed(stores: Stores, world: World) -> None:
    """It is live by the name in the user's record, and no other session of before is."""
    following = a_session(user_id=world.user.id, epoch=NO_EPOCH)
    await stores.sessions.add(following)
    changed = await stores.users.change_password(
        world.user, "new", an_event(), continued=following.id
    )
    assert changed is not None

    assert following.is_live(changed, NOON)
    assert not world.session.is_live(changed, NOON)
    listed = await stores.sessions.list_live(
        changed, NOON, used_after=NOON - timedelta(days=1), before=None, limit=9
    )
    assert listed == [following]


async def test_only_a_session_that_is_not_live_is_discarded(stores: Stores, world: World) -> None:
    following = a_session(user_id=world.user.id, epoch=NO_EPOCH)
    await stores.sessions.add(following)

    await stores.sessions.discard(following.id)
    await stores.sessions.discard(world.session.id)

    assert await stores.sessions.find(following.id) is None
    assert await stores.sessions.find(world.session.id) == world.session
