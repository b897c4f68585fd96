"""`auth.on`: functions of the application are told what has happened."""

import asyncio
import json
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI

from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.fastapi import Gatelodge, Notification
from gatelodge.subscriptions.store import Subscription
from gatelodge.webhook_signature import new_secret, signed_headers
from tests.embedded.applications import running
from tests.gate.houses import new_device
from tests.support.people import PASSWORD

PATIENCE_SECONDS = 20


def application(auth: Gatelodge) -> FastAPI:
    """Return an application with Gatelodge inside."""
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    return app


async def test_a_function_is_told_of_what_it_asked_for(auth: Gatelodge) -> None:
    heard: asyncio.Queue[Notification] = asyncio.Queue()

    @auth.on("user.created", "user.deleted")
    async def follow(what: Notification) -> None:
        await heard.put(what)

    async with running(application(auth), auth), asyncio.timeout(PATIENCE_SECONDS):
        ann = await auth.users.create("ann", "ann@example.com", PASSWORD)
        await auth.users.disable(ann.subject)
        await auth.users.delete(ann.subject)
        told = [await heard.get(), await heard.get()]
    assert [(each.name, each.subject) for each in told] == [
        ("user.created", ann.subject),
        ("user.deleted", ann.subject),
    ]
    assert {each.uuid for each in told} == {ann.uuid}
    assert {each.actor for each in told} == {"application"}
    assert told[0].detail == {"roles": "user"}


async def test_what_happened_while_the_application_was_down_is_told_at_its_start(
    tmp_path: Path,
) -> None:
    """A command of the operator may have done it. Functions that are not async may hear of it."""
    heard: asyncio.Queue[Notification] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def forget(what: Notification) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, what)

    def new() -> Gatelodge:
        auth = Gatelodge(data_dir=tmp_path / "data")
        auth.on("user.deleted")(forget)
        return auth

    auth = new()
    async with running(application(auth), auth) as site:
        device = await new_device(site.house)
        house = site.house
    async with house.open():
        assert await house.accounts.delete(device.user, COMMAND)
    assert heard.empty()
    auth = new()
    async with running(application(auth), auth), asyncio.timeout(PATIENCE_SECONDS):
        what = await heard.get()
    assert (what.subject, what.actor) == (device.user.id, "command")


async def own_subscriptions(house: House) -> list[Subscription]:
    """Return the subscriptions of the application: without those of our letters."""
    found = await house.stores.subscriptions.list_subscriptions()
    return [each for each in found if not each.name.startswith("gatelodge.notices.")]


async def test_nobody_is_told_of_a_start_elsewhere(auth: Gatelodge, tmp_path: Path) -> None:
    """Such as that of `gatelodge routes prove`, which makes and deletes users of its own."""

    @auth.on("user.created")
    async def greet(_what: Notification) -> None:
        raise AssertionError

    app = application(auth)
    with auth._source.elsewhere({"data_dir": tmp_path / "other"}):
        async with running(app, auth) as site:
            await auth.users.create("ann", "ann@example.com", PASSWORD)
            assert await own_subscriptions(site.house) == []


async def test_two_versions_of_an_application_run_side_by_side(tmp_path: Path) -> None:
    """The old one says that its function is there, and takes nothing from the new one."""

    async def forget(_what: Notification) -> None: ...

    def version(*events: str) -> Gatelodge:
        auth = Gatelodge(data_dir=tmp_path / "data")
        auth.on(*events)(forget)
        return auth

    old, new = version("user.deleted"), version("user.deleted", "user.disabled")
    async with running(application(new), new) as site:
        async with running(application(old), old) as beside:
            await beside.house.subscriptions.subscribe(old._source.handlers.events)
        found = await own_subscriptions(site.house)
    assert sorted(event for each in found for event in each.events) == [
        "user.deleted",
        "user.disabled",
    ]


async def test_a_function_in_a_thread_is_told_to_its_end(auth: Gatelodge) -> None:
    """Nobody can stop a thread. The application waits for it, and does not tell it again."""
    heard: list[str] = []
    begun, over = threading.Event(), threading.Event()

    @auth.on("user.created")
    def slow(_what: Notification) -> None:
        begun.set()
        over.wait(PATIENCE_SECONDS)
        heard.append("told")

    async with running(application(auth), auth) as site, asyncio.timeout(PATIENCE_SECONDS):
        await auth.users.create("ann", "ann@example.com", PASSWORD)
        await asyncio.to_thread(begun.wait)
        asyncio.get_running_loop().call_later(0.1, over.set)  # the application is ending by then
        house = site.house
    async with house.open():
        (name,) = auth._source.handlers.functions
        assert await house.stores.subscriptions.count_waiting(name) == 0
    assert heard == ["told"]


async def test_wrong_use_says_what_to_do(auth: Gatelodge) -> None:
    async def forget(_what: Notification) -> None: ...

    with pytest.raises(ValueError, match=r"no event 'user\.delete' .* Is user\.deleted meant\?"):
        auth.on("user.delete")(forget)
    with pytest.raises(TypeError, match="Name at least one event"):
        auth.on()(forget)
    auth.on("user.deleted")(forget)
    with pytest.raises(ValueError, match="two functions"):
        auth.on("user.disabled", "user.deleted")(forget)
    auth.on("user.deleted")(partial(forget))
    with pytest.raises(TypeError, match="gatelodge webhook add"):
        Gatelodge("https://id.example.com").on("user.deleted")
    with pytest.raises(TypeError, match="told without webhooks"):
        Gatelodge(webhook_secret=new_secret())
    with pytest.raises(ValueError, match="A webhook secret is"):
        Gatelodge("https://id.example.com", webhook_secret="secret")
    with pytest.raises(ValueError, match="no webhook secret"):
        Gatelodge("https://id.example.com", webhook_secret=[])
    async with running(application(auth), auth):
        with pytest.raises(RuntimeError, match="before the application starts"):
            auth.on("user.enabled")(lambda _what: None)


async def test_an_application_beside_the_server_takes_its_webhooks() -> None:
    """Whatever it cannot take, it refuses; what it cannot do now is sent again."""
    heard: list[Notification] = []
    secret, path = new_secret(), "/id/gatelodge/webhook"
    auth = Gatelodge("https://id.example.com", webhook_secret=[new_secret(), secret])
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app, prefix="/id")

    @auth.on("user.deleted", "user.disabled")
    async def forget(what: Notification) -> None:
        heard.append(what)

    @auth.on("user.disabled")
    def fail(_what: Notification) -> None:
        raise ConnectionError

    async with running(app, auth) as site:

        async def tell(name: str, **changed: str) -> int:
            told = {"type": name, "timestamp": "2026-03-01T12:00:00Z", "data": {"subject": "usr_a"}}
            body = json.dumps(told).encode()
            headers = signed_headers(secret, "evt_1", datetime.now(UTC), body) | changed
            return (await site.client.post(path, content=body, headers=headers)).status_code

        assert await tell("user.deleted") == 204
        assert await tell("user.enabled") == 204
        assert await tell("user.disabled") == 500
        assert await tell("user.deleted", **{"webhook-signature": "v1,forged"}) == 400
        assert (await site.client.post(path)).status_code == 400
        wrong = await site.client.get(path)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        assert wrong.json()["code"] == "method_not_allowed"
        assert (await site.client.post(path, content=b"x" * 65_537)).status_code == 413
    assert [(each.name, each.subject) for each in heard] == [
        ("user.deleted", "usr_a"),
        ("user.disabled", "usr_a"),
    ]
