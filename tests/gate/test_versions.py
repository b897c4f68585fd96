"""What memory knows about tokens, their users and sessions, and how it forgets."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.accounts.store import Rights
from gatelodge.clock import to_milliseconds
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.gate.memory import MAX_CHANGES, MAX_DEAD, MAX_TOKENS, Known, Memory
from gatelodge.gate.principal import Principal
from gatelodge.ids import SessionId, UserId, role_id
from gatelodge.recent import Recent
from gatelodge.sessions.lookup import principal_of
from tests.contracts.builders import NOON, a_session, a_user

NOW = to_milliseconds(NOON)
LATER = NOW + 1000

ALICE = a_user("alice")
BOB = a_user("bob")


def a_principal(user: object = ALICE) -> Principal:
    """Return this user, with a new session."""
    assert isinstance(user, type(ALICE))
    session, nobody = a_session(user_id=user.id), SecondFactorPolicy()
    principal = principal_of(user, session, Rights(user.roles), nobody)
    return replace(principal, until=LATER)


def a_memory(*principals: Principal) -> Memory:
    """Return a memory that knows a token of each of these principals."""
    memory = Memory()
    for principal in principals:
        keep(memory, principal)
    return memory


def digest_of(principal: Principal) -> bytes:
    """Return the digest of a token of the principal's session."""
    return sha256(principal.session_id.encode()).digest()


def keep(memory: Memory, principal: Principal, version: int | None = None) -> None:
    """Have a principal remembered that was read at this version, by default just now."""
    version = memory.changes if version is None else version
    memory.keep(digest_of(principal), Known(principal, version))


def keep_dead(memory: Memory, principal: Principal, version: int | None = None) -> None:
    """Have it remembered that the session has ended."""
    version = memory.changes if version is None else version
    memory.keep_dead(digest_of(principal), Known(principal, version))


def found(memory: Memory, *principals: Principal) -> list[Principal | None]:
    """Return what memory knows about the tokens of these principals."""
    return [memory.recall(digest_of(each), NOW) for each in principals]


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


# Memory


def test_a_principal_is_found_until_the_token_or_the_session_ends() -> None:
    alice = a_principal()
    memory = a_memory(alice)

    assert memory.recall(digest_of(alice), LATER - 1) == alice
    assert memory.recall(digest_of(alice), LATER) is None
    assert memory.verified(digest_of(alice), LATER) is None
    assert memory.recall(b"unknown", NOW) is None


def test_a_change_of_a_user_is_one_of_all_their_sessions_and_of_no_other() -> None:
    hers = [a_principal() for _ in range(5)]
    his = a_principal(BOB)
    memory = a_memory(*hers, his)

    memory.forget(ALICE.id)

    assert found(memory, *hers, his) == [None] * 5 + [his]


def test_a_session_that_is_read_again_brings_no_older_one_back() -> None:
    """One session was read before the user changed. Another was read after that, and is known."""
    before, since = a_principal(), a_principal()
    memory = a_memory(before)
    memory.forget(ALICE.id)

    keep(memory, since)

    assert found(memory, since, before) == [since, None]


def test_a_change_of_a_session_leaves_the_users_others() -> None:
    phone, laptop = a_principal(), a_principal()
    memory = a_memory(phone, laptop)

    memory.forget(phone.session_id)

    assert found(memory, phone, laptop) == [None, laptop]


def test_a_change_of_a_role_counts_for_everybody_but_no_signature_is_checked_again() -> None:
    alice, bob = a_principal(), a_principal(BOB)
    memory = a_memory(alice, bob)

    memory.forget(role_id("editor"))

    assert found(memory, alice, bob) == [None, None]
    assert memory.verified(digest_of(alice), NOW) is not None


def test_to_forget_everything_is_to_forget_everything() -> None:
    alice, bob = a_principal(), a_principal(BOB)
    memory = a_memory(alice)
    keep_dead(memory, bob)

    memory.forget(None)

    assert found(memory, alice) == [None]
    assert not memory.is_dead(digest_of(bob), NOW)
    assert memory.verified(digest_of(alice), NOW) is None
    assert len(memory) == 0


@pytest.mark.parametrize(
    "changed",
    [ALICE.id, "session", role_id("editor"), None],
    ids=["user", "session", "role", "everything"],
)
def test_what_was_read_while_it_changed_does_not_count(changed: str | None) -> None:
    """It may be older than the change."""
    alice = a_principal()
    memory = Memory()
    version = memory.changes
    memory.forget(alice.session_id if changed == "session" else changed)
    keep(memory, alice, version)
    assert found(memory, alice) == [None]
    keep_dead(memory, alice, version)
    assert not memory.is_dead(digest_of(alice), NOW)


def test_what_was_read_while_something_else_changed_counts() -> None:
    alice = a_principal()
    memory = Memory()
    version = memory.changes
    memory.forget(BOB.id)
    keep(memory, alice, version)
    assert found(memory, alice) == [alice]


def test_a_dead_session_is_known_until_something_changes_about_it() -> None:
    """A session can live again: its user is enabled, or changes the password in it."""
    alice = a_principal()
    for changed in (alice.session_id, alice.subject):
        memory = Memory()
        keep_dead(memory, alice)
        assert memory.is_dead(digest_of(alice), NOW)
        assert not memory.is_dead(digest_of(alice), LATER)
        memory.forget(changed)
        assert not memory.is_dead(digest_of(alice), NOW)


def test_a_token_is_of_a_live_session_or_of_a_dead_one() -> None:
    alice = a_principal()
    memory = a_memory(alice)
    keep_dead(memory, alice)
    assert found(memory, alice) == [None]
    keep(memory, alice)
    assert found(memory, alice) == [alice]
    assert not memory.is_dead(digest_of(alice), NOW)


def test_more_changes_than_are_told_apart_count_for_whoever_was_not_asked_meanwhile() -> None:
    """Who is asked now and then stays known, however much changes."""
    asleep, awake = a_principal(), a_principal(BOB)
    memory = a_memory(asleep, awake)
    for number in range(3 * MAX_CHANGES):
        memory.forget(f"usr_{number}")
        if number % 100 == 0:
            assert found(memory, awake) == [awake]
    assert found(memory, asleep, awake) == [None, awake]
    assert len(memory._changed) == MAX_CHANGES


IDS = ("usr_1", "usr_2", "ses_1", "ses_2", "role:x")

some_changes = st.lists(
    st.one_of(
        st.tuples(
            st.just("change"), st.sampled_from(["usr_1", "usr_2", "ses_1", "ses_2", "role:x"])
        ),
        st.tuples(st.just("begin"), st.sampled_from([1, 2])),
        st.tuples(st.just("end"), st.sampled_from([1, 2])),
        st.tuples(st.just("ask"), st.sampled_from([1, 2])),
    ),
    max_size=60,
)


@given(steps=some_changes)
def test_no_interleaving_of_reads_and_changes_finds_what_is_older(
    steps: list[tuple[str, object]],
) -> None:
    """A user's name counts the changes that matter to them: what is found has the newest one."""
    memory = Memory()
    truth = {1: 0, 2: 0}
    reads: dict[int, tuple[Principal, int]] = {}
    for step, what in steps:
        if step == "change":
            memory.forget(str(what))
            for number in truth:
                truth[number] += str(what) in {f"usr_{number}", f"ses_{number}", "role:x"}
        elif step == "begin":
            reads[int(str(what))] = (_named(int(str(what)), truth[int(str(what))]), memory.changes)
        elif step == "end" and (read := reads.pop(int(str(what)), None)):
            keep(memory, *read)
        elif step == "ask":
            (principal,) = found(memory, _named(int(str(what)), 0))
            assert principal is None or principal.username == str(truth[int(str(what))])


def _named(number: int, name: int) -> Principal:
    return Principal(
        UserId(f"usr_{number}"), str(name), (), frozenset(), SessionId(f"ses_{number}"), LATER
    )


# Its bounds

FEW_TOKENS = 10_000


def test_memory_is_bounded() -> None:
    memory = Memory()
    for number in range(MAX_TOKENS + MAX_TOKENS // 2 + 1):
        keep(memory, _named(number, 0))
    for number in range(MAX_DEAD * 2):
        keep_dead(memory, _named(-number, 0))

    assert len(memory) <= MAX_TOKENS
    assert len(memory._dead) <= MAX_DEAD
    newest = _named(MAX_TOKENS + MAX_TOKENS // 2, 0)
    assert found(memory, newest) == [newest]


@pytest.fixture
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a memory have room for few tokens."""
    monkeypatch.setattr("gatelodge.gate.memory.MAX_TOKENS", FEW_TOKENS)


@pytest.mark.usefixtures("few_tokens")
def test_as_many_tokens_as_are_remembered_drive_none_of_them_out() -> None:
    everybody = [_named(number, 0) for number in range(FEW_TOKENS)]
    memory = a_memory(*everybody)
    assert found(memory, *everybody) == everybody


@pytest.mark.usefixtures("few_tokens")
def test_tokens_that_are_shown_once_do_not_drive_out_those_in_use() -> None:
    """Somebody with one session can have many tokens, each of them good."""
    in_use = [_named(number, 0) for number in range(FEW_TOKENS // 5)]
    memory = a_memory(*in_use)
    for number in range(3 * FEW_TOKENS):
        keep(memory, _named(-number - 1, 0))
        if number % 1_000 == 0:
            assert found(memory, *in_use) == in_use


@pytest.mark.usefixtures("few_tokens")
def test_when_all_tokens_are_in_use_the_newest_stay() -> None:
    everybody = [_named(number, 0) for number in range(FEW_TOKENS)]
    memory = a_memory(*everybody)
    assert found(memory, *everybody) == everybody
    more = [_named(-number - 1, 0) for number in range(100)]
    for each in more:
        keep(memory, each)
    assert found(memory, *more) == more
    assert len(memory) > FEW_TOKENS * 3 // 4
