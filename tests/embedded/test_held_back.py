"""Whoever must have a second factor, and has not proved it: nobody to an application inside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gatelodge import asgi
from gatelodge.app import House
from gatelodge.asgi import GatelodgeMiddleware, signed_in, user_of
from gatelodge.audit import COMMAND
from gatelodge.credentials.factors import adding
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.embedded.watch import SIGNED_OUT
from gatelodge.fastapi import (
    CurrentUser,
    Gatelodge,
    MaybeUser,
    User,
    admit_by_message,
    public,
    require,
)
from gatelodge.gate.conditions import condition_for
from gatelodge.methods import BY_PASSWORD, Methods, with_second_factor
from gatelodge.routes.access import Access
from gatelodge.routes.callers import Cast
from gatelodge.routes.prove import prove
from tests.contracts.builders import a_factor
from tests.embedded.applications import BASE, Running, Socket, cookie_of, running
from tests.gate.houses import Device, new_device
from tests.support.clock import FakeClock
from tests.support.people import HERE

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OURS = {"Origin": BASE}
ENROL = (403, "second_factor_enrolment_required")
PROVE = (401, "insufficient_user_authentication")
BY_BOTH = with_second_factor(BY_PASSWORD, ("otp",))


def an_application(auth: Gatelodge) -> FastAPI:
    """Return an application with a route of each kind."""
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.username

    @app.get("/bank", dependencies=[require(fresh=timedelta(minutes=5))])
    async def bank() -> str:
        return "money"

    @app.get("/moderators", dependencies=[require(role="moderator")])
    async def moderators() -> str:
        return "moderators"

    @app.get("/greeting")
    async def greet(user: MaybeUser) -> str:
        return user.username if user else "nobody"

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        await echo(websocket, user)

    @app.websocket("/later", dependencies=[public])
    async def later(websocket: WebSocket) -> None:
        await echo(websocket, await admit_by_message(websocket))

    async def echo(websocket: WebSocket, user: User) -> None:
        async with user.watch():
            await websocket.send_text(user.username)
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    return app


@pytest.fixture
async def site(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Running]:
    """Yield an application whose moderators must have a second factor."""
    auth = Gatelodge(
        data_dir=tmp_path / "data", clock=clock, second_factor_required_for="moderator"
    )
    async with running(an_application(auth), auth) as site:
        yield site


async def grant(site: Running, device: Device) -> None:
    await site.house.accounts.grant(device.user, "moderator", COMMAND)


async def refused(site: Running, path: str, device: Device) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    answer = await site.client.get(path, headers=device.headers)
    return answer.status_code, answer.json()["detail"]["code"]


async def token_by(site: Running, device: Device, methods: Methods) -> str:
    """Return the access token of another session of a user."""
    user = await site.house.stores.users.find(device.user.id)
    assert user is not None
    return (await site.house.sessions.open(user, methods, "bearer", HERE)).tokens.access_token


async def test_every_route_refuses_from_the_next_request_on(site: Running) -> None:
    """A password was enough before the role; with two factors, it is enough after it."""
    device = await new_device(site.house)
    for _ in range(2):  # from the second time on, memory knows the token
        assert (await site.client.get("/me", headers=device.headers)).status_code == 200
        assert (await site.client.get("/greeting", headers=device.headers)).json() != "nobody"
    await grant(site, device)
    for path in ("/me", "/bank", "/moderators", "/me"):
        assert await refused(site, path, device) == ENROL
    assert (await site.client.get("/greeting", headers=device.headers)).json() == "nobody"

    await site.house.stores.factors.change(device.user.id, adding(a_factor(), limit=1))
    for path in ("/me", "/bank", "/moderators"):
        assert await refused(site, path, device) == PROVE
    token = await token_by(site, device, BY_BOTH)
    both = {"Authorization": f"Bearer {token}"}
    for path in ("/me", "/bank", "/moderators"):
        assert (await site.client.get(path, headers=both)).status_code == 200


async def test_a_browser_is_led_to_the_second_factor_and_back(site: Running) -> None:
    device = await new_device(site.house)
    await grant(site, device)
    headers = BROWSER | cookie_of(device)
    answer = await site.client.get("/me?page=2", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/account/authenticator/new?next=/me%3Fpage%3D2",
    )
    await site.house.stores.factors.change(device.user.id, adding(a_factor(), limit=1))
    answer = await site.client.get("/me?page=2", headers=headers)
    assert answer.headers["location"] == "/sign-in/again?next=/me%3Fpage%3D2"


async def test_no_websocket_opens(site: Running) -> None:
    device = await new_device(site.house)
    await grant(site, device)
    opened: tuple[dict[str, Any], ...] = (
        {"headers": device.headers},
        {"headers": cookie_of(device) | OURS},
        {"subprotocols": ("bearer", device.token)},
    )
    for given in opened:
        async with Socket(site.app, "/live", **given) as socket:
            assert (socket.accepted, socket.code) == (None, 1008)
    async with Socket(site.app, "/later") as socket:
        await socket.say(device.token)
        assert await socket.hear() is None
        assert socket.code == SIGNED_OUT
    token = await token_by(site, device, BY_BOTH)
    async with Socket(site.app, "/live", subprotocols=("bearer", token)) as socket:
        assert await socket.hear() == device.user.username


@pytest.mark.parametrize("path", ["/live", "/later"])
async def test_an_open_websocket_ends_when_the_role_is_granted(site: Running, path: str) -> None:
    device = await new_device(site.house)
    headers = device.headers if path == "/live" else {}
    async with Socket(site.app, path, headers) as socket:
        if path == "/later":
            await socket.say(device.token)
        assert await socket.hear() == device.user.username
        await grant(site, device)
        assert await socket.hear() is None
        assert socket.code == SIGNED_OUT


# The middleware for any ASGI application


async def test_the_middleware_refuses_as_well(tmp_path: Path, clock: FakeClock) -> None:
    async def say(request: Request) -> PlainTextResponse:
        user = user_of(request)
        return PlainTextResponse(user.username if user else "nobody")

    app = Starlette(
        routes=[Route("/me", say), Route("/open", say)],
        middleware=[
            Middleware(
                GatelodgeMiddleware,
                default="public",
                routes={"GET /me": signed_in, "GET /bank": asgi.require(role="user")},
                data_dir=tmp_path / "data",
                clock=clock,
                second_factor="required",
            )
        ],
    )
    async with _lifespan(app) as house:
        device = await new_device(house)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            for path in ("/me", "/bank", "/me"):
                answer = await client.get(path, headers=device.headers)
                assert (answer.status_code, answer.json()["code"]) == ENROL
            assert (await client.get("/open", headers=device.headers)).text == "nobody"
            page = await client.get("/me", headers=BROWSER | cookie_of(device))
            assert page.headers["location"] == "/account/authenticator/new?next=/me"


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[Any]:
    """Run an application, and yield the house in it."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    to_app.put_nowait({"type": "lifespan.startup"})
    task = asyncio.ensure_future(app(scope, to_app.get, from_app.put))
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    middleware: Any = app.middleware_stack
    while not isinstance(middleware, GatelodgeMiddleware):
        middleware = middleware.app
    yield middleware.source.house  # type: ignore[attr-defined]
    to_app.put_nowait({"type": "lifespan.shutdown"})
    await task


# The proof of an application's routes


@pytest.mark.parametrize(
    "settings",
    [
        {"second_factor": "required"},
        {"second_factor_required_for": "moderator"},
        {"second_factor_required_for": "admin"},
    ],
)
async def test_the_proof_of_the_routes_knows_it(tmp_path: Path, settings: dict[str, str]) -> None:
    auth = Gatelodge(data_dir=tmp_path / "data", **settings)
    proof = await prove(an_application(auth))
    assert proof.findings == []
    assert proof.calls > 20


async def test_the_proof_calls_somebody_who_is_held_back(house: House) -> None:
    """So it would find a route that lets such a session in."""
    policy = SecondFactorPolicy(roles=frozenset({"moderator"}))
    strict = house.replaced(second_factor_policy=policy)
    moderators = Access.of([condition_for(role="moderator")])
    assert moderators is not None
    cast = await Cast.of(strict, [moderators])
    alone = next(each for each in cast.callers if "password alone" in each.name)
    everything = cast.callers[-1]
    assert alone.held_back
    assert not alone.is_admitted_by(moderators)
    assert everything.is_admitted_by(moderators)
    assert not any(each.held_back for each in cast.callers if each is not alone)
