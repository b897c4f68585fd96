"""Who is signed in, as an application beside the real server sees it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.client import IssuerUnavailable, NotSignedIn, Refusal, User, Verifier
from gatelodge.client.flights import Flights
from gatelodge.client.memory import MAX_TOKENS, Known, Memory
from gatelodge.client.verifier import DEFAULT_FRESHNESS
from gatelodge.ids import SessionId, UserId
from gatelodge.tasks import end
from gatelodge.tokens.claims import Claims
from gatelodge.tokens.jwk import VerificationKey
from tests.client.conftest import Key
from tests.support.clock import FakeClock
from tests.support.issuer import KEYS, ME, LittleServer, answer
from tests.support.people import Person, signed_in

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)


class Counting(httpx2.ASGITransport):
    """The way to the application in this process; it counts what is asked."""

    asked: list[str]
    hold: asyncio.Event | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        if self.hold is not None:
            await self.hold.wait()
        return await super().handle_async_request(request)


@pytest.fixture
def transport(house: House) -> Counting:
    """Return the way to the real application."""
    transport = Counting(create_app(house))
    transport.asked = []
    return transport


Beside = Callable[..., Verifier]


@pytest.fixture
async def beside(house: House, transport: Counting, clock: FakeClock) -> AsyncIterator[Beside]:
    """Return a function that opens a verifier beside the house."""
    opened: list[Verifier] = []

    def open_verifier(freshness: timedelta | None = DEFAULT_FRESHNESS, **more: Any) -> Verifier:
        issuer = house.settings.public_origin
        opened.append(
            Verifier(issuer, freshness=freshness, transport=transport, clock=clock, **more)
        )
        return opened[-1]

    yield open_verifier
    for verifier in opened:
        await verifier.aclose()


@pytest.fixture
async def ann(client: httpx2.AsyncClient, house: House) -> Person:
    """Return somebody who is signed in."""
    return await signed_in(client, house, "ann", "moderator")


async def refused(verifier: Verifier, token: str, kind: type[Refusal] = NotSignedIn) -> Refusal:
    """Return why a token is refused."""
    with pytest.raises(kind) as found:
        await verifier.check(token)
    return found.value


# What an application gets


async def test_a_token_tells_who_is_signed_in_and_what_they_may_do_now(
    ann: Person, beside: Beside, house: House
) -> None:
    user = await beside().check(ann.token)

    record = await house.accounts.get_by_username("ann")
    me = (await ann.get(ME)).json()
    assert user == User(
        subject=record.id,
        username="ann",
        name="",
        email="ann@example.com",
        email_verified=False,
        roles=frozenset({"user", "moderator"}),
        permissions=frozenset(me["permissions"]),
        expires_at=user.expires_at,
        session_id=me["session"]["id"],
        authenticated_at=house.clock.now(),
        methods=frozenset({"pwd"}),
    )
    assert user.permissions
    assert user.expires_at == house.clock.now() + house.settings.access_token_life


async def test_offline_a_user_has_what_the_token_says_and_nothing_else(
    ann: Person, beside: Beside, transport: Counting
) -> None:
    fresh, user = await beside().check(ann.token), await beside(None).check(ann.token)

    unknown = {"email": None, "email_verified": False}
    assert user == replace(fresh, username="", permissions=frozenset(), **unknown)
    assert user.uuid == fresh.uuid
    assert transport.asked == [KEYS, ME, KEYS]


async def test_tokens_for_another_issuer_or_audience_are_refused(
    ann: Person, transport: Counting, clock: FakeClock, beside: Beside, house: House
) -> None:
    assert (await refused(beside(audience="another"), ann.token)).code == "token_invalid"
    other = house.settings.public_origin.replace("localhost", "127.0.0.1")
    async with Verifier(other, transport=transport, clock=clock) as verifier:
        await refused(verifier, ann.token)

    assert ME not in transport.asked


async def test_a_token_that_has_expired_says_so_with_or_without_the_server(
    ann: Person, beside: Beside, clock: FakeClock, transport: Counting
) -> None:
    verifiers = beside(), beside(None)
    for verifier in verifiers:
        await verifier.check(ann.token)
    transport.asked.clear()

    clock.advance(10 * MINUTE)

    for verifier in verifiers:
        assert (await refused(verifier, ann.token)).code == "token_expired"
    assert ME not in transport.asked


@pytest.mark.parametrize(
    "settings", [{"profile": "tutorial", "access_token_life": timedelta(days=1)}], indirect=True
)
async def test_a_token_that_lives_a_day_is_refused_offline_unless_that_was_wanted(
    ann: Person, beside: Beside
) -> None:
    """Nobody could take it back; asking the server makes that good."""
    await refused(beside(None), ann.token)
    await beside(None, max_token_life=timedelta(days=1)).check(ann.token)
    await beside().check(ann.token)


# What is true now


async def sign_out(ann: Person, house: House) -> None:
    assert (await ann.client.post("/api/auth/signout", headers=ann.headers)).status_code == 200


async def disable(ann: Person, house: House) -> None:
    await house.accounts.disable(await house.accounts.get_by_username("ann"), COMMAND)


async def delete(ann: Person, house: House) -> None:
    await house.accounts.delete(await house.accounts.get_by_username("ann"), COMMAND)


@pytest.mark.parametrize("end", [sign_out, disable, delete])
@pytest.mark.parametrize("freshness", [timedelta(0), MILLISECOND, SECOND, MINUTE])
async def test_whoever_is_signed_out_is_refused_after_no_more_than_the_freshness(
    ann: Person,
    beside: Beside,
    house: House,
    clock: FakeClock,
    end: Callable[[Person, House], Any],
    freshness: timedelta,
) -> None:
    verifier = beside(freshness)
    await verifier.check(ann.token)

    await end(ann, house)

    if freshness:
        clock.advance(freshness - MILLISECOND)
        await verifier.check(ann.token)
        clock.advance(MILLISECOND)
    assert (await refused(verifier, ann.token)).code == "token_invalid"


async def test_a_role_that_was_taken_is_gone_after_the_freshness(
    ann: Person, beside: Beside, house: House, clock: FakeClock
) -> None:
    verifier = beside()
    assert "moderator" in (await verifier.check(ann.token)).roles
    user = await house.accounts.get_by_username("ann")

    await house.accounts.withdraw(user, "moderator", COMMAND)
    clock.advance(SECOND)

    assert (await verifier.check(ann.token)).roles == {"user"}


async def test_within_the_freshness_a_refusal_is_kept_as_well(
    ann: Person, beside: Beside, house: House, clock: FakeClock, transport: Counting
) -> None:
    verifier = beside()
    await verifier.check(ann.token)
    await sign_out(ann, house)
    clock.advance(SECOND)
    transport.asked.clear()

    for _ in range(50):
        await refused(verifier, ann.token)

    assert transport.asked == [ME]


async def test_within_the_freshness_the_server_is_not_asked_again(
    ann: Person, beside: Beside, transport: Counting, clock: FakeClock
) -> None:
    verifier = beside()
    for _ in range(50):
        await verifier.check(ann.token)
    assert transport.asked == [KEYS, ME]

    clock.advance(SECOND)
    await verifier.check(ann.token)
    assert transport.asked == [KEYS, ME, ME]


async def test_with_a_freshness_of_nothing_the_server_is_asked_each_time(
    ann: Person, beside: Beside, transport: Counting
) -> None:
    """Two who come together ask twice: the first question may be older than the second caller."""
    verifier = beside(timedelta(0))
    for _ in range(3):
        await verifier.check(ann.token)
    await asyncio.gather(verifier.check(ann.token), verifier.check(ann.token))

    assert transport.asked == [KEYS] + [ME] * 5


async def test_callers_who_come_together_share_one_question(
    ann: Person, beside: Beside, transport: Counting
) -> None:
    verifier = beside()
    users = await asyncio.gather(*(verifier.check(ann.token) for _ in range(50)))

    assert transport.asked == [KEYS, ME]
    assert len(set(users)) == 1


async def test_a_question_that_is_older_than_the_freshness_is_not_shared(
    ann: Person, beside: Beside, transport: Counting, clock: FakeClock
) -> None:
    """Its answer could be older than promised. What it says does not replace a newer answer."""
    verifier = beside()
    await verifier.check(ann.token)
    clock.advance(SECOND)
    transport.asked.clear()
    transport.hold = asyncio.Event()
    first = asyncio.create_task(verifier.check(ann.token))
    second = asyncio.create_task(verifier.check(ann.token))
    await asyncio.sleep(0)
    clock.advance(SECOND)
    third = asyncio.create_task(verifier.check(ann.token))
    await asyncio.sleep(0)

    transport.hold.set()
    await asyncio.gather(first, second, third)
    assert transport.asked == [ME, ME]

    clock.advance(SECOND - MILLISECOND)
    await verifier.check(ann.token)
    assert transport.asked == [ME, ME]


async def test_forged_tokens_never_reach_the_server(
    ann: Person, beside: Beside, transport: Counting
) -> None:
    verifier = beside()
    for forged in ("", "x", ann.token[:-2], ann.token + "=", ann.token * 9, "\ud800"):
        await refused(verifier, forged)

    assert transport.asked == [KEYS]


# The server is away, or answers nonsense


SESSION: dict[str, object] = {
    "id": "ses_1",
    "expiresAt": "2026-05-05T12:00:00Z",
    "authenticatedAt": "2026-05-04T12:00:00Z",
}
GOOD = {
    "id": "usr_1",
    "username": "ann",
    "name": "",
    "email": "ann@example.com",
    "emailVerified": True,
    "roles": ["user"],
    "permissions": [],
    "session": SESSION,
}
BAD: dict[str, bytes] = {
    "nothing": b"",
    "a page": b"<html>",
    "a list": b"[]",
    "null": b"null",
    "a member twice": b'{"id": "usr_2", ' + httpx2.Response(200, json=GOOD).content[1:],
    **{
        f"no {name}": httpx2.Response(
            200, json={k: v for k, v in GOOD.items() if k != name}
        ).content
        for name in GOOD
    },
    **{
        f"{name} is {value!r}": httpx2.Response(200, json=GOOD | {name: value}).content
        for name, value in [
            ("id", "usr_2"),
            ("id", ["usr_1"]),
            ("session", SESSION | {"id": "ses_2"}),
            ("session", SESSION | {"expiresAt": 7}),
            ("session", SESSION | {"expiresAt": "2026-05-05T12:00:00"}),
            ("session", SESSION | {"expiresAt": "0001-01-01T00:00:00+23:00"}),
            ("session", SESSION | {"expiresAt": "soon"}),
            ("session", SESSION | {"authenticatedAt": None}),
            ("session", "ses_1"),
            ("username", None),
            ("name", 7),
            ("email", ["ann@example.com"]),
            ("emailVerified", "yes"),
            ("emailVerified", 1),
            ("roles", "admin"),
            ("roles", {"admin": True}),
            ("roles", [["admin"]]),
            ("permissions", None),
        ]
    },
}


@pytest.fixture
async def near(issuer: LittleServer, clock: FakeClock, key: Key) -> AsyncIterator[Verifier]:
    """Return a verifier whose issuer answers as a test says, and publishes a key."""
    issuer.publish(key.jwk)
    async with Verifier(issuer.address, clock=clock) as verifier:
        yield verifier


async def test_an_answer_is_about_whoever_the_token_names(
    issuer: LittleServer, near: Verifier, key: Key, clock: FakeClock
) -> None:
    issuer.say(ME, httpx2.Response(200, json=GOOD | {"more": 1}).content)
    token = key.sign(issuer.address, clock)

    assert (await near.check(token)).email_verified
    assert f"Authorization: Bearer {token}" in issuer.headers[-1]
    assert "Authorization" not in issuer.headers[0]


@pytest.mark.parametrize("name", BAD)
async def test_an_answer_that_is_malformed_or_about_somebody_else_lets_nobody_in(
    issuer: LittleServer, near: Verifier, key: Key, clock: FakeClock, name: str
) -> None:
    issuer.say(ME, BAD[name])

    await refused(near, key.sign(issuer.address, clock), IssuerUnavailable)


@pytest.mark.parametrize("status", [201, 204, 302, 307, 403, 404, 429, 500, 503])
async def test_only_200_says_yes_and_only_401_says_no(
    issuer: LittleServer, near: Verifier, key: Key, clock: FakeClock, status: int
) -> None:
    body = httpx2.Response(200, json=GOOD).content
    issuer.say(ME, body, f"Location: {issuer.address}/elsewhere", status=status)
    token = key.sign(issuer.address, clock)

    await refused(near, token, IssuerUnavailable)
    issuer.say(ME, b"", status=401)
    await refused(near, token)
    assert "/elsewhere" not in issuer.asked


async def test_while_the_server_is_away_nobody_is_let_in_once_the_answer_is_old(
    issuer: LittleServer, near: Verifier, key: Key, clock: FakeClock
) -> None:
    issuer.say(ME, httpx2.Response(200, json=GOOD).content)
    token = key.sign(issuer.address, clock)
    await near.check(token)
    await issuer.stop()

    clock.advance(SECOND - MILLISECOND)
    await near.check(token)
    clock.advance(MILLISECOND)
    for _ in range(50):
        why = await refused(near, token, IssuerUnavailable)
    assert (why.code, why.retry_after) == ("issuer_unavailable", 1)

    await issuer.start()
    clock.advance(SECOND)
    await near.check(token)


async def test_the_log_says_what_went_wrong(
    issuer: LittleServer,
    near: Verifier,
    key: Key,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = key.sign(issuer.address, clock)
    issuer.say(ME, b"", status=500)
    await refused(near, token, IssuerUnavailable)
    issuer.say(ME, b" " * 70_000)
    await refused(near, token, IssuerUnavailable)
    await issuer.stop()
    for _ in range(9):
        await refused(near, token, IssuerUnavailable)

    me = f"{issuer.address}{ME}"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"An answer of {me}: the answer has the status 500",
        f"An answer of {me} is too long.",
        f"No answer from {me}: All connection attempts failed",
    ]


async def test_while_the_server_says_nothing_one_caller_a_second_waits_for_it(
    issuer: LittleServer,
    near: Verifier,
    key: Key,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer.say(ME, httpx2.Response(200, json=GOOD).content)
    await near.check(key.sign(issuer.address, clock))
    monkeypatch.setattr("gatelodge.client.issuer.MAX_SECONDS", 0.2)
    issuer.answers[ME] = silent
    issuer.asked.clear()

    for _ in range(50):
        await refused(near, key.sign(issuer.address, clock), IssuerUnavailable)
    assert issuer.asked == [ME]
    clock.advance(SECOND)
    await refused(near, key.sign(issuer.address, clock), IssuerUnavailable)
    assert issuer.asked == [ME] * 2


async def test_a_connection_that_was_lost_is_tried_once_more(
    issuer: LittleServer, near: Verifier, key: Key, clock: FakeClock
) -> None:
    """A server that restarts closes the connections that it kept."""
    good = answer(httpx2.Response(200, json=GOOD).content)
    lost = 1

    async def write(writer: asyncio.StreamWriter) -> None:
        if issuer.asked.count(ME) > lost:
            await good(writer)

    issuer.answers[ME] = write
    await near.check(key.sign(issuer.address, clock))
    assert issuer.asked == [KEYS, ME, ME]

    lost = 5
    await refused(near, key.sign(issuer.address, clock), IssuerUnavailable)
    assert issuer.asked == [KEYS] + [ME] * 4


async def silent(writer: asyncio.StreamWriter) -> None:
    """Write nothing, for ever."""
    await asyncio.Event().wait()


async def test_a_cookie_of_the_server_is_not_sent_with_somebody_elses_token(
    issuer: LittleServer, near: Verifier, key: Key, clock: FakeClock
) -> None:
    issuer.say(ME, httpx2.Response(200, json=GOOD).content, "Set-Cookie: sid=anns; Path=/")
    await near.check(key.sign(issuer.address, clock))
    await near.check(key.sign(issuer.address, clock))

    assert issuer.asked == [KEYS, ME, ME]
    assert not any("cookie" in head.lower() for head in issuer.headers)


async def test_no_refusal_and_no_log_line_contains_the_token(
    issuer: LittleServer,
    near: Verifier,
    key: Key,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "gatelodge")
    token = key.sign(issuer.address, clock)
    issuer.say(ME, token.encode(), status=500)
    told = [await refused(near, token, IssuerUnavailable)]
    told.append(await refused(near, token[:-3] + "AAA"))
    issuer.say(ME, b"", status=401)
    told.append(await refused(near, token))

    for refusal in told:
        seen: BaseException | None = refusal
        while seen is not None:
            assert token[:-3] not in f"{seen} {seen!r}"
            seen = seen.__cause__
    assert token[:-3] not in caplog.text
    assert token not in repr(vars(near))


# What it costs


async def test_the_signature_of_a_token_is_verified_once(
    ann: Person, beside: Beside, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0
    verifies = VerificationKey.verifies

    def counted(key: VerificationKey, message: bytes, signature: bytes) -> bool:
        nonlocal times
        times += 1
        return verifies(key, message, signature)

    verifier, offline = beside(), beside(None)
    monkeypatch.setattr(VerificationKey, "verifies", counted)
    for _ in range(500):
        await offline.check(ann.token)
        clock.advance(SECOND)
    assert times == 1
    async with asyncio.timeout(10):
        clock.instant -= 500 * SECOND
        for _ in range(10):
            await verifier.check(ann.token)
            clock.advance(SECOND)
    assert times == 3  # once for each verifier, and once by the server itself


def test_memory_is_bounded_and_drops_what_was_not_used_for_longest() -> None:
    memory = Memory()
    claims = Claims(UserId("usr_1"), SessionId("ses_1"), (), 0, 1, "", "", "", "", "")
    digests = [number.to_bytes(32, "big") for number in range(MAX_TOKENS + 1)]

    for digest in digests:
        memory.put(digest, Known(claims, 1, 1000, None, 0))
        memory.find(digests[0])

    assert len(memory) == MAX_TOKENS
    assert memory.find(digests[0]) is not None
    assert memory.find(digests[1]) is None


# Several event loops


def test_one_verifier_serves_one_event_loop_after_the_other(clock: FakeClock) -> None:
    """As in tests, and in workers that call `asyncio.run` for each job."""
    server, key = LittleServer(), Key("key_1")
    server.publish(key.jwk)
    server.say(ME, httpx2.Response(200, json=GOOD).content)
    verifiers: dict[str, Verifier] = {}

    async def run() -> str:
        await server.start()
        verifier = verifiers.setdefault(server.address, Verifier(server.address, clock=clock))
        clock.advance(4 * MINUTE)  # the keys are fetched in the background, or not in time
        user = await verifier.check(key.sign(server.address, clock))
        await server.stop()
        return user.username

    assert [asyncio.run(run()) for _ in range(4)] == ["ann"] * 4
    assert server.asked.count(ME) == 4
    assert len(verifiers) == 1


async def test_the_end_in_another_event_loop_leaves_what_goes_on_in_this_one(
    issuer: LittleServer, near: Verifier, key: Key, clock: FakeClock
) -> None:
    release = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await answer(httpx2.Response(200, json=GOOD).content)(writer)

    issuer.answers[ME] = late
    checking = asyncio.create_task(near.check(key.sign(issuer.address, clock)))
    while ME not in issuer.asked:
        issuer.is_asked.clear()
        await issuer.is_asked.wait()

    await asyncio.to_thread(asyncio.run, near.aclose())
    release.set()

    assert (await checking).username == "ann"
    assert issuer.asked == [KEYS, ME]  # not once more over another connection


async def test_the_end_is_also_that_of_work_which_began_before_other_work_of_its_key() -> None:
    flights: Flights[bool] = Flights()
    first, second = (flights.start("key", asyncio.Event().wait, at) for at in (0, 1))

    await flights.end()

    assert first.task.cancelled()
    assert second.task.cancelled()


def test_work_of_an_event_loop_that_was_left_is_not_waited_for_in_the_next() -> None:
    """As in tests that give each test an event loop, and end it without waiting."""
    flights: Flights[bool] = Flights()
    left = asyncio.new_event_loop()

    async def begin() -> None:
        for key in ("one", "other"):
            flights.start(key, asyncio.Event().wait, 0)

    async def done() -> bool:
        return True

    async def go_on() -> None:
        assert flights.find("one") is None
        assert await flights.start("other", done, 0).outcome()
        assert flights.find("one") is None

    left.run_until_complete(begin())
    asyncio.run(go_on())

    left.run_until_complete(end(*asyncio.all_tasks(left)))
    left.close()
