"""The fast way to refresh and the route in FastAPI give the same answers."""

import json

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.sessions.asgi import PATH, FastRefresh
from gatelodge.web.fast_door import FastDoor
from gatelodge.web.shell import App
from tests.support.people import Person, signed_in

HEADERS: list[dict[str, str]] = [
    {"content-type": "application/json"},
    {"content-type": "application/json; charset=utf-8"},
    {"content-type": "text/plain"},
    {},
    {"content-type": "application/json", "origin": "http://evil.example"},
    {"content-type": "application/json", "sec-fetch-site": "cross-site"},
    {"content-type": "application/json", "referer": "http://localhost:8080/x"},
    {"content-type": "application/json", "cookie": "a=b"},
    {"content-type": "application/json", "cookie": "gatelodge-refresh=rt_x"},
    {"content-type": "application/json", "authorization": "Bearer nonsense"},
    {"content-type": "application/json", "x-access-token": "nonsense", "user-agent": "Zoë"},
]
BODIES: list[bytes] = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"{",
    b'{"refreshToken": null}',
    b'{"refreshToken": 7}',
    b'{"refreshToken": {"$ne": null}}',
    b'{"refreshToken": "x"}',
    b'{"refreshToken": ""}',
    b'{"refreshToken": "rt_' + b"A" * 99 + b'"}',
    b'{"refreshToken": "' + b"A" * 1025 + b'"}',
    b'{"refreshToken": "x", "refreshToken": "y"}',
    b'{"refreshToken": "x", "other": 1}',
    b'{"refreshToken": "\\ud800"}',
    b'{"refreshToken": "\xff"}',
    b" " * 20_000,
]


def twins(house: House) -> tuple[App, App, list[int]]:
    """Return the application, the same without the fast way, and a list.

    The list gets an item for each request that the fast way passes on to FastAPI.
    """
    first, second = create_app(house), create_app(house)
    assert isinstance(first, FastDoor)
    assert isinstance(second, FastDoor)
    short, rest = first._shell._app, second._shell._app
    assert isinstance(short, FastRefresh)
    assert isinstance(rest, FastRefresh)
    second._shell._app = rest._app
    handed_on: list[int] = []
    inner = short._app

    async def counted(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        handed_on.append(1)
        await inner(scope, receive, send)

    short._app = counted
    return first, second, handed_on


async def ask(app: App, body: bytes, headers: dict[str, str], query: str = "") -> httpx2.Response:
    """Send one request."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        encoded = {name: value.encode() for name, value in headers.items()}
        return await client.post(PATH + query, content=body, headers=encoded)


def shown(response: httpx2.Response) -> tuple[object, ...]:
    """Return the parts of an answer that must be equal, in order: all but the request's id."""
    own = response.headers["x-request-id"].encode()
    headers = [(name, value) for name, value in response.headers.raw if name != b"x-request-id"]
    return response.status_code, headers, response.content.replace(own, b"")


@pytest.mark.parametrize("query", ["", "?a=1", "?a=1&a=2"])
async def test_whatever_is_refused_is_refused_alike(house: House, query: str) -> None:
    """Every body is sent with every set of headers."""
    short, long, _ = twins(house)
    for headers in HEADERS:
        for body in BODIES:
            first = await ask(short, body, headers, query)
            second = await ask(long, body, headers, query)
            assert first.status_code >= 400
            assert shown(first) == shown(second), (headers, body[:40])


async def test_a_trade_looks_the_same(house: House, client: httpx2.AsyncClient) -> None:
    """Only the tokens differ, and the fast way answers by itself.

    A stolen token ends the session in the same way.
    """
    short, long, handed_on = twins(house)
    people: list[Person] = [await signed_in(client, house, name) for name in ("ann", "bob")]
    firsts = [str(person.answer["refreshToken"]) for person in people]
    headers = {"content-type": "application/json"}

    async def trade(token: str, app: App) -> httpx2.Response:
        return await ask(app, json.dumps({"refreshToken": token}).encode(), headers)

    answers = [await trade(token, app) for token, app in zip(firsts, (short, long), strict=True)]
    assert not handed_on
    for answer in answers:
        assert answer.status_code == 200
        assert list(answer.json()) == ["accessToken", "refreshToken"]
    assert answers[0].headers.raw[:-1] == answers[1].headers.raw[:-1]
    seconds = [answer.json()["refreshToken"] for answer in answers]
    for token, app in zip(seconds, (short, long), strict=True):
        assert (await trade(token, app)).status_code == 200
    stolen = [await trade(token, app) for token, app in zip(firsts, (short, long), strict=True)]
    assert shown(stolen[0]) == shown(stolen[1])
    assert stolen[0].json()["code"] == "refresh_token_reused"
