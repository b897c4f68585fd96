"""A sign-up that signs in: with `delivery`, it answers as a sign-in does."""

import asyncio
from collections import Counter

import httpx2
import pytest

from gatelodge.app import House
from tests.api.test_cookies import ACCESS, OURS, REFRESH, cookies_set_by
from tests.support.events import newest
from tests.support.people import PASSWORD, new_user

ANN = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
CROWD = 20


@pytest.fixture
def house(house_anywhere: House) -> House:
    """Return the house over each kind of database."""
    return house_anywhere


async def sign_up(
    client: httpx2.AsyncClient, headers: dict[str, str] | None = None, **asked: object
) -> httpx2.Response:
    """Sign up as Ann, with these fields besides."""
    return await client.post("/api/auth/signup", json=ANN | asked, headers=headers)


async def events_of(house: House) -> list[str]:
    """Return the names of the stored events of users and sessions, in order of name."""
    events = await newest(house.stores.events, 100)
    return sorted(e.name for e in events if e.name.startswith(("user.", "session.")))


async def test_with_bearer_the_answer_is_that_of_a_sign_in(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Its tokens work at once, and the events are those of both acts."""
    answer = await sign_up(client, delivery="bearer")
    tokens = answer.json()
    signed_in = await client.post(
        "/api/auth/signin", json={"username": "ann", "password": PASSWORD, "delivery": "bearer"}
    )

    assert answer.status_code == 200, answer.text
    assert list(tokens) == list(signed_in.json())
    for same in ("id", "username", "email", "roles"):
        assert tokens[same] == signed_in.json()[same]
    assert dict(answer.headers) | {"x-request-id": "", "content-length": ""} == dict(
        signed_in.headers
    ) | {"x-request-id": "", "content-length": ""}
    me = await client.get("/api/auth/me", headers={"x-access-token": tokens["accessToken"]})
    assert me.json()["username"] == "ann"
    renewed = await client.post("/api/auth/refresh", json={"refreshToken": tokens["refreshToken"]})
    assert renewed.status_code == 200
    assert await events_of(house) == [*["session.opened"] * 2, "user.signed_up"]


async def test_with_cookies_no_token_is_in_the_answer(
    client: httpx2.AsyncClient, house: House
) -> None:
    answer = await sign_up(client, OURS, delivery="cookie")

    user = await house.accounts.get_by_username("ann")
    assert answer.json() == {
        "id": user.id,
        "username": "ann",
        "email": "ann@example.com",
        "roles": ["ROLE_USER"],
    }
    assert set(cookies_set_by(answer)) == {ACCESS, REFRESH}
    assert (await client.get("/api/auth/me")).json()["id"] == user.id


async def test_the_session_that_the_browser_had_ends(
    client: httpx2.AsyncClient, house: House
) -> None:
    """As at a sign-in (ASVS 7.2.4), it is replaced, whoever it was of."""
    bob = await new_user(house, "bob")
    body = {"username": "bob", "password": PASSWORD, "delivery": "cookie"}
    await client.post("/api/auth/signin", json=body, headers=OURS)

    assert (await sign_up(client, OURS, delivery="cookie")).status_code == 200

    assert (await client.get("/api/auth/me")).json()["username"] == "ann"
    assert await house.sessions.list_own(bob, before=None, limit=9) == []
    bobs, anns = ["session.opened", "user.created"], ["session.opened", "user.signed_up"]
    assert await events_of(house) == sorted([*bobs, *anns, "session.ended"])


async def test_of_many_at_once_one_is_signed_in(client: httpx2.AsyncClient, house: House) -> None:
    answers = await asyncio.gather(*(sign_up(client, delivery="bearer") for _ in range(CROWD)))

    codes = Counter(answer.json().get("code", answer.status_code) for answer in answers)
    assert codes == {200: 1, "username_taken": CROWD - 1}
    user = await house.accounts.get_by_username("ann")
    assert len(await house.sessions.list_own(user, before=None, limit=99)) == 1


async def test_a_refused_sign_up_opens_nothing(client: httpx2.AsyncClient, house: House) -> None:
    """Neither for somebody new, nor for whoever has the name."""
    ann = await new_user(house, "ann")
    for wrong, code in (
        ({}, "username_taken"),
        ({"username": "bob"}, "email_taken"),
        ({"username": "bob", "email": "b@example.com", "roles": ["admin"]}, "role_not_grantable"),
        ({"password": "short"}, "password_rejected"),
        ({"delivery": "Cookie"}, "invalid_request"),
    ):
        answer = await sign_up(client, OURS, **({"delivery": "cookie"} | wrong))
        assert answer.json()["code"] == code
        assert cookies_set_by(answer) == {}
    assert await house.sessions.list_own(ann, before=None, limit=9) == []
    assert await events_of(house) == ["user.created"]


async def test_a_page_of_another_site_signs_nobody_up(client: httpx2.AsyncClient) -> None:
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for delivery in ("bearer", "cookie"):
        answer = await sign_up(client, evil, delivery=delivery)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
