"""Sessions: what their owner can do, and what a thief can do."""

import asyncio
from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.contracts.builders import an_event
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD, Person, signed_in

GRACE = timedelta(seconds=10)


async def refresh(client: httpx2.AsyncClient, token: object) -> httpx2.Response:
    """Trade a refresh token."""
    return await client.post("/api/auth/refresh", json={"refreshToken": token})


def code_of(response: httpx2.Response) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return response.status_code, response.json()["code"]


async def test_a_refresh_token_is_traded_for_the_next(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Each trade brings a working access token and another refresh token."""
    ann = await signed_in(client, house, "ann")
    token = ann.answer["refreshToken"]
    seen = {token}
    for _ in range(5):
        clock.advance(timedelta(minutes=11))
        assert (await ann.get("/api/test/user")).status_code == 401
        answer = (await refresh(client, token)).json()
        assert set(answer) == {"accessToken", "refreshToken"}
        ann.answer |= answer
        token = answer["refreshToken"]
        assert token not in seen
        seen.add(token)
        assert (await ann.get("/api/test/user")).status_code == 200


async def test_parallel_tabs_and_lost_replies_get_the_same_successor(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Within the grace, all of them get the same bytes."""
    ann = await signed_in(client, house, "ann")
    first = ann.answer["refreshToken"]
    answers = await asyncio.gather(*(refresh(client, first) for _ in range(25)))
    successors = {answer.json()["refreshToken"] for answer in answers}
    assert len(successors) == 1
    clock.advance(GRACE - timedelta(milliseconds=1))
    assert (await refresh(client, first)).json()["refreshToken"] in successors
    assert (await refresh(client, successors.pop())).status_code == 200


@pytest.mark.parametrize("trades", [1, 2])
async def test_an_older_token_ends_the_session(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, trades: int
) -> None:
    """A token counts as stolen after its grace, or once the session was traded twice since.

    Then the session ends for its owner and for the thief.
    """
    ann = await signed_in(client, house, "ann")
    stolen = current = ann.answer["refreshToken"]
    for _ in range(trades):
        current = (await refresh(client, current)).json()["refreshToken"]
    if trades == 1:
        clock.advance(GRACE)
    assert code_of(await refresh(client, stolen)) == (401, "refresh_token_reused")
    assert code_of(await refresh(client, current)) == (401, "refresh_token_invalid")
    assert (await ann.get("/api/test/user")).status_code == 401
    events = await newest(house.stores.events, 10)
    assert [event.name for event in events].count("refresh_token.reused") == 1


async def test_sessions_expire_idle_and_for_good(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A session ends after fourteen days without use, and after thirty days in any case."""
    ann = await signed_in(client, house, "ann")
    token = ann.answer["refreshToken"]
    clock.advance(timedelta(days=14))
    assert code_of(await refresh(client, token)) == (401, "refresh_token_expired")

    await ann.sign_in()
    token = ann.answer["refreshToken"]
    for _ in range(3):
        clock.advance(timedelta(days=9))
        token = (await refresh(client, token)).json()["refreshToken"]
    clock.advance(timedelta(days=3))
    assert code_of(await refresh(client, token)) == (401, "refresh_token_expired")
    assert await house.sessions.sweep() >= 1


async def test_a_forged_token_is_refused_before_any_database_read(
    client: httpx2.AsyncClient, house: House
) -> None:
    """While the database is closed, a forged token is still refused."""
    ann = await signed_in(client, house, "ann")
    real = str(ann.answer["refreshToken"])
    forged = real[:40] + ("A" if real[40] != "A" else "B") + real[41:]
    await house.stores.database.stop()
    assert code_of(await refresh(client, forged)) == (401, "refresh_token_invalid")
    assert code_of(await refresh(client, real)) == (503, "store_unavailable")


async def test_other_kinds_of_token_are_not_taken(client: httpx2.AsyncClient, house: House) -> None:
    """A refresh token opens no board. An access token cannot be traded."""
    ann = await signed_in(client, house, "ann")
    assert code_of(await refresh(client, ann.token)) == (401, "refresh_token_invalid")
    headers = {"Authorization": f"Bearer {ann.answer['refreshToken']}"}
    response = await client.get("/api/test/user", headers=headers)
    assert response.status_code == 401
    for wrong in (None, 7, {"$ne": None}, ["x"], True):
        response = await refresh(client, wrong)
        assert response.status_code == (401 if wrong is None else 400)


async def test_thousands_of_refreshes_leave_one_record(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """There is still one session, and no trade adds an event."""
    ann = await signed_in(client, house, "ann")
    before = await newest(house.stores.events, 200)
    token = str(ann.answer["refreshToken"])
    for _ in range(2_000):  # the service is faster than the door, and does the same
        token = (await house.sessions.refresh(token, COMMAND.origin)).tokens.refresh_token
    assert (await refresh(client, token)).status_code == 200
    me = (await ann.get("/api/auth/me")).json()
    sessions = (await ann.get("/api/auth/sessions")).json()["items"]
    assert [session["id"] for session in sessions] == [me["session"]["id"]]
    assert await newest(house.stores.events, 200) == before
    clock.advance(timedelta(days=365))
    assert await house.sessions.sweep() == 1  # there was one record in all, live or not


async def test_signing_out_counts_at_once(client: httpx2.AsyncClient, house: House) -> None:
    """Both tokens are refused at once. Signing out again does no harm."""
    ann = await signed_in(client, house, "ann")
    for _ in range(3):
        response = await client.post("/api/auth/signout", headers=ann.headers)
        assert response.status_code == 200
        assert response.json() == {"message": "You've been signed out!"}
        assert response.headers["clear-site-data"] == '"cookies", "storage"'
    assert (await ann.get("/api/test/user")).status_code == 401
    assert code_of(await refresh(client, ann.answer["refreshToken"])) == (
        401,
        "refresh_token_invalid",
    )


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"nonsense", b'{"everywhere": "yes"}', b"\xff\xfe", b"null"]
)
async def test_signing_out_takes_any_body(
    client: httpx2.AsyncClient, house: House, body: bytes
) -> None:
    """The answer is 200, with or without a token."""
    ann = await signed_in(client, house, "ann")
    for headers in ({}, ann.headers, {"x-access-token": "nonsense"}, {"content-type": "a/b"}):
        response = await client.post("/api/auth/signout", content=body, headers=headers)
        assert response.status_code == 200
    other = Person("ann", client)
    await other.sign_in()
    assert (await other.get("/api/test/user")).status_code == 200


async def test_signing_out_by_the_refresh_token_alone(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """The access token is expired, and only the refresh token is sent."""
    ann = await signed_in(client, house, "ann")
    clock.advance(timedelta(hours=1))
    body = {"refreshToken": ann.answer["refreshToken"]}
    assert (await client.post("/api/auth/signout", json=body)).status_code == 200
    assert code_of(await refresh(client, ann.answer["refreshToken"]))[0] == 401


async def test_signing_out_everywhere(client: httpx2.AsyncClient, house: House) -> None:
    """Every device of this user is signed out, and no device of another user."""
    bob = await signed_in(client, house, "bob")
    ann = await signed_in(client, house, "ann")
    other = Person("ann", client)
    await other.sign_in()
    await client.post("/api/auth/signout", json={"everywhere": True}, headers=ann.headers)
    for person in (ann, other):
        assert (await person.get("/api/test/user")).status_code == 401
        assert (await refresh(client, person.answer["refreshToken"])).status_code == 401
    assert (await bob.get("/api/test/user")).status_code == 200


@pytest.mark.parametrize("trades", [1, 2])
async def test_signing_out_everywhere_takes_no_old_refresh_token(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, trades: int
) -> None:
    """A copied token ends its own session, as at a refresh, and no other one.

    The answer does not show this.
    """
    ann = await signed_in(client, house, "ann")
    other = Person("ann", client)
    await other.sign_in()
    stolen = current = ann.answer["refreshToken"]
    for _ in range(trades):
        current = (await refresh(client, current)).json()["refreshToken"]
    if trades == 1:
        clock.advance(GRACE)

    for _ in range(2):
        body = {"everywhere": True, "refreshToken": stolen}
        assert (await client.post("/api/auth/signout", json=body)).status_code == 200

    assert code_of(await refresh(client, current)) == (401, "refresh_token_invalid")
    assert (await ann.get("/api/test/user")).status_code == 401
    assert (await other.get("/api/test/user")).status_code == 200
    events = await newest(house.stores.events, 10)
    (reused,) = [event for event in events if event.name == "refresh_token.reused"]
    assert reused.address == "127.0.0.1"
    assert not {"session.ended", "session.ended_everywhere"} & {event.name for event in events}


async def test_signing_out_everywhere_by_a_refresh_token_within_its_grace(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The answer to a trade was lost, and the owner signs out with the token from before."""
    ann = await signed_in(client, house, "ann")
    other = Person("ann", client)
    await other.sign_in()
    await refresh(client, ann.answer["refreshToken"])

    body = {"everywhere": True, "refreshToken": ann.answer["refreshToken"]}
    assert (await client.post("/api/auth/signout", json=body)).status_code == 200

    assert (await other.get("/api/test/user")).status_code == 401
    events = [each.name for each in await newest(house.stores.events, 10)]
    assert events.count("session.ended_everywhere") == 1
    assert "refresh_token.reused" not in events


async def test_an_access_token_signs_out_everywhere_whatever_comes_with_it(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The access token alone is enough. An old refresh token beside it is still recorded."""
    ann = await signed_in(client, house, "ann")
    other = Person("ann", client)
    await other.sign_in()
    old = ann.answer["refreshToken"]
    newer = (await refresh(client, old)).json()["refreshToken"]
    await refresh(client, newer)

    body = {"everywhere": True, "refreshToken": old}
    await client.post("/api/auth/signout", json=body, headers=ann.headers)

    assert (await other.get("/api/test/user")).status_code == 401
    events = [each.name for each in await newest(house.stores.events, 10)]
    assert events.count("refresh_token.reused") == 1
    assert events.count("session.ended_everywhere") == 1


async def test_own_devices(client: httpx2.AsyncClient, house: House, clock: FakeClock) -> None:
    """Devices are listed in pages, the newest first, and each can be ended.

    A user cannot even see devices of other users.
    """
    ann = await signed_in(client, house, "ann")
    bob = await signed_in(client, house, "bob")
    phone = Person("ann", client)
    clock.advance(timedelta(minutes=1))
    await phone.sign_in()

    listed = (await phone.get("/api/auth/sessions")).json()
    assert listed["next"] is None
    assert [item["current"] for item in listed["items"]] == [True, False]
    assert set(listed["items"][0]) == {
        *("id", "userAgent", "address", "delivery", "createdAt", "lastUsedAt", "expiresAt"),
        *("current", "impersonated", "reason"),
    }
    page = (await phone.get("/api/auth/sessions?limit=1")).json()
    rest = (await phone.get(f"/api/auth/sessions?limit=1&cursor={page['next']}")).json()
    assert page["items"] + rest["items"] == listed["items"]
    assert rest["next"] is None

    old = listed["items"][1]["id"]
    for stranger in (bob,):
        response = await client.delete(f"/api/auth/sessions/{old}", headers=stranger.headers)
        assert code_of(response) == (404, "session_not_found")
    response = await client.delete(f"/api/auth/sessions/{old}", headers=phone.headers)
    assert response.status_code == 200
    assert (await ann.get("/api/test/user")).status_code == 401
    response = await client.delete(f"/api/auth/sessions/{old}", headers=phone.headers)
    assert code_of(response) == (404, "session_not_found")
    assert (await phone.get("/api/test/user")).status_code == 200


async def test_devices_too_long_unused_are_not_listed(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A device leaves the list in the moment in which it would have to sign in again."""
    ann = await signed_in(client, house, "ann")
    clock.advance(timedelta(days=14) - timedelta(milliseconds=1))
    phone = Person("ann", client)
    await phone.sign_in()
    assert len((await phone.get("/api/auth/sessions")).json()["items"]) == 2
    clock.advance(timedelta(milliseconds=1))
    assert code_of(await refresh(client, ann.answer["refreshToken"]))[1] == "refresh_token_expired"
    (left,) = (await phone.get("/api/auth/sessions")).json()["items"]
    assert left["current"]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=%FF", "cursor=é"])
async def test_a_bad_page_is_refused(client: httpx2.AsyncClient, house: House, query: str) -> None:
    """The refusal has a code, and is never a 500."""
    ann = await signed_in(client, house, "ann")
    response = await ann.get(f"/api/auth/sessions?{query}")
    assert code_of(response) == (400, "invalid_request")


async def test_changing_the_password_ends_every_other_session(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The session that changed it goes on, with its old access token and with the new tokens."""
    ann = await signed_in(client, house, "ann")
    other = Person("ann", client)
    await other.sign_in()
    change = {"currentPassword": "not it at all", "newPassword": "an even better horse"}
    response = await client.post("/api/auth/password", json=change, headers=ann.headers)
    assert code_of(response) == (400, "current_password_wrong")
    both = change | {"newPassword": "12345678"}
    response = await client.post("/api/auth/password", json=both, headers=ann.headers)
    assert code_of(response) == (400, "current_password_wrong")
    change["currentPassword"] = PASSWORD
    weak = change | {"newPassword": "12345678"}
    response = await client.post("/api/auth/password", json=weak, headers=ann.headers)
    assert code_of(response) == (400, "password_rejected")
    assert response.json()["field"] == "newPassword"
    same = change | {"newPassword": PASSWORD}
    response = await client.post("/api/auth/password", json=same, headers=ann.headers)
    assert code_of(response) == (400, "password_rejected")
    assert "current password" in response.json()["message"]
    assert (await other.get("/api/test/user")).status_code == 200

    response = await client.post("/api/auth/password", json=change, headers=ann.headers)
    assert response.status_code == 200
    assert (await other.get("/api/test/user")).status_code == 401
    assert (await refresh(client, other.answer["refreshToken"])).status_code == 401
    assert (await ann.get("/api/test/user")).status_code == 200
    assert (await refresh(client, response.json()["refreshToken"])).status_code == 200

    assert (await ann.sign_in()).status_code == 401
    ann.password = "an even better horse"
    assert (await ann.sign_in()).status_code == 200


async def test_a_password_change_beside_a_refresh_brings_the_current_token(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Another tab trades the refresh token while the password is hashed.

    The owner stays signed in.
    """
    ann = await signed_in(client, house, "ann")
    principal = await house.gate.authenticate(ann.token)
    before = await house.lookup.records_of(principal)
    await refresh(client, ann.answer["refreshToken"])
    changed = await house.sign_in.change_password(
        before, PASSWORD, "an even better horse", COMMAND.origin
    )
    clock.advance(timedelta(minutes=1))
    assert (await refresh(client, changed.tokens.refresh_token)).status_code == 200


async def test_a_user_who_is_gone_is_signed_out(client: httpx2.AsyncClient, house: House) -> None:
    """Once the user is deleted, neither token is accepted."""
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    await house.stores.users.remove(user.id, an_event())
    assert (await ann.get("/api/test/user")).status_code == 401
    assert (await refresh(client, ann.answer["refreshToken"])).status_code == 401


async def test_the_tutorials_refresh_route_speaks_its_words(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Outside the tutorial's profile, this route rotates the token like our own route."""
    ann = await signed_in(client, house, "ann")

    async def asked(body: object) -> tuple[int, str]:
        response = await client.post("/api/auth/refreshtoken", json=body)
        return response.status_code, response.json()["message"]

    required = (403, "Refresh Token is required!")
    assert await asked({}) == required
    assert await asked({"refreshToken": None}) == required
    assert await asked({"refreshToken": ""}) == required
    response = await client.post("/api/auth/refreshtoken")
    assert (response.status_code, response.json()["message"]) == required
    assert await asked({"refreshToken": "x"}) == (403, "Refresh token is not in database!")

    first = ann.answer["refreshToken"]
    response = await client.post("/api/auth/refreshtoken", json={"refreshToken": first})
    assert response.status_code == 200
    assert response.json()["refreshToken"] != first
    clock.advance(timedelta(days=15))
    assert await asked({"refreshToken": response.json()["refreshToken"]}) == (
        403,
        "Refresh token was expired. Please make a new signin request",
    )
