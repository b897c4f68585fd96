"""Starlette, and ASGI applications without a framework: who makes a request, and who may."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatelodge.app import House
from gatelodge.asgi import GatelodgeMiddleware, public, require, signed_in, user_of
from gatelodge.asgi.rules import Rules
from gatelodge.audit import COMMAND
from gatelodge.data_folder import DATABASE
from gatelodge.web.shell import App, Message
from tests.client.conftest import Key
from tests.client.test_verifier import GOOD
from tests.embedded.applications import ACCESS, BASE, REFRESH, Socket, cookie_of
from tests.gate.houses import new_device
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.issuer import ME, little_server
from tests.support.people import PASSWORD, sign_in_browser

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Role(StrEnum):
    MODERATOR = "moderator"


RULES = {
    "GET /": public,
    "* /hook": public,
    "GET /me": signed_in,
    "POST /notes": signed_in,
    "DELETE /notes/{number:int}": require(role=Role.MODERATOR),
    "GET /accounts": require(permission="account:manage"),
    "GET /bank": require(role="user", fresh=timedelta(minutes=5)),
    "GET /files/{path:path}": require(role="moderator"),
    "WEBSOCKET /live": require(role=["moderator", "editor"]),
}


async def say(request: Request) -> JSONResponse:
    """Say who makes the request, by each of the ways that applications use."""
    user = user_of(request)
    assert request.user is user
    authenticated = "authenticated" in request.auth.scopes
    assert authenticated is (user is not None)
    return JSONResponse(user.username if user else None)


@requires("account:manage")
async def manage(request: Request) -> PlainTextResponse:
    return PlainTextResponse("managed")


async def live(websocket: WebSocket) -> None:
    user = user_of(websocket)
    await websocket.accept()
    if user is not None:
        async with user.watch():
            async for text in websocket.iter_text():
                await websocket.send_text(f"{user.username}: {text}")


def an_application(**given: Any) -> Starlette:
    """Return an application whose routes answer everybody who gets through."""
    everything = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    return Starlette(
        routes=[
            Route("/", say),
            *(Route(path, say, methods=everything) for path in ("/hook", "/me", "/notes", "/bank")),
            Route("/notes/{number:int}", say, methods=everything),
            Route("/accounts", say),
            Route("/managed", manage),
            Route("/other", say, methods=everything),
            Mount("/files", routes=[Route("/{path:path}", say)]),
            WebSocketRoute("/live", live),
            WebSocketRoute("/open", live),
        ],
        middleware=[Middleware(GatelodgeMiddleware, **({"routes": RULES} | given))],
    )


@dataclass
class Lifespan:
    """What a server does at the start and the end of an application."""

    app: App
    said: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._to_app.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.ensure_future(self.app(scope, self._to_app.get, self._from_app.put))
        await self._hear()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.said == ["lifespan.startup.complete"]:
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            await self._hear()
        await self._task

    async def _hear(self) -> None:
        async with asyncio.timeout(20):
            self.said.append((await self._from_app.get())["type"])


@dataclass
class Site:
    """An application that runs, with the house in it."""

    app: Any
    house: House
    client: httpx2.AsyncClient


@contextlib.asynccontextmanager
async def running(app: Any) -> AsyncIterator[Site]:
    """Run an application."""
    async with Lifespan(app):
        stack = app
        while not isinstance(stack, GatelodgeMiddleware):
            stack = stack.middleware_stack if isinstance(stack, Starlette) else stack.app
        house: Any = getattr(stack.source, "house", None)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield Site(app, house, client)


@pytest.fixture
async def site(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Site]:
    """Yield the application with Gatelodge in the same process."""
    folder = migrated(tmp_path / "data" / DATABASE).parent
    app = an_application(default="signed in", data_dir=folder, clock=clock)
    async with running(app) as site:
        yield site


async def test_people_sign_up_and_use_the_application(site: Site) -> None:
    wanted = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    assert (await site.client.post("/api/auth/signup", json=wanted)).status_code == 200
    del wanted["email"]
    answer = await site.client.post("/api/auth/signin", json=wanted)
    headers = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
    assert (await site.client.get("/me", headers=headers)).json() == "ann"
    assert "Sign in" in (await site.client.get("/sign-in", headers=BROWSER)).text


@pytest.mark.parametrize(
    ("method", "path", "nobody", "user", "moderator"),
    [
        ("GET", "/", 200, 200, 200),
        ("HEAD", "/", 200, 200, 200),
        ("PATCH", "/hook", 200, 200, 200),
        ("GET", "/me", 401, 200, 200),
        ("POST", "/notes", 401, 200, 200),
        ("GET", "/notes", 401, 200, 200),  # not declared
        ("DELETE", "/notes/7", 401, 403, 200),
        ("GET", "/notes/7", 401, 200, 200),
        ("DELETE", "/notes/x", 401, 404, 404),
        ("GET", "/accounts", 401, 200, 200),
        ("GET", "/managed", 401, 200, 200),
        ("GET", "/other", 401, 200, 200),
        ("GET", "/nowhere", 401, 404, 404),
        ("GET", "/files/a/b", 401, 403, 200),
        ("HEAD", "/files/a/b", 401, 403, 200),
        ("GET", "/files", 401, 307, 307),
        ("GET", "//files/a", 401, 403, 404),  # what another framework might read in it
    ],
)
async def test_each_caller_gets_what_the_routes_declare(
    site: Site, method: str, path: str, nobody: int, user: int, moderator: int
) -> None:
    ann, mia = await new_device(site.house), await new_device(site.house, None, "moderator")
    url = httpx2.URL(f"{BASE}/").copy_with(raw_path=path.encode())
    answers = [
        await site.client.request(method, url, headers=headers)
        for headers in ({}, ann.headers, mia.headers)
    ]
    assert [each.status_code for each in answers] == [nobody, user, moderator]
    assert (
        await site.client.request(method, url, headers={"x-access-token": "x"})
    ).status_code in {
        nobody,
        401,
    }


async def test_refusals_are_those_of_the_server(site: Site) -> None:
    answer = await site.client.get("/me")
    assert answer.json() == {"code": "token_missing", "message": "No token provided!"}
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatelodge"'
    assert answer.headers["cache-control"] == "no-store"
    device = await new_device(site.house)
    answer = await site.client.delete("/notes/7", headers=device.headers)
    assert answer.json()["code"] == "forbidden"
    two = {"Authorization": "Bearer a", "x-access-token": "b"}
    assert (await site.client.get("/me", headers=two)).json()["code"] == "token_conflict"
    page = await site.client.get("/me?page=2", headers=BROWSER)
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=/me%3Fpage%3D2")


async def test_where_anybody_may_come_a_bad_token_is_nobody(site: Site) -> None:
    device = await new_device(site.house)
    assert (await site.client.get("/", headers=device.headers)).json() == device.user.username
    for headers in ({}, {"Authorization": "Bearer x"}, {"Cookie": f"{ACCESS}=x"}):
        assert (await site.client.get("/", headers=headers)).json() is None
    elsewhere = cookie_of(device) | {"Origin": "https://evil.example"}
    assert (await site.client.post("/hook", headers=elsewhere)).json() is None


async def test_what_changes_counts_on_the_next_request(site: Site) -> None:
    mia = await new_device(site.house, None, "moderator")
    assert (await site.client.delete("/notes/7", headers=mia.headers)).status_code == 200
    await site.house.accounts.withdraw(mia.user, "moderator", COMMAND)
    assert (await site.client.delete("/notes/7", headers=mia.headers)).status_code == 403


async def test_a_cookie_changes_something_only_from_pages_of_ours(site: Site) -> None:
    device = await new_device(site.house)
    for origin, status in ((BASE, 200), ("https://evil.example", 403)):
        headers = cookie_of(device) | {"Origin": origin}
        answer = await site.client.post("/notes", headers=headers)
        assert answer.status_code == status
    assert answer.json()["code"] == "cross_site_request"


async def test_the_refresh_cookie_renews_the_session(site: Site, clock: FakeClock) -> None:
    await sign_in_browser(site.client, site.house, "ann")
    before = site.client.cookies[REFRESH]
    clock.advance(timedelta(minutes=11))
    answer = await site.client.get("/me")
    assert answer.status_code == 200
    assert site.client.cookies[REFRESH] != before
    assert answer.headers["cache-control"] == "no-store"


async def test_a_fresh_proof_is_asked_for(site: Site, clock: FakeClock) -> None:
    device = await new_device(site.house)
    assert (await site.client.get("/bank", headers=device.headers)).status_code == 200
    clock.advance(timedelta(minutes=6))
    answer = await site.client.get("/bank", headers=device.headers)
    assert (answer.status_code, answer.json()["max_age"]) == (401, 300)


async def test_a_websocket_is_guarded_and_ends_with_the_session(site: Site) -> None:
    ann, mia = await new_device(site.house), await new_device(site.house, None, "moderator")
    for headers in ({}, ann.headers, cookie_of(mia) | {"Origin": "https://evil.example"}):
        async with Socket(site.app, "/live", headers) as refused:
            assert (refused.accepted, refused.code) == (None, 1008)
    async with Socket(site.app, "/open") as refused:
        assert refused.accepted is None
    async with Socket(site.app, "/live", subprotocols=("bearer", mia.token)) as socket:
        assert socket.accepted is not None
        assert socket.accepted["subprotocol"] == "bearer"
    async with Socket(site.app, "/live", cookie_of(mia) | {"Origin": BASE}) as socket:
        await socket.say("hello")
        assert await socket.hear() == f"{mia.user.username}: hello"
        await site.house.accounts.withdraw(mia.user, "moderator", COMMAND)
        assert await socket.hear() is None
        assert socket.code == 4401


async def test_what_is_not_declared_may_be_public(tmp_path: Path, clock: FakeClock) -> None:
    app = an_application(default="public", data_dir=tmp_path / "data", clock=clock)
    async with running(app) as site:
        assert (await site.client.get("/other")).status_code == 200
        assert (await site.client.get("/me")).status_code == 401
        for path in ("/me/", "//me"):  # a framework might take it for /me
            assert (await site.client.get(f"{BASE}{path}")).status_code == 401
        async with Socket(app, "/open") as socket:
            assert socket.accepted is not None
        async with Socket(app, "/live") as socket:
            assert socket.accepted is None


def answer_of(routes: dict[str, Any], method: str, path: str) -> str:
    """Return the name of the rule that holds for a request."""
    scope = {"type": "http", "method": method, "path": path}
    (found,) = Rules(routes, "signed in").conditions(scope)
    return found.rule.name


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH"])
def test_the_first_line_that_fits_decides(method: str) -> None:
    admin = require(role="admin")
    routes = {"* /x": admin, f"{method} /{{rest:path}}": public, f"{method} /x": public}
    assert answer_of(routes, method, "/x") == "role admin"
    assert answer_of(routes, method, "/y") == "anybody"
    assert answer_of({f"{method} /x": public, "* /x": admin}, method, "/x") == "anybody"
    assert answer_of({f"{method} /x": public, "* /x": admin}, "DELETE", "/x") == "role admin"
    assert answer_of(routes, method.lower(), "/y") == "anybody"
    for other in (method, "WEBSOCKET"):
        assert answer_of({"WEBSOCKET /x": public}, other, "/x") == "signed in"


async def test_below_a_path_the_routes_are_those_of_the_application(
    tmp_path: Path, clock: FakeClock
) -> None:
    app = an_application(default="public", data_dir=tmp_path / "data", clock=clock)
    async with running(app) as site:
        transport = httpx2.ASGITransport(app=app, root_path="/shop")
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            assert (await client.get("/shop/other")).status_code == 200
            assert (await client.get("/shop/me")).status_code == 401
            assert (await client.get("/shopme")).status_code == 401
        assert (await site.client.get("/me")).status_code == 401


async def test_gatelodge_may_have_a_path_of_its_own(tmp_path: Path, clock: FakeClock) -> None:
    app = an_application(
        default="signed in",
        data_dir=tmp_path / "data",
        clock=clock,
        prefix="/auth",
        parts=["pages"],
    )
    async with running(app) as site:
        assert "Sign in" in (await site.client.get("/auth/sign-in", headers=BROWSER)).text
        page = await site.client.get("/me", headers=BROWSER)
        assert page.headers["location"] == "/auth/sign-in?next=/me"
        assert (await site.client.post("/api/auth/signin")).status_code == 401


async def test_a_server_beside_the_application_is_asked(clock: FakeClock) -> None:
    async with little_server() as issuer:
        key = Key("key_1")
        issuer.publish(key.jwk)
        app = an_application(
            issuer=issuer.address,
            default="signed in",
            freshness=timedelta(0),
            clock=clock,
            routes={"GET /": public, "DELETE /notes/{number:int}": require(role="moderator")},
        )
        async with running(app) as site:
            token = key.sign(issuer.address, clock)
            headers = {"Authorization": f"Bearer {token}"}
            for roles, status in ((["user"], 403), (["moderator"], 200)):
                issuer.say(ME, json.dumps(GOOD | {"roles": roles}).encode())
                answer = await site.client.delete("/notes/7", headers=headers)
                assert answer.status_code == status
            assert (await site.client.get("/me", headers=headers)).json() == "ann"
            assert (await site.client.get("/sign-in", headers=BROWSER)).status_code == 401
            async with Socket(app, "/live", subprotocols=("bearer", token)) as socket:
                assert socket.accepted is not None
            await issuer.stop()
            answer = await site.client.get("/me", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
            assert (await site.client.get("/", headers=headers)).json() is None


async def test_an_application_without_a_framework(tmp_path: Path, clock: FakeClock) -> None:
    """It knows nothing of lifespans, and fails when it hears of one."""

    async def hello(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await JSONResponse(scope["user"].subject)(scope, receive, send)

    app = GatelodgeMiddleware(hello, default="signed in", data_dir=tmp_path / "data", clock=clock)
    for _ in range(2):
        async with running(app) as site:
            device = await new_device(site.house)
            assert (await site.client.get("/", headers=device.headers)).json() == device.user.id
            assert (await site.client.get("/")).status_code == 401


async def test_a_start_that_fails_is_told_to_the_server(tmp_path: Path) -> None:
    @contextlib.asynccontextmanager
    async def broken(_: Starlette) -> AsyncIterator[None]:
        raise LookupError("the application's own trouble")
        yield

    app = Starlette(lifespan=broken)
    lifespan = Lifespan(GatelodgeMiddleware(app, default="public", data_dir=tmp_path / "data"))
    with pytest.raises(LookupError, match="own trouble"):
        async with lifespan:
            pass
    assert lifespan.said == ["lifespan.startup.failed"]

    (tmp_path / "file").write_text("")
    lifespan = Lifespan(GatelodgeMiddleware(app, default="public", data_dir=tmp_path / "file"))
    with pytest.raises(Exception, match="file"):
        async with lifespan:
            pass
    assert lifespan.said == ["lifespan.startup.failed"]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"default": "private"}, ValueError, 'default= is "public" or "signed in"'),
        ({"routes": {"/me": signed_in}}, ValueError, "is no route"),
        ({"routes": {"get /me": signed_in}}, ValueError, "is no route"),
        ({"routes": {"GET me": signed_in}}, ValueError, "is no route"),
        ({"routes": {"GET /{day:date}": signed_in}}, ValueError, "of the kind 'date'"),
        ({"routes": {"GET /me": "admin"}}, TypeError, "needs a condition"),
        ({"public_ulr": "x"}, TypeError, "Is public_url meant"),
        ({"prefix": "auth"}, ValueError, "must be a path"),
        ({"issuer": "https://id.example.com", "public_url": "x"}, TypeError, "its own settings"),
    ],
)
def test_wrong_use_is_refused_when_it_is_written(
    given: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        GatelodgeMiddleware(Starlette(), **({"default": "public"} | given))


async def test_wrong_use_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="signed_in admits everybody"):
        require()
    with pytest.raises(RuntimeError, match="around the application"):
        user_of({"type": "http"})
    app = GatelodgeMiddleware(Starlette(), default="public")
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        with pytest.raises(RuntimeError, match="has seen no lifespan event"):
            await client.get("/")
