"""What stays open: it ends as soon as its user may not use it any more, and not before."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI, WebSocket
from starlette.responses import StreamingResponse

from gatelodge.audit import COMMAND, Actor
from gatelodge.data_folder import DATABASE
from gatelodge.fastapi import (
    CurrentUser,
    Gatelodge,
    User,
    admit_by_message,
    public,
    require,
)
from gatelodge.methods import Methods
from tests.contracts.builders import NOON
from tests.embedded.applications import BASE, Running, Socket, cookie_of, running
from tests.gate.houses import Device, houses, new_device
from tests.support.databases import migrated
from tests.support.people import HERE

OURS = {"Origin": BASE}


@pytest.fixture
def auth(tmp_path: Path) -> Gatelodge:
    """Return a Gatelodge with the real time: sessions end by themselves in a test."""
    return Gatelodge(data_dir=migrated(tmp_path / "data" / DATABASE).parent)


@pytest.fixture
async def site(auth: Gatelodge) -> AsyncIterator[Running]:
    """Yield an application with two WebSockets, which runs."""
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    app.state.ended = asyncio.Queue()

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None:
        await echo(websocket, user)

    @app.websocket("/moderators", dependencies=[require(role="moderator")])
    async def moderators(websocket: WebSocket, user: CurrentUser) -> None:
        await echo(websocket, user)

    @app.websocket("/later", dependencies=[public])
    async def later(websocket: WebSocket) -> None:
        user = await admit_by_message(
            websocket, role=("user", "moderator"), within=timedelta(seconds=1)
        )
        async with user.watch():
            await websocket.send_text(user.username)
            await websocket.receive_text()

    @app.websocket("/vault", dependencies=[public])
    async def vault(websocket: WebSocket) -> None:
        user = await admit_by_message(websocket, fresh=timedelta(minutes=5), methods="otp", aal=2)
        await websocket.send_text(user.username)

    async def echo(websocket: WebSocket, user: User) -> None:
        await websocket.accept()
        watch = user.watch()
        async with watch:
            await websocket.send_text(user.username)
            async for text in websocket.iter_text():
                await websocket.send_text(text)
        app.state.ended.put_nowait(watch.ended)

    async with running(app, auth) as site:
        yield site


# Who may open one


async def test_a_cookie_opens_one_only_from_pages_of_ours(site: Running) -> None:
    device = await new_device(site.house)
    async with Socket(site.app, "/live", cookie_of(device) | OURS) as socket:
        assert socket.accepted
        assert await socket.hear() == device.user.username
    for origin in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        async with Socket(site.app, "/live", cookie_of(device) | origin) as socket:
            assert (socket.accepted, socket.code) == (None, 1008)


async def test_a_token_opens_one_as_header_or_subprotocol(site: Running) -> None:
    device = await new_device(site.house)
    async with Socket(site.app, "/live", device.headers) as socket:
        assert await socket.hear() == device.user.username
    async with Socket(site.app, "/live", subprotocols=("bearer", device.token)) as socket:
        assert socket.accepted
        assert socket.accepted["subprotocol"] == "bearer"
        assert await socket.hear() == device.user.username
    for offered in (("bearer", "no.such.token"), ("chat", device.token), (device.token,)):
        async with Socket(site.app, "/live", subprotocols=offered) as socket:
            assert (socket.accepted, socket.code) == (None, 1008)


async def test_who_lacks_the_role_opens_none(site: Running) -> None:
    device = await new_device(site.house)
    async with Socket(site.app, "/moderators", device.headers) as socket:
        assert (socket.accepted, socket.code) == (None, 1008)


async def test_the_first_message_may_be_the_token(site: Running) -> None:
    device = await new_device(site.house)
    async with Socket(site.app, "/later") as socket:
        assert socket.accepted
        await socket.say(device.token)
        assert await socket.hear() == device.user.username
        await sign_out(site, device)
        assert await socket.hear() is None
        assert socket.code == 4401


@pytest.mark.parametrize("said", ["no.such.token", "x" * 20_000, "", None])
async def test_another_first_message_opens_nothing(site: Running, said: str | None) -> None:
    async with Socket(site.app, "/later") as socket:
        if said is not None:
            await socket.say(said)
        assert await socket.hear() is None
        assert socket.code == 4401


async def test_a_first_message_of_somebody_without_the_role(site: Running) -> None:
    device = await new_device(site.house)
    await site.house.accounts.withdraw(device.user, "user", COMMAND)
    async with Socket(site.app, "/later") as socket:
        await socket.say(device.token)
        assert await socket.hear() is None
        assert socket.code == 4403


@pytest.mark.parametrize(
    ("methods", "ago", "admitted"),
    [
        (("pwd", "otp", "mfa"), timedelta(0), True),
        (("pwd", "otp", "mfa"), timedelta(minutes=6), False),
        (("pwd", "hwk", "mfa"), timedelta(0), False),
        (("otp",), timedelta(0), False),
    ],
)
async def test_a_first_message_must_say_how_and_when_somebody_has_signed_in(
    site: Running, methods: Methods, ago: timedelta, *, admitted: bool
) -> None:
    user = (await new_device(site.house)).user
    at = site.house.clock.now() - ago
    opened = await site.house.sessions.open(user, methods, "bearer", HERE, authenticated_at=at)
    async with Socket(site.app, "/vault") as socket:
        await socket.say(opened.tokens.access_token)
        assert await socket.hear() == (user.username if admitted else None)
        assert admitted or socket.code == 4401


# How one ends


async def sign_out(site: Running, device: Device) -> None:
    await site.house.sessions.sign_out(device.session.id, Actor(device.user.id, HERE))


async def sign_out_everywhere(site: Running, device: Device) -> None:
    await site.house.sessions.sign_out_everywhere(device.user.id, Actor(device.user.id, HERE))


async def disable(site: Running, device: Device) -> None:
    await site.house.accounts.disable(device.user, COMMAND)


async def delete(site: Running, device: Device) -> None:
    await site.house.accounts.delete(device.user, COMMAND)


async def withdraw(site: Running, device: Device) -> None:
    await site.house.accounts.withdraw(device.user, "moderator", COMMAND)


@pytest.mark.parametrize("act", [sign_out, sign_out_everywhere, disable, delete, withdraw])
async def test_it_ends_with_what_let_it_in(site: Running, act: object) -> None:
    device = await new_device(site.house, None, "moderator")
    other = await new_device(site.house, None, "moderator")
    async with (
        Socket(site.app, "/moderators", device.headers) as socket,
        Socket(site.app, "/moderators", other.headers) as stays,
    ):
        assert await socket.hear() == device.user.username
        assert await stays.hear() == other.user.username
        await act(site, device)  # type: ignore[operator]
        assert await socket.hear() is None
        assert socket.code == 4401
        assert await site.app.state.ended.get() is True
        await stays.say("still here")
        assert await stays.hear() == "still here"


async def test_it_goes_on_through_changes_that_do_not_matter(site: Running) -> None:
    device = await new_device(site.house)
    async with Socket(site.app, "/live", device.headers) as socket:
        assert await socket.hear() == device.user.username
        await site.house.accounts.grant(device.user, "moderator", COMMAND)
        await site.house.roles.permit("user", "notes:write", COMMAND)
        await asyncio.sleep(0.1)
        await socket.say("still here")
        assert await socket.hear() == "still here"
    assert await site.app.state.ended.get() is False


async def test_it_ends_with_the_session_by_time(site: Running) -> None:
    device = await new_device(site.house, life=timedelta(seconds=3))
    async with Socket(site.app, "/live", device.headers) as socket:
        assert await socket.hear() == device.user.username
        assert await socket.hear() is None
        assert socket.code == 4401


async def test_what_changed_before_the_watch_began_counts(site: Running) -> None:
    device = await new_device(site.house)

    @site.app.get("/late")
    async def late(caller: CurrentUser) -> str:
        await sign_out(site, device)
        watch = caller.watch()
        async with watch:
            await asyncio.sleep(5)
        return f"ended: {watch.ended}"

    answer = await site.client.get("/late", headers=device.headers)
    assert answer.json() == "ended: True"


async def test_it_ends_if_nobody_can_watch_any_more(site: Running) -> None:
    """An error that nobody foresaw must not leave the block open for ever."""
    device = await new_device(site.house)
    async with Socket(site.app, "/live", device.headers) as socket:
        assert await socket.hear() == device.user.username
        site.house.__dict__["lookup"] = None
        await site.house.accounts.grant(device.user, "moderator", COMMAND)
        assert await socket.hear() is None
        assert socket.code == 4401
    assert await site.app.state.ended.get() is True


async def test_a_stream_of_events_ends(site: Running) -> None:
    device = await new_device(site.house)
    waiting = asyncio.Event()

    @site.app.get("/events")
    async def events(user: CurrentUser) -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            async with user.watch():
                yield b"data: hello\n\n"
                waiting.set()
                await asyncio.sleep(60)
            yield b"data: you were signed out\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def leave() -> None:
        await waiting.wait()
        await sign_out(site, device)

    leaving = asyncio.create_task(leave())
    answer = await site.client.get("/events", headers=device.headers)
    assert answer.text == "data: hello\n\ndata: you were signed out\n\n"
    await leaving


async def test_a_cancelled_block_stays_cancelled(site: Running) -> None:
    device = await new_device(site.house)
    inside = asyncio.Event()

    @site.app.get("/slow")
    async def slow(user: CurrentUser) -> None:
        async with user.watch():
            inside.set()
            await asyncio.sleep(60)

    asking = asyncio.create_task(site.client.get("/slow", headers=device.headers))
    await inside.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not site.house.watchers._everybody


async def test_an_error_in_the_block_is_raised(site: Running) -> None:
    device = await new_device(site.house)

    @site.app.get("/broken")
    async def broken(user: CurrentUser) -> None:
        async with user.watch():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await site.client.get("/broken", headers=device.headers)


async def test_a_user_of_a_test_watches_nothing() -> None:
    user = User("usr_1", "ann", "", None, False, frozenset(), frozenset(), NOON, "ses_1")
    with pytest.raises(RuntimeError, match="No request has asked"):
        user.watch()


# Another process


async def test_it_ends_by_what_another_process_did(site: Running, tmp_path: Path) -> None:
    device = await new_device(site.house)
    async with (
        houses(tmp_path / "data", "", number=1) as [other],
        Socket(site.app, "/live", device.headers) as socket,
    ):
        assert await socket.hear() == device.user.username
        await other.sessions.sign_out(device.session.id, Actor(device.user.id, HERE))
        assert await socket.hear() is None
        assert socket.code == 4401


@pytest.mark.usefixtures("lost_sockets")
async def test_it_ends_on_another_node(mongodb_address: str, tmp_path: Path) -> None:
    auth = Gatelodge(data_dir=tmp_path / "data", database=mongodb_address)
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        async with user.watch():
            await websocket.send_text(user.username)
            await websocket.receive_text()

    async with running(app, auth) as site:
        device = await new_device(site.house)
        async with (
            houses(tmp_path / "data", mongodb_address, number=1) as [other],
            Socket(app, "/live", device.headers) as socket,
        ):
            assert await socket.hear() == device.user.username
            await other.sessions.sign_out(device.session.id, Actor(device.user.id, HERE))
            assert await socket.hear() is None
            assert socket.code == 4401
