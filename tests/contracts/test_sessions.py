"""What every store promises about sessions."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gatelodge.accounts.search import Count
from gatelodge.credentials.factors import adding, removing_all
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.store import NO_EPOCH, Session, SessionPage, SessionQuery
from gatelodge.stores import Stores
from gatelodge.stores.mongo import sessions as mongo_sessions
from gatelodge.stores.sql import sessions as sql_sessions
from tests.contracts.builders import A_MINUTE, NOON, a_factor, a_session, a_user, an_event
from tests.support.events import newest

NOTHING = SessionId("ses_nothing")
ANY = SessionQuery()


async def test_a_session_comes_back_as_it_was_kept(stores: Stores) -> None:
    session = a_session(
        epoch=2,
        generation=9,
        rotated_at=NOON,
        delivery="cookie",
        user_agent="Browser/1.0 “quoted”",
        address="2001:db8::1",
        methods=("pwd", "otp"),
        authenticated_at=NOON - A_MINUTE,
        client_id="cli_reader",
        revoked_at=NOON + A_MINUTE,
        revoked_why="signed_out",
        impersonator=UserId("usr_administrator"),
        begun_in=SessionId("ses_of_theirs"),
        reason="Ticket 4711 – ¿qué?",
    )
    await stores.sessions.add(session)

    assert await stores.sessions.find(session.id) == session


async def test_a_fresh_session_comes_back_as_it_was_kept(stores: Stores) -> None:
    session = a_session()
    await stores.sessions.add(session)

    found = await stores.sessions.find(session.id)
    assert found == session
    assert found is not None
    assert (found.methods, found.client_id) == (("pwd",), None)
    assert (found.impersonator, found.begun_in, found.reason) == (None, None, None)
    assert await stores.sessions.find(NOTHING) is None


async def test_a_rotation_moves_the_session_on(stores: Stores) -> None:
    session = a_session(generation=7)
    await stores.sessions.add(session)

    at = NOON + A_MINUTE
    assert await stores.sessions.rotate(session.id, 7, lambda: at)

    moved = replace(session, generation=8, rotated_at=at, last_used_at=at)
    assert await stores.sessions.find(session.id) == moved


async def test_a_thousand_rotations_leave_one_record(stores: Stores) -> None:
    """Rotations add no record and no event."""
    session = a_session(generation=0)
    await stores.sessions.add(session)

    for generation in range(1_000):
        assert await stores.sessions.rotate(session.id, generation, lambda: NOON)

    moved = replace(session, generation=1_000, rotated_at=NOON)
    assert await stores.sessions.find(session.id) == moved
    assert await stores.sessions.remove_ended(NOON + timedelta(days=365)) == 1
    assert await newest(stores.events, 1) == []


async def test_a_session_opens_only_without_factors_if_none_was_asked_for(stores: Stores) -> None:
    """Also if the first one is added at the same moment."""
    user = a_user()
    await stores.users.add(user, an_event())
    before, after, proved = (a_session(user_id=user.id) for _ in range(3))

    assert await stores.sessions.open(before, an_event(), without_factors=True)
    assert await stores.factors.change(user.id, adding(a_factor(), limit=1))
    assert not await stores.sessions.open(after, an_event(), without_factors=True)
    assert await stores.sessions.find(after.id) is None
    assert await stores.sessions.open(proved, an_event())
    assert await stores.factors.change(user.id, removing_all()) == ()
    assert await stores.sessions.open(after, an_event(), without_factors=True)


async def test_a_session_of_an_impersonator_opens_without_a_sign_in_of_the_user(
    stores: Stores,
) -> None:
    """It needs the same user as any session, and changes nothing of them."""
    user = a_user(last_sign_in_at=NOON - A_MINUTE)
    await stores.users.add(user, an_event())
    changes = {"user_id": user.id, "impersonator": UserId("usr_administrator"), "methods": ()}
    opened, late, stranger = (a_session(**changes) for _ in range(3))

    assert await stores.sessions.open(opened, an_event())
    assert await stores.users.find(user.id) == user
    assert await stores.sessions.find(opened.id) == opened

    assert await stores.users.raise_epoch(user.id, an_event())
    event = an_event()
    assert not await stores.sessions.open(late, event)
    assert not await stores.sessions.open(replace(stranger, user_id=UserId("usr_x")), event)
    assert await stores.users.disable(user.id, NOON, an_event())
    assert not await stores.sessions.open(replace(late, epoch=1), event)
    for each in (late, stranger):
        assert await stores.sessions.find(each.id) is None
    events = await newest(stores.events, 50)
    assert event.id not in {each.id for each in events}


async def test_only_the_current_generation_rotates(stores: Stores) -> None:
    session = a_session(generation=7)
    await stores.sessions.add(session)

    assert not await stores.sessions.rotate(session.id, 6, lambda: NOON)
    assert not await stores.sessions.rotate(session.id, 8, lambda: NOON)
    assert not await stores.sessions.rotate(NOTHING, 7, lambda: NOON)
    assert await stores.sessions.find(session.id) == session


async def test_one_rotation_wins(stores: Stores) -> None:
    """Many callers rotate one generation at once, and exactly one succeeds."""
    session = a_session(generation=7)
    await stores.sessions.add(session)

    outcomes = await asyncio.gather(
        *(stores.sessions.rotate(session.id, 7, lambda: NOON) for _ in range(50))
    )

    assert outcomes.count(True) == 1
    found = await stores.sessions.find(session.id)
    assert found is not None
    assert found.generation == 8


async def test_a_revoked_session_never_rotates(stores: Stores) -> None:
    session = a_session()
    await stores.sessions.add(session)
    await stores.sessions.revoke(session.id, NOON, "signed_out", an_event())

    assert not await stores.sessions.rotate(session.id, 0, lambda: NOON)


async def test_the_first_revocation_counts_and_its_reason_stays(stores: Stores) -> None:
    session = a_session()
    await stores.sessions.add(session)

    assert await stores.sessions.revoke(session.id, NOON, "signed_out", an_event())
    assert not await stores.sessions.revoke(session.id, NOON + A_MINUTE, "reused", an_event())
    assert not await stores.sessions.revoke(NOTHING, NOON, "signed_out", an_event())

    revoked = replace(session, revoked_at=NOON, revoked_why="signed_out")
    assert await stores.sessions.find(session.id) == revoked


async def test_one_revocation_wins(stores: Stores) -> None:
    session = a_session()
    await stores.sessions.add(session)

    outcomes = await asyncio.gather(
        *(stores.sessions.revoke(session.id, NOON, f"reason{n}", an_event()) for n in range(50))
    )

    assert outcomes.count(True) == 1
    found = await stores.sessions.find(session.id)
    assert found is not None
    assert found.revoked_why == f"reason{outcomes.index(True)}"


async def test_rotations_and_a_revocation_at_once_leave_it_revoked(stores: Stores) -> None:
    session = a_session()
    await stores.sessions.add(session)

    outcomes = await asyncio.gather(
        *(stores.sessions.rotate(session.id, 0, lambda: NOON) for _ in range(20)),
        stores.sessions.revoke(session.id, NOON, "signed_out", an_event()),
        *(stores.sessions.rotate(session.id, 0, lambda: NOON) for _ in range(20)),
    )

    found = await stores.sessions.find(session.id)
    assert found is not None
    assert found.revoked_at == NOON
    assert found.generation == outcomes.count(True) - 1
    assert not await stores.sessions.rotate(session.id, found.generation, lambda: NOON)


async def test_a_session_can_be_marked_used_without_rotating(stores: Stores) -> None:
    session, revoked = a_session(generation=3), a_session(revoked_at=NOON, revoked_why="reused")
    await stores.sessions.add(session)
    await stores.sessions.add(revoked)

    assert await stores.sessions.touch(session.id, NOON + A_MINUTE)
    assert not await stores.sessions.touch(revoked.id, NOON + A_MINUTE)
    assert not await stores.sessions.touch(NOTHING, NOON)

    touched = replace(session, last_used_at=NOON + A_MINUTE)
    assert await stores.sessions.find(session.id) == touched
    assert await stores.sessions.find(revoked.id) == revoked


async def test_live_sessions_are_listed_in_pages_the_newest_first(stores: Stores) -> None:
    ada = a_user("Ada")
    sessions = [a_session(user_id=ada.id, created_at=NOON + n * A_MINUTE) for n in range(5)]
    await asyncio.gather(*(stores.sessions.add(session) for session in sessions))
    newest_first = sessions[::-1]

    async def listed(before: SessionId | None, limit: int) -> list[Session]:
        return await stores.sessions.list_live(
            ada, NOON, used_after=NOON - A_MINUTE, before=before, limit=limit
        )

    first = await listed(None, 2)
    rest = await listed(first[-1].id, 10)
    behind = await listed(rest[-1].id, 10)

    assert first == newest_first[:2]
    assert rest == newest_first[2:]
    assert behind == []


async def test_only_live_sessions_of_the_user_are_listed(stores: Stores) -> None:
    ada, bob = a_user("Ada", epoch=2), a_user("Bob")
    live = a_session(user_id=ada.id, epoch=2, expires_at=NOON + A_MINUTE)
    others = [
        a_session(user_id=bob.id),
        a_session(user_id=ada.id, epoch=1),
        a_session(user_id=ada.id, epoch=2, expires_at=NOON),
        a_session(user_id=ada.id, epoch=2, revoked_at=NOON, revoked_why="signed_out"),
    ]
    for session in [live, *others]:
        await stores.sessions.add(session)

    listed = await stores.sessions.list_live(
        ada, NOON, used_after=NOON - A_MINUTE, before=None, limit=10
    )
    assert listed == [live]


async def test_sessions_too_long_unused_are_not_listed(stores: Stores) -> None:
    """They do not take a place on a page either."""
    ada = a_user("Ada")
    a_week_ago = NOON - timedelta(days=7)
    opened = [
        a_session(
            user_id=ada.id,
            created_at=a_week_ago + n * A_MINUTE,
            last_used_at=NOON + (n - 2) * A_MINUTE,
        )
        for n in range(4)
    ]
    for session in opened[::-1]:
        await stores.sessions.add(session)

    async def listed(used_after: datetime, limit: int = 10) -> list[Session]:
        return await stores.sessions.list_live(
            ada, NOON, used_after=used_after, before=None, limit=limit
        )

    assert await listed(NOON - timedelta(milliseconds=1)) == [opened[3], opened[2]]
    assert await listed(NOON) == [opened[3]]
    assert await listed(a_week_ago, 3) == opened[:0:-1]
    await stores.sessions.touch(opened[0].id, NOON + A_MINUTE)
    assert [session.id for session in await listed(NOON, 2)] == [opened[3].id, opened[0].id]


async def test_what_ended_before_an_instant_is_forgotten(stores: Stores) -> None:
    later = NOON + timedelta(days=7)
    ended = [
        a_session(expires_at=NOON - A_MINUTE),
        a_session(expires_at=later, revoked_at=NOON - A_MINUTE, revoked_why="signed_out"),
    ]
    kept = [
        a_session(expires_at=NOON),
        a_session(expires_at=later, revoked_at=NOON, revoked_why="signed_out"),
        a_session(expires_at=later),
    ]
    for session in ended + kept:
        await stores.sessions.add(session)

    assert await stores.sessions.remove_ended(NOON) == 2
    assert await stores.sessions.remove_ended(NOON) == 0

    for session in ended:
        assert await stores.sessions.find(session.id) is None
    for session in kept:
        assert await stores.sessions.find(session.id) == session


async def test_a_session_is_found_with_its_user(stores: Stores) -> None:
    """The answer has both or is None. A session whose user is deleted is not found."""
    user = a_user()
    session = a_session(user_id=user.id)
    await stores.sessions.add(session)
    assert await stores.sessions.find_with_user(session.id) is None
    await stores.users.add(user, an_event())
    assert await stores.sessions.find_with_user(session.id) == (session, user)
    await stores.users.remove(user.id, an_event())
    assert await stores.sessions.find_with_user(session.id) is None


async def test_all_stored_sessions_of_a_user_are_listed_from_the_newest(stores: Stores) -> None:
    ann = UserId("usr_ann")
    mine = [
        a_session(user_id=ann, created_at=NOON + number * A_MINUTE, revoked_at=revoked_at)
        for number, revoked_at in enumerate((None, NOON, None))
    ]
    for each in (*mine, a_session()):
        await stores.sessions.add(each)

    listed = await stores.sessions.list_stored(ann, limit=2)

    assert [each.id for each in listed] == [each.id for each in mine[:0:-1]]


async def everybody(
    stores: Stores, query: SessionQuery = ANY, *, limit: int = 10, before: SessionId | None = None
) -> SessionPage:
    """Return a page of the sessions that are live at noon."""
    return await stores.sessions.search(
        query, NOON, used_after=NOON - A_MINUTE, before=before, limit=limit
    )


async def test_live_sessions_of_all_users_are_listed_in_pages_the_newest_first(
    stores: Stores,
) -> None:
    """Each with the user whom it signs in."""
    ada, bob = a_user("Ada", epoch=2, roles=("user", "admin")), a_user("Bob")
    for user in (ada, bob):
        await stores.users.add(user, an_event())
    opened = [
        (a_session(user_id=user.id, epoch=user.epoch, created_at=NOON + n * A_MINUTE), user)
        for n, user in enumerate([ada, bob, ada, bob, bob])
    ]
    for session, _ in opened:
        await stores.sessions.add(session)

    first = await everybody(stores, limit=2)
    second = await everybody(stores, limit=2, before=first.before)
    last = await everybody(stores, limit=2, before=second.before)

    assert [*first.sessions, *second.sessions, *last.sessions] == opened[::-1]
    assert (len(first.sessions), len(second.sessions), last.before) == (2, 2, None)
    assert (await everybody(stores, limit=5)).before is None


async def test_only_what_signs_somebody_in_is_listed_and_counted(stores: Stores) -> None:
    ada, bob = a_user("Ada", epoch=2), a_user("Bob", disabled_at=NOON)
    kept = a_session(user_id=ada.id, epoch=NO_EPOCH)
    ada = replace(ada, continued=kept.id)
    for user in (ada, bob):
        await stores.users.add(user, an_event())
    live = a_session(user_id=ada.id, epoch=2)
    ended = [
        a_session(),  # of somebody who is not there
        a_session(user_id=bob.id),
        a_session(user_id=ada.id, epoch=1),
        a_session(user_id=ada.id, epoch=NO_EPOCH),
        a_session(user_id=ada.id, epoch=2, expires_at=NOON),
        a_session(user_id=ada.id, epoch=2, last_used_at=NOON - A_MINUTE),
        a_session(user_id=ada.id, epoch=2, revoked_at=NOON, revoked_why="signed_out"),
    ]
    for session in (live, kept, *ended):
        await stores.sessions.add(session)

    found = await everybody(stores)
    assert {session.id for session, _ in found.sessions} == {live.id, kept.id}
    assert {user.id for _, user in found.sessions} == {ada.id}
    assert await stores.sessions.count_live(NOON, used_after=NOON - A_MINUTE) == Count(2)


async def test_sessions_are_found_by_user_and_by_address(stores: Stores) -> None:
    ada, bob = a_user("Ada"), a_user("Bob")
    for user in (ada, bob):
        await stores.users.add(user, an_event())
    here, there = "192.0.2.7", "2001:db8::7"
    opened = [
        a_session(user_id=user.id, created_at=NOON + n * A_MINUTE, address=address)
        for n, (user, address) in enumerate([(ada, here), (bob, here), (ada, there), (bob, there)])
    ]
    for session in opened:
        await stores.sessions.add(session)

    async def found(query: SessionQuery) -> list[int]:
        return [opened.index(session) for session, _ in (await everybody(stores, query)).sessions]

    assert await found(SessionQuery(user_id=ada.id)) == [2, 0]
    assert await found(SessionQuery(address=there)) == [3, 2]
    assert await found(SessionQuery(user_id=bob.id, address=here)) == [1]
    assert await found(SessionQuery(user_id=UserId("usr_nobody"))) == []
    assert await found(SessionQuery(address="192.0.2")) == []


async def test_a_list_of_sessions_stops_after_a_few_thousand_and_goes_on(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is skipped: whoever follows the pages finds the only live one."""
    for module in (sql_sessions, mongo_sessions):
        monkeypatch.setattr(module, "LOOKED_AT", 10)
    ada = a_user("Ada", epoch=1)
    await stores.users.add(ada, an_event())
    sessions = [a_session(user_id=ada.id, created_at=NOON + n * A_MINUTE) for n in range(35)]
    live = replace(sessions[2], epoch=1)
    for session in (live, *sessions[:2], *sessions[3:]):
        await stores.sessions.add(session)

    pages = [await everybody(stores)]
    while pages[-1].before is not None:
        pages.append(await everybody(stores, before=pages[-1].before))

    assert [each.sessions for each in pages] == [[], [], [], [(live, ada)]]


async def test_where_there_are_many_sessions_their_number_is_estimated(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sql_sessions, mongo_sessions):
        monkeypatch.setattr(module, "COUNTED_EXACTLY", 3)
    ada = a_user("Ada")
    await stores.users.add(ada, an_event())
    at_last = {"expires_at": NOON + timedelta(days=365)}
    for changes in ({}, {}, at_last, {"expires_at": NOON}, {"revoked_at": NOON}):
        await stores.sessions.add(a_session(user_id=ada.id, **changes))

    counted = await stores.sessions.count_live(NOON, used_after=NOON - A_MINUTE)
    assert counted == Count(3, exact=False)
