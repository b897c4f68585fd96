"""The sessions of all users, as administrators see and end them."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.permissions import SESSIONS_END, USERS_READ
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.ids import SESSION_PREFIX, new_id
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import Person, signed_in

LIST = "/api/admin/sessions"


async def helper_with(
    client: httpx2.AsyncClient, house: House, *permissions: str, name: str = "holly"
) -> Person:
    """Return somebody who holds a role that permits this."""
    await house.roles.create("helper", "Helps", (), COMMAND)
    for permission in permissions:
        await house.roles.permit("helper", permission, COMMAND)
    return await signed_in(client, house, name, "helper")


async def test_an_administrator_sees_who_is_signed_in_page_by_page(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, root: Person
) -> None:
    """The newest first, with the names, the address and how they proved who they are."""
    for name in ("ann", "bob", "cid"):
        clock.advance(timedelta(seconds=1))
        await signed_in(client, house, name)

    first = (await root.get(f"{LIST}?limit=3")).json()
    last = (await root.get(f"{LIST}?limit=3&cursor={first['next']}")).json()

    names = [each["username"] for each in (*first["items"], *last["items"])]
    assert names == ["cid", "bob", "ann", "adele"]
    assert last["next"] is None
    assert [each["current"] for each in last["items"]] == [True]
    shown = first["items"][0]
    assert shown["address"] == "127.0.0.1"
    assert shown["methods"] == ["pwd"]
    assert shown["impersonator"] is None
    assert shown["reached"]


async def test_sessions_are_searched_by_user_and_by_address(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann = await signed_in(client, house, "ann")

    mine = (await root.get(f"{LIST}?user={ann.answer['id']}")).json()
    here = (await root.get(f"{LIST}?address=127.0.0.1")).json()
    nowhere = (await root.get(f"{LIST}?address=192.0.2.9&user={ann.answer['id']}")).json()

    assert [each["username"] for each in mine["items"]] == ["ann"]
    assert {each["username"] for each in here["items"]} == {"ann", "adele"}
    assert nowhere == {"items": [], "next": None}


async def test_a_session_that_was_not_used_for_long_is_not_shown(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, root: Person
) -> None:
    await signed_in(client, house, "ann")
    clock.advance(house.settings.session_idle + timedelta(seconds=1))
    again = await signed_in(client, house, "adele2", "admin")

    assert [each["username"] for each in (await again.get(LIST)).json()["items"]] == ["adele2"]
    assert (await root.get(LIST)).status_code == 401


async def test_an_ended_session_is_refused_at_the_next_request(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, root: Person
) -> None:
    """The event says who ended whose session. To end it once more finds none."""
    ann = await signed_in(client, house, "ann")
    [session] = (await root.get(f"{LIST}?user={ann.answer['id']}")).json()["items"]
    clock.advance(timedelta(seconds=1))

    ended = await client.delete(f"{LIST}/{session['id']}", headers=root.headers)

    assert ended.status_code == 200
    assert (await ann.get("/api/auth/me")).status_code == 401
    [event] = await newest(house.stores.events, 1)
    assert (event.name, event.actor, event.target) == (
        "session.ended",
        root.answer["id"],
        session["id"],
    )
    assert event.detail == {"user": ann.answer["id"]}
    again = await client.delete(f"{LIST}/{session['id']}", headers=root.headers)
    assert (again.status_code, again.json()["code"]) == (404, "session_not_found")


async def test_nobody_ends_the_session_of_somebody_who_may_do_more(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """A helper sees the administrator's session, and that it is out of reach."""
    helper = await helper_with(client, house, USERS_READ, SESSIONS_END)
    ann = await signed_in(client, house, "ann")

    seen = {each["username"]: each for each in (await helper.get(LIST)).json()["items"]}
    refused = await client.delete(f"{LIST}/{seen['adele']['id']}", headers=helper.headers)
    ended = await client.delete(f"{LIST}/{seen['ann']['id']}", headers=helper.headers)

    assert {name: each["reached"] for name, each in seen.items()} == {
        "adele": False,
        "ann": True,
        "holly": True,
    }
    assert (refused.status_code, refused.json()["code"]) == (403, "out_of_reach")
    assert (await root.get("/api/auth/me")).status_code == 200
    assert ended.status_code == 200
    assert (await ann.get("/api/auth/me")).status_code == 401


async def test_whoever_may_only_look_ends_nothing(client: httpx2.AsyncClient, house: House) -> None:
    helper = await helper_with(client, house, USERS_READ)
    ann = await signed_in(client, house, "ann")
    [session] = (await helper.get(f"{LIST}?user={ann.answer['id']}")).json()["items"]

    refused = await client.delete(f"{LIST}/{session['id']}", headers=helper.headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await ann.get("/api/auth/me")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{LIST}?cursor=x",
        f"{LIST}?cursor=%F0%9F%98%80",
        f"{LIST}?limit=0",
        f"{LIST}?limit=201",
        f"{LIST}?user=a&user=b",
        f"{LIST}?address={'x' * 257}",
    ],
)
async def test_a_query_that_cannot_be_read_is_refused(root: Person, path: str) -> None:
    assert (await root.get(path)).status_code == 400


async def test_odd_texts_find_nothing(root: Person, clock: FakeClock) -> None:
    for text in ("%00", "%27%3B--", "%24ne", "%ED%A0%80", "%F0%9F%98%80"):
        for field in ("user", "address"):
            answer = await root.get(f"{LIST}?{field}={text}")
            assert answer.json() == {"items": [], "next": None}
    nobody = new_id(SESSION_PREFIX, clock.now())
    assert (await root.send("DELETE", f"{LIST}/{nobody}")).status_code == 404
