"""What happens now, as administrators see it: an answer that stays open."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.permissions import EVENTS_READ
from gatelodge.admin import live
from gatelodge.app import House
from gatelodge.audit import COMMAND, EventQuery
from gatelodge.serving import KILL_SECONDS
from tests.contracts.builders import an_event
from tests.support.clock import NOON, FakeClock
from tests.support.people import Person, let_in, new_user, signed_in
from tests.support.server import Server

ADELE = {"username": "adele", "password": "correct horse battery"}
LIVE = "/api/admin/events/live"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look twenty times as often as the server does."""
    monkeypatch.setattr(live, "LOOK_EVERY_SECONDS", 0.05)


def told(answer: httpx2.Response) -> list[dict[str, Any]]:
    """Return the events of an answer that has ended."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [each["id"] for each in events] == [
        line[4:] for line in lines if line.startswith("id: ")
    ]
    return events


async def joined(house: House) -> None:
    """Return when somebody looks on who did not before."""
    before = len(house.event_tail._onlookers)
    async with asyncio.timeout(5):
        while len(house.event_tail._onlookers) == before:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        await house.event_tail._begun.wait()
    await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def looking_on(
    person: Person, house: House, query: str = "", **headers: str
) -> AsyncIterator[asyncio.Task[httpx2.Response]]:
    """Look on for the time of a block, or until something else ends it."""
    path = f"{LIVE}?seconds=20{query}"
    asking = person.client.get(path, headers=person.headers | headers, timeout=30)
    task = asyncio.create_task(asking)
    await joined(house)
    yield task
    if not task.done():
        await asyncio.sleep(0.3)
        await house.event_tail.close()
    await task


async def test_what_happens_is_told_within_a_second_in_its_order(
    house: House, clock: FakeClock, root: Person
) -> None:
    """With the names of users, as in the list. What was there before is not told."""
    await house.stores.events.add(an_event(at=NOON))
    async with looking_on(root, house) as task:
        clock.advance(timedelta(seconds=1))
        user = await new_user(house, "ann")
        clock.advance(timedelta(seconds=1))
        await house.accounts.disable(user, COMMAND)

    events = told(task.result())
    assert [each["name"] for each in events] == ["user.created", "user.disabled"]
    assert {each["targetName"] for each in events} == {"ann"}
    listed = (await root.get("/api/admin/events?limit=2")).json()["items"]
    assert events == listed[::-1]


async def test_only_what_is_wanted_is_told(house: House, root: Person) -> None:
    async with looking_on(root, house, "&name=user.disabled") as task:
        await house.accounts.disable(await new_user(house, "ann"), COMMAND)

    assert [each["name"] for each in told(task.result())] == ["user.disabled"]


async def test_an_event_that_is_stored_late_is_told_too(house: House, root: Person) -> None:
    """Its id is lower than one that was told already; none is told twice."""
    early, late = an_event(at=NOON - timedelta(seconds=20)), an_event(at=NOON)
    async with looking_on(root, house) as task:
        await house.stores.events.add(late)
        await asyncio.sleep(0.2)
        await house.stores.events.add(early)
        await asyncio.sleep(0.2)

    assert [each["id"] for each in told(task.result())] == [late.id, early.id]


async def test_whoever_comes_back_is_told_what_they_have_missed(house: House, root: Person) -> None:
    """Also what was stored since with a lower id. Browsers say in a header what they know."""
    at = NOON + timedelta(minutes=10)
    old, early, known, new = (an_event(at=at + timedelta(seconds=n)) for n in (-300, -20, 0, 5))
    for event in (old, known, new, early):
        await house.stores.events.add(event)

    asked = await root.get(f"{LIVE}?seconds=0&after={known.id}")
    back = await root.client.get(
        f"{LIVE}?seconds=0&after={old.id}", headers=root.headers | {"Last-Event-ID": known.id}
    )

    for answer in (asked, back):
        assert [each["id"] for each in told(answer)] == [early.id, new.id]


@pytest.mark.parametrize("known", ["x", "evt_", "evt_" + "v" * 35 + "g", "usr_a", "%00"])
async def test_an_unknown_last_event_is_no_reason_to_refuse(
    house: House, root: Person, known: str
) -> None:
    await house.stores.events.add(an_event())
    assert (await root.get(f"{LIVE}?seconds=0&after={known}")).status_code == 200


async def test_it_ends_when_the_right_to_see_events_is_taken(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Nothing that happens from then on is told."""
    await house.roles.create("auditor", "Looks on", (), COMMAND)
    await house.roles.permit("auditor", EVENTS_READ, COMMAND)
    olga = await signed_in(client, house, "olga", "auditor")

    async with looking_on(olga, house) as task:
        await house.stores.events.add(an_event(at=NOON))
        await asyncio.sleep(0.2)
        await house.roles.forbid("auditor", EVENTS_READ, COMMAND)
        await asyncio.wait_for(asyncio.shield(task), 2)

    assert [each["name"] for each in told(task.result())] == ["session.opened"]
    assert (await olga.get(f"{LIVE}?seconds=0")).status_code == 403


@pytest.mark.parametrize("how", ["signed out", "disabled", "expired"])
async def test_it_ends_with_the_session_and_the_token(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, how: str
) -> None:
    await signed_in(client, house, "keeper", "admin")
    adele = await signed_in(client, house, "adele", "admin")
    async with looking_on(adele, house) as task:
        if how == "signed out":
            await client.post("/api/auth/signout", headers=adele.headers)
        elif how == "disabled":
            await house.accounts.disable(await house.accounts.get_by_username("adele"), COMMAND)
        else:
            clock.advance(house.settings.access_token_life + timedelta(seconds=1))
        await asyncio.wait_for(asyncio.shield(task), 2)

    assert "user.disabled" not in task.result().text


async def test_a_browser_whose_cookies_were_renewed_looks_on(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Its request carries only a refresh token; the answer sets new cookies."""
    user = await new_user(house, "adele", "admin")
    await let_in(client, house, user)
    del client.cookies["gatelodge-access"]

    task = asyncio.create_task(client.get(f"{LIVE}?seconds=20"))
    await joined(house)
    await asyncio.sleep(0.1)
    assert not task.done()
    await house.sessions.sign_out_everywhere(user.id, COMMAND)
    answer = await asyncio.wait_for(task, 2)

    assert "gatelodge-access" in answer.headers["set-cookie"]
    assert "session.ended_everywhere" not in answer.text


def test_whoever_takes_nothing_costs_no_more_memory_with_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their line may be dead for a quarter of an hour before anybody notices."""
    monkeypatch.setattr(live, "_MOST_AT_ONCE", 10)
    onlooker = live.Onlooker(EventQuery())

    for _ in range(50):
        onlooker.tell([an_event() for _ in range(8)])

    assert onlooker.behind
    assert len(onlooker.take()) == 16


async def test_only_so_many_look_on(
    house: House, root: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes too late is told when to come back; a place is free when somebody leaves."""
    monkeypatch.setattr(live, "MOST_ONLOOKERS", 2)
    first = asyncio.create_task(root.get(f"{LIVE}?seconds=1"))
    async with looking_on(root, house):
        refused = await root.get(f"{LIVE}?seconds=0")
        await first
        let_in_now = await root.get(f"{LIVE}?seconds=0")

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_onlookers")
    assert refused.headers["retry-after"] == "5"
    assert let_in_now.status_code == 200
    assert not house.event_tail._onlookers


async def test_a_request_without_a_body_in_its_answer_ends_at_once(
    house: House, root: Person
) -> None:
    answer = await root.client.head(LIVE, headers=root.headers, timeout=2)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert not house.event_tail._onlookers


# The real server


@pytest.mark.parametrize("query", ["seconds=301", "seconds=-1", "seconds=x", "after=a&after=b"])
async def test_a_query_that_cannot_be_read_is_refused(root: Person, query: str) -> None:
    assert (await root.get(f"{LIVE}?{query}")).status_code == 400


def admin_of(server: Server) -> dict[str, str]:
    """Make an administrator, and return the header that carries their token."""
    names = ("user", "create", ADELE["username"], "adele@example.com", "--role", "admin")
    made = server.command(*names, "--password-stdin", typed=f"{ADELE['password']}\n")
    assert made.returncode == 0
    token = httpx2.post(f"{server.url}/api/auth/signin", json=ADELE).json()["accessToken"]
    return {"Authorization": f"Bearer {token}"}


def test_a_server_that_ends_ends_what_is_open(server: Server) -> None:
    """The clients see a whole answer, and the server waits for nobody."""
    headers = admin_of(server)

    with httpx2.stream("GET", f"{server.url}{LIVE}", headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        httpx2.post(f"{server.url}/api/auth/signin", json=ADELE)
        assert any(line.startswith("data: ") for line in lines if line)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < KILL_SECONDS - 1  # so no worker had to be killed
        assert [*lines] in ([], [""])


def test_a_client_that_hangs_up_leaves_its_place(server: Server) -> None:
    """The places do not run out, although nobody says goodbye."""
    headers = admin_of(server)

    for _ in range(live.MOST_ONLOOKERS + 8):
        with httpx2.stream("GET", f"{server.url}{LIVE}", headers=headers, timeout=20) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_lines()) == "retry: 2000"
