"""An application sees who acts in a user's place, and lets them in no longer than they may."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI, WebSocket

from gatelodge.audit import COMMAND, Actor
from gatelodge.data_folder import DATABASE
from gatelodge.embedded.watch import SIGNED_OUT
from gatelodge.fastapi import CurrentUser, Gatelodge, MaybeUser, admit_by_message, public, require
from gatelodge.methods import BY_PASSWORD, with_second_factor
from tests.contracts.builders import an_event
from tests.embedded.applications import BASE, Running, Socket, cookie_of, running
from tests.gate.houses import Device, new_device
from tests.gate.test_impersonation import SUPPORT, begin, device_of
from tests.support.databases import migrated
from tests.support.people import HERE

OURS = {"Origin": BASE}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    """Yield an application with routes of several kinds, which runs."""
    auth = Gatelodge(data_dir=migrated(tmp_path / "data" / DATABASE).parent)
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @app.get("/who")
    async def who(user: CurrentUser) -> dict[str, object]:
        return {
            "user": user.subject,
            "impersonator": user.impersonator,
            "proved": user.authenticated_at,
            "aal": user.aal,
        }

    @app.get("/maybe")
    async def maybe(user: MaybeUser) -> str | None:
        return user and user.impersonator

    @app.post("/notes")
    async def write(user: CurrentUser) -> str:
        return user.username

    fresh = {"fresh": timedelta(days=400)}
    for path, asked in {"/fresh": fresh, "/sure": {"aal": 2}, "/pwd": {"methods": "pwd"}}.items():
        app.get(path, dependencies=[require(**asked)])(lambda: "in")

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        async with user.watch():
            await websocket.send_text(str(user.impersonator))
            async for _ in websocket.iter_text():
                pass

    @app.websocket("/later", dependencies=[public])
    async def later(websocket: WebSocket) -> None:
        user = await admit_by_message(websocket)
        async with user.watch():
            await websocket.send_text(str(user.impersonator))
            async for _ in websocket.iter_text():
                pass

    async with running(app, auth) as site:
        yield site


async def scene(site: Running) -> tuple[Device, Device, Device]:
    """Return Eve's own session, Bob's, and the one in which she sees what he sees."""
    house = site.house
    await house.stores.roles.ensure([SUPPORT])
    proved = with_second_factor(BY_PASSWORD, ("otp",))
    eve = await new_device(house, None, SUPPORT.name, methods=proved)
    bob = await new_device(house)
    return eve, bob, device_of(await begin(house, eve, bob))


async def test_a_route_sees_who_acts(site: Running) -> None:
    """By header and by cookie, from the database and from memory."""
    eve, bob, viewed = await scene(site)
    for headers in (viewed.headers, cookie_of(viewed)) * 2:
        told = (await site.client.get("/who", headers=headers)).json()
        assert told == {
            "user": bob.user.id,
            "impersonator": eve.user.id,
            "proved": None,
            "aal": 1,
        }
        assert (await site.client.get("/maybe", headers=headers)).json() == eve.user.id
    told = (await site.client.get("/who", headers=bob.headers)).json()
    assert (told["impersonator"], told["user"]) == (None, bob.user.id)
    assert told["proved"] is not None


async def test_the_application_decides_what_may_be_changed(site: Running) -> None:
    """What asks for a proof is closed: nobody has proved to be Bob."""
    _, bob, viewed = await scene(site)
    answer = await site.client.post("/notes", headers=viewed.headers)
    assert answer.json() == bob.user.username
    for path in ("/fresh", "/sure", "/pwd"):
        answer = await site.client.get(path, headers=viewed.headers)
        assert answer.status_code == 401, path
        assert answer.json()["detail"]["code"] == "insufficient_user_authentication"
    assert (await site.client.get("/fresh", headers=bob.headers)).status_code == 200


ENDS: dict[str, Callable[[Running, Device, Device, Device], object]] = {
    "she loses the role": lambda site, eve, bob, viewed: site.house.accounts.withdraw(
        eve.user, SUPPORT.name, COMMAND
    ),
    "the role loses the permission": lambda site, eve, bob, viewed: site.house.roles.forbid(
        SUPPORT.name, "users:impersonate", COMMAND
    ),
    "she signs out": lambda site, eve, bob, viewed: site.house.sessions.sign_out(
        eve.session.id, Actor(eve.user.id, HERE)
    ),
    "she is disabled": lambda site, eve, bob, viewed: site.house.stores.users.disable(
        eve.user.id, site.house.clock.now(), an_event()
    ),
    "Bob ends it": lambda site, eve, bob, viewed: site.house.sessions.end_own(
        bob.user, viewed.session.id, HERE
    ),
    "Bob is a moderator": lambda site, eve, bob, viewed: site.house.accounts.grant(
        bob.user, "moderator", COMMAND
    ),
}


@pytest.mark.parametrize("path", ["/live", "/later"])
@pytest.mark.parametrize("what", ENDS)
async def test_what_stays_open_ends_when_either_loses_what_it_needs(
    site: Running, what: str, path: str
) -> None:
    """A WebSocket is not asked again: it is told."""
    eve, bob, viewed = await scene(site)
    async with Socket(site.app, path, viewed.headers | OURS) as socket:
        if path == "/later":
            await socket.say(viewed.token)
        assert await socket.hear() == eve.user.id
        await ENDS[what](site, eve, bob, viewed)  # type: ignore[misc]
        assert await socket.hear() is None
        assert socket.code == SIGNED_OUT


async def test_what_bob_has_open_himself_goes_on(site: Running) -> None:
    eve, bob, _ = await scene(site)
    async with Socket(site.app, "/live", bob.headers) as socket:
        assert await socket.hear() == "None"
        await site.house.sessions.sign_out(eve.session.id, Actor(eve.user.id, HERE))
        async with Socket(site.app, "/live", bob.headers) as other:
            assert await other.hear() == "None"
        assert socket.code is None
