"""Many requests with one refresh token reach two workers: one rotation and one new token result."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gatelodge.ids import SessionId
from gatelodge.sessions.store import Session
from gatelodge.stores import Stores
from tests.support.crowd import Crowd
from tests.support.people import PASSWORD, Person
from tests.support.server import Server

CROWD = 100
ROUNDS = 3
TABS = 20
ACCESS_LIFE = 2


@pytest.fixture
def server(tmp_path: Path, address: str) -> Iterator[Server]:
    """Yield the real server with two workers, which share only the database."""
    with Server(
        tmp_path,
        workers=2,
        database=address,
        access_token_life=f"{ACCESS_LIFE}s",
        refresh_grace="60s",
    ) as running:
        yield running


async def test_a_crowd_with_one_token_gets_one_successor(server: Server, stores: Stores) -> None:
    """A hundred at once, and again with what they got: each time the session moves on by one."""
    async with Crowd(server) as client:
        ann = await signed_up(client)
        assert (await ann.sign_in()).status_code == 200
        session_id, token = session_of(ann), str(ann.answer["refreshToken"])
        for round_number in range(1, ROUNDS + 1):
            await warm_up(client)
            successors = await asyncio.gather(*(refreshed(client, token) for _ in range(CROWD)))
            assert len(set(successors)) == 1, f"in round {round_number}"
            assert successors[0] != token
            token = successors[0]
            session = await kept(stores, session_id)
            assert (session.generation, session.revoked_at) == (round_number, None)


async def test_parallel_requests_of_a_browser_renew_its_session_once(
    server: Server, stores: Stores
) -> None:
    """Its access token ran out: every tab is served, and every answer sets the same cookie."""
    async with Crowd(server) as client:
        await signed_up(client)
        cookies = await sign_in_by_cookie(client)
        session_id = await session_of_cookies(client, cookies)
        for round_number in range(1, ROUNDS + 1):
            await asyncio.sleep(ACCESS_LIFE)  # until the access token is expired
            await warm_up(client)
            answers = await asyncio.gather(*(visited(client, cookies, n) for n in range(TABS)))
            assert [answer.status_code for answer in answers] == [200] * TABS
            refresh = refresh_cookie_in(cookies)
            assert len({answer.cookies.get(refresh) for answer in answers}) == 1
            assert answers[0].cookies[refresh] != cookies[refresh]
            cookies = dict(answers[-1].cookies)
            session = await kept(stores, session_id)
            assert (session.generation, session.revoked_at) == (round_number, None)


async def signed_up(client: httpx2.AsyncClient) -> Person:
    """Return a user who has signed up."""
    ann = Person("ann", client)
    assert (await ann.sign_up()).status_code == 200
    return ann


def session_of(person: Person) -> SessionId:
    """Return the id of a user's session, as the access token says, which may have run out."""
    claims = person.token.split(".")[1]
    return SessionId(json.loads(base64.urlsafe_b64decode(claims + "=="))["sid"])


async def session_of_cookies(client: httpx2.AsyncClient, cookies: dict[str, str]) -> SessionId:
    """Return the id of the session that these cookies belong to; they may be renewed."""
    answer = await client.get("/api/auth/me", headers=header_of(cookies))
    return SessionId(answer.json()["session"]["id"])


async def sign_in_by_cookie(client: httpx2.AsyncClient) -> dict[str, str]:
    """Return the cookies that a browser holds after signing in."""
    wanted = {"username": "ann", "password": PASSWORD, "delivery": "cookie"}
    answer = await client.post("/api/auth/signin", json=wanted)
    assert len(answer.cookies) == 3  # the tokens, and the device
    return {name: value for name, value in answer.cookies.items() if "-device-" not in name}


def refresh_cookie_in(cookies: dict[str, str]) -> str:
    """Return the name of the refresh cookie, which ends in the port of the server."""
    (name,) = (name for name in cookies if name.startswith("gatelodge-refresh-"))
    return name


async def refreshed(client: httpx2.AsyncClient, token: str) -> str:
    """Trade a refresh token, and return the next one."""
    answer = await client.post("/api/auth/refresh", json={"refreshToken": token})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["refreshToken"])


async def visited(
    client: httpx2.AsyncClient, cookies: dict[str, str], number: int
) -> httpx2.Response:
    """Ask for a board. Every other tab sends no access cookie, as if the browser had dropped it."""
    refresh = refresh_cookie_in(cookies)
    left = cookies if number % 2 else {refresh: cookies[refresh]}
    return await client.get("/api/test/user", headers=header_of(left))


def header_of(cookies: dict[str, str]) -> dict[str, str]:
    """Return the header with these cookies; the client's own cookies are not used."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


async def kept(stores: Stores, session_id: SessionId) -> Session:
    """Return a session's record, read directly from the database."""
    session = await stores.sessions.find(session_id)
    assert session is not None
    return session


async def warm_up(client: httpx2.AsyncClient) -> None:
    """Open all connections, so that all requests are sent in one instant."""
    await asyncio.gather(*(client.get("/healthz") for _ in range(CROWD)))
