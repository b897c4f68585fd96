"""What memory knows about sessions and users, and how it forgets."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gatelodge.accounts.store import Rights
from gatelodge.clock import to_milliseconds
from gatelodge.gate.principal import Principal
from gatelodge.gate.recent import Recent
from gatelodge.gate.view import MAX_DEAD, MAX_SESSIONS, View
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.lookup import principal_of
from tests.contracts.builders import NOON, a_session, a_user

NOW = to_milliseconds(NOON)

ALICE = a_user("alice")
BOB = a_user("bob")


def a_principal(user: object = ALICE) -> Principal:
    """Return this user, with a new session."""
    assert isinstance(user, type(ALICE))
    return principal_of(user, a_session(user_id=user.id), Rights(user.roles))


def a_view(*principals: Principal) -> View:
    """Return a view that knows these principals."""
    view = View()
    for principal in principals:
        view.keep(principal, seen=view.changes)
    return view


# Recent


def test_what_was_put_is_found_until_it_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(10)
    recent.put("a", 1)
    assert recent.find("a") == 1

    recent.forget("a")

    assert recent.find("a") is None
    recent.forget("never there")


def test_what_is_asked_for_stays_while_others_come_and_go() -> None:
    recent: Recent[int, str] = Recent(100)
    recent.put(-1, "kept")
    for number in range(10_000):
        recent.put(number, "passing")
        if number % 25 == 0:
            assert recent.find(-1) == "kept"
    assert recent.find(0) is None
    assert len(recent) <= 100


keys = st.integers(0, 30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, st.integers()),
        st.tuples(st.just("find"), keys, st.none()),
        st.tuples(st.just("forget"), keys, st.none()),
        st.tuples(st.just("clear"), st.none(), st.none()),
    ),
    max_size=200,
)


@given(most=st.integers(2, 20), steps=steps)
def test_it_is_bounded_and_never_answers_with_what_is_older(most: int, steps: list[object]) -> None:
    """It may forget entries. What it finds is always the value that was put last."""
    recent: Recent[int, int] = Recent(most)
    truth: dict[int, int] = {}
    for step, key, value in steps:  # type: ignore[misc]
        if step == "put":
            recent.put(key, value)
            truth[key] = value
            assert recent.find(key) == value
        elif step == "find":
            assert recent.find(key) in {None, truth.get(key)}
        elif step == "forget":
            recent.forget(key)
            truth.pop(key, None)
        else:
            recent.clear()
            truth.clear()
        assert len(recent) <= most


@given(most=st.integers(2, 20), used=st.lists(keys, max_size=200))
def test_what_was_used_last_is_always_there(most: int, used: list[int]) -> None:
    recent: Recent[int, int] = Recent(most)
    for key in used:
        if recent.find(key) is None:
            recent.put(key, key)
    lately = list(dict.fromkeys(reversed(used)))[:most]

    assert all(recent.find(key) == key for key in lately)


# View


def test_a_principal_is_found_until_the_session_ends() -> None:
    alice = a_principal()
    view = a_view(alice)

    assert view.find(alice.session_id, NOW) == alice
    assert view.find(alice.session_id, to_milliseconds(alice.expires_at) - 1) == alice
    assert view.find(alice.session_id, to_milliseconds(alice.expires_at)) is None
    assert view.find(SessionId("ses_unknown"), NOW) is None


def test_to_forget_a_user_is_to_forget_all_of_their_sessions_and_no_other() -> None:
    hers = [a_principal() for _ in range(5)]
    his = a_principal(BOB)
    view = a_view(*hers, his)

    view.forget(ALICE.id)

    assert [view.find(each.session_id, NOW) for each in hers] == [None] * 5
    assert view.find(his.session_id, NOW) == his


def test_a_session_that_is_read_again_brings_no_older_one_back() -> None:
    """One session was read before the user changed. Another was read after that, and is known."""
    before, since = a_principal(), a_principal()
    view = a_view(before)
    view.forget(ALICE.id)

    view.keep(since, seen=view.changes)

    assert view.find(since.session_id, NOW) == since
    assert view.find(before.session_id, NOW) is None


def test_to_forget_a_session_leaves_the_users_others() -> None:
    phone, laptop = a_principal(), a_principal()
    view = a_view(phone, laptop)

    view.forget(phone.session_id)

    assert view.find(phone.session_id, NOW) is None
    assert view.find(laptop.session_id, NOW) == laptop


def test_to_forget_everything_is_to_forget_everything() -> None:
    alice, bob = a_principal(), a_principal(BOB)
    view = a_view(alice)
    view.keep_dead(bob.session_id, bob.subject, seen=view.changes)

    view.forget(None)

    assert view.find(alice.session_id, NOW) is None
    assert not view.is_dead(bob.session_id, bob.subject)
    assert len(view) == 0


def test_what_was_read_while_something_changed_is_not_kept() -> None:
    """It may be older than the change. The reader cannot know what changed."""
    alice = a_principal()
    for changed in (ALICE.id, alice.session_id, BOB.id, "key_x", None):
        view = View()
        seen = view.changes
        view.forget(changed)
        view.keep(alice, seen=seen)
        view.keep_dead(alice.session_id, alice.subject, seen=seen)
        assert view.find(alice.session_id, NOW) is None
        assert not view.is_dead(alice.session_id, alice.subject)


def test_a_dead_session_is_known_until_something_changes_about_it() -> None:
    """A session can live again: when its user changes the password, this session goes on."""
    alice = a_principal()
    view = View()
    view.keep_dead(alice.session_id, alice.subject, seen=view.changes)
    assert view.is_dead(alice.session_id, alice.subject)

    view.forget(alice.session_id)

    assert not view.is_dead(alice.session_id, alice.subject)


def test_an_entry_says_what_was_read_last() -> None:
    alice = a_principal()
    moderator = replace(alice, roles=("user", "moderator"))
    view = a_view(alice, moderator)

    assert view.find(alice.session_id, NOW) == moderator


def test_the_view_is_bounded() -> None:
    view = View()
    for number in range(MAX_SESSIONS + MAX_SESSIONS // 2 + 1):
        view.keep(replace(a_principal_of(number), username="x"), seen=0)
    for number in range(MAX_DEAD * 2):
        view.keep_dead(SessionId(f"ses_dead{number}"), UserId("usr_x"), seen=0)

    assert len(view) <= MAX_SESSIONS
    assert len(view._users) <= MAX_SESSIONS
    assert len(view._dead) <= MAX_DEAD
    newest = a_principal_of(MAX_SESSIONS + MAX_SESSIONS // 2)
    assert view.find(newest.session_id, NOW) is not None


def a_principal_of(number: int) -> Principal:
    """Return a principal that is cheap to make, another one for each number."""
    return replace(
        _TEMPLATE,
        subject=type(_TEMPLATE.subject)(f"usr_{number}"),
        session_id=SessionId(f"ses_{number}"),
    )


_TEMPLATE = a_principal()


def test_a_dead_session_is_read_again_when_its_user_changes() -> None:
    """A disabled user may be enabled again."""
    view = View()
    alice = a_principal()
    view.keep_dead(alice.session_id, alice.subject, seen=view.changes)
    assert view.is_dead(alice.session_id, alice.subject)
    view.forget(alice.subject)
    assert not view.is_dead(alice.session_id, alice.subject)
