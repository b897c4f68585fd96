"""An application beside a Gatelodge server: one argument is all that differs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, WebSocket

from gatelodge.fastapi import CurrentUser, Gatelodge, MaybeUser, Notification, require
from tests.embedded.applications import Running, Socket, running
from tests.support.people import PASSWORD
from tests.support.run import free_port
from tests.support.server import Server


@pytest.fixture
async def site(server: Server) -> AsyncIterator[Running]:
    """Yield an application that asks the server at every request."""
    auth = Gatelodge(f"http://localhost:{server.port}", freshness=timedelta(0))
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @app.get("/me")
    async def show(user: CurrentUser) -> list[str | None]:
        return [user.username, user.email, *sorted(user.roles)]

    @app.get("/greeting")
    async def greet(user: MaybeUser) -> str:
        return user.username if user else "nobody"

    @app.delete("/notes", dependencies=[require(role="moderator")])
    async def delete() -> None: ...

    @app.get("/bank", dependencies=[require(fresh=timedelta(minutes=5))])
    async def bank() -> None: ...

    @app.get("/vault", dependencies=[require(fresh=timedelta())])
    async def vault() -> None: ...

    @app.get("/strong", dependencies=[require(aal=2)])
    async def strong() -> None: ...

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        async with user.watch():
            await websocket.send_text(user.username)
            await websocket.receive_text()

    async with running(app, auth) as site:
        yield site


async def newcomer(server: Server) -> dict[str, str]:
    """Sign up and in at the server, and return the header with the token."""
    body = {"username": "ann", "password": PASSWORD}
    async with httpx2.AsyncClient(base_url=server.url) as client:
        await client.post("/api/auth/signup", json=body | {"email": "ann@example.com"})
        token = (await client.post("/api/auth/signin", json=body)).json()["accessToken"]
    return {"Authorization": f"Bearer {token}"}


async def sign_out(server: Server, headers: dict[str, str]) -> None:
    async with httpx2.AsyncClient(base_url=server.url) as client:
        assert (await client.post("/api/auth/signout", json={}, headers=headers)).is_success


async def test_the_server_says_who_it_is(site: Running, server: Server) -> None:
    assert (await site.client.get("/me")).status_code == 401
    headers = await newcomer(server)
    assert (await site.client.get("/me", headers=headers)).json() == [
        *("ann", "ann@example.com", "user"),
    ]
    assert (await site.client.get("/greeting", headers=headers)).json() == "ann"
    assert (await site.client.get("/greeting")).json() == "nobody"
    assert (await site.client.delete("/notes", headers=headers)).status_code == 403
    await asyncio.to_thread(server.command, "user", "grant", "ann", "moderator")
    assert (await site.client.delete("/notes", headers=headers)).status_code == 200
    forged = {"Authorization": "Bearer a.b.c"}
    assert (await site.client.get("/me", headers=forged)).status_code == 401
    page = await site.client.get("/me", headers={"Accept": "text/html"})
    assert page.status_code == 401  # there is no sign-in page here
    assert (await site.client.get("/sign-in")).status_code == 404

    await sign_out(server, headers)
    assert (await site.client.get("/me", headers=headers)).status_code == 401
    assert (await site.client.get("/greeting", headers=headers)).json() == "nobody"


async def test_a_cookie_of_the_server_admits_nobody_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    auth = Gatelodge("https://id.example.com")
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @app.get("/me")
    async def show(user: CurrentUser) -> str:
        return user.username

    async with running(app, auth) as site:
        for sent in ("theme=dark; not-gatelodge-access=x", "a=b; __Secure-gatelodge-access=e.y.J"):
            assert caplog.messages == []
            answer = await site.client.get("/me", headers={"Cookie": sent})
            assert answer.status_code == 401
        await site.client.get("/me", headers={"Cookie": "gatelodge-refresh-9000=x"})
    [told] = caplog.messages
    assert "the cookie __Secure-gatelodge-access and no token in a header" in told
    assert "https://id.example.com" in told
    assert "e.y.J" not in told


async def test_settings_of_cookies_without_effect_are_named_at_the_start(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATELODGE_COOKIE_DOMAIN", "example.com")
    monkeypatch.setenv("GATELODGE_DATA_DIR", "/srv/server-on-the-same-machine")
    auth = Gatelodge("https://id.example.com")
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    async with running(app, auth):
        [told] = caplog.messages
    assert told.startswith("GATELODGE_COOKIE_DOMAIN: no effect in this application.")


async def test_while_the_server_is_away_nobody_is_admitted(site: Running, server: Server) -> None:
    headers = await newcomer(server)
    assert (await site.client.get("/me", headers=headers)).status_code == 200
    await asyncio.to_thread(server.stop)
    for path in ("/me", "/greeting"):
        answer = await site.client.get(path, headers=headers)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0


async def test_a_websocket_ends_when_the_server_says_so(site: Running, server: Server) -> None:
    headers = await newcomer(server)
    token = headers["Authorization"].removeprefix("Bearer ")
    async with Socket(site.app, "/live", subprotocols=("bearer", token)) as socket:
        assert await socket.hear() == "ann"
        await sign_out(server, headers)
        assert await socket.hear() is None
        assert socket.code == 4401


async def test_a_route_may_ask_for_a_fresh_proof(site: Running, server: Server) -> None:
    headers = await newcomer(server)
    assert (await site.client.get("/bank", headers=headers)).status_code == 200
    answer = await site.client.get("/vault", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["detail"]["code"] == "insufficient_user_authentication"
    answer = await site.client.get("/strong", headers=headers)
    assert answer.json()["detail"]["acr_values"] == "aal2"


async def test_the_document_tells_of_the_header_and_of_no_cookie(site: Running) -> None:
    document = (await site.client.get("/openapi.json")).json()
    assert document["paths"]["/me"]["get"]["security"] == [{"gatelodge": []}]
    assert list(document["components"]["securitySchemes"]) == ["gatelodge"]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="has its own settings: public_url"):
        Gatelodge("https://id.example.com", public_url="https://example.com")
    with pytest.raises(ValueError, match="https"):
        Gatelodge("http://id.example.com")
    with pytest.raises(ValueError, match="freshness"):
        Gatelodge("https://id.example.com", freshness=timedelta(seconds=-1))


async def test_the_server_tells_functions_of_the_application_by_a_webhook(server: Server) -> None:
    """From the command that adds it to the function, with a real server at both ends."""
    heard: asyncio.Queue[Notification] = asyncio.Queue()
    port = free_port()
    url = f"http://127.0.0.1:{port}/gatelodge/webhook"
    added = await asyncio.to_thread(
        server.command, *("webhook", "add", "shop", url, "--event", "user.deleted", "--json")
    )
    secret = json.loads(added.stdout)["secret"]
    auth = Gatelodge(f"http://localhost:{server.port}", webhook_secret=secret)
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @auth.on("user.deleted")
    async def forget(what: Notification) -> None:
        await heard.put(what)

    @app.get("/me")
    async def show(user: CurrentUser) -> str:
        return str(user.uuid)

    config = uvicorn.Config(app, port=port, log_config=None)
    beside = uvicorn.Server(config)
    serving = asyncio.create_task(beside.serve())
    try:
        headers = await newcomer(server)
        async with asyncio.timeout(60):
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                me = await answered(client, headers)
            await asyncio.to_thread(server.command, "user", "delete", "ann")
            what = await heard.get()
    finally:
        beside.should_exit = True
        await serving
    assert (what.name, str(what.uuid)) == ("user.deleted", me)


async def answered(client: httpx2.AsyncClient, headers: dict[str, str]) -> str:
    """Return who one is, as soon as the application answers."""
    while True:
        with contextlib.suppress(httpx2.ConnectError):
            return str((await client.get("/me", headers=headers)).json())
        await asyncio.sleep(0.05)
