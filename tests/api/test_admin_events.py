"""What happened, as administrators search it."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND, Event
from tests.contracts.builders import an_event
from tests.support.clock import NOON, FakeClock
from tests.support.people import Person, signed_in

LIST = "/api/admin/events"
BLANK = f"{LIST}/blank"


async def kept(house: House, **changes: object) -> Event:
    """Store an event, and return it."""
    event = an_event(**changes)
    await house.stores.events.add(event)
    return event


async def found(root: Person, query: str) -> list[str]:
    """Return the ids of the events that a search finds."""
    answer = await root.get(f"{LIST}?{query}")
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


async def test_an_event_is_told_with_the_names_of_the_users_in_it(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """Of a user who is deleted, only the id is left."""
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    await house.accounts.disable(user, COMMAND)

    [shown] = (await root.get(f"{LIST}?name=user.disabled")).json()["items"]
    assert (shown["actor"], shown["actorName"]) == ("command", None)
    assert (shown["target"], shown["targetName"]) == (ann.answer["id"], "ann")
    assert shown["outcome"] == "success"
    assert shown["userAgent"] == COMMAND.origin.user_agent

    await house.accounts.delete(user, COMMAND)
    [shown] = (await root.get(f"{LIST}?name=user.disabled")).json()["items"]
    assert (shown["target"], shown["targetName"]) == (ann.answer["id"], None)


async def test_events_are_searched_by_who_whom_what_where_and_when(
    house: House, root: Person
) -> None:
    """All conditions hold together."""
    at = NOON + timedelta(days=1)
    one = await kept(house, at=at, actor="usr_a", target="usr_b", name="role.granted")
    two = await kept(house, at=at + timedelta(hours=1), actor="usr_b", target="ses_c")
    three = await kept(house, at=at + timedelta(hours=2), actor="command", address="2001:db8::1")

    assert await found(root, "actor=usr_b") == [two.id]
    assert await found(root, "target=usr_b") == [one.id]
    assert await found(root, "about=usr_b") == [two.id, one.id]
    assert await found(root, "about=usr_b&name=role.granted") == [one.id]
    assert await found(root, "address=2001:db8::1") == [three.id]
    assert await found(root, "since=2026-05-05T13:00:00Z") == [three.id, two.id]
    assert await found(root, "since=2026-05-05T13:00:00Z&until=2026-05-05T16:00:00%2B02:00") == [
        two.id
    ]
    assert await found(root, "actor=usr_b&target=usr_b") == []


async def test_a_search_is_walked_page_by_page(house: House, root: Person) -> None:
    at = NOON + timedelta(days=1)
    events = [
        await kept(house, at=at + timedelta(minutes=n), name="role.granted") for n in range(5)
    ]
    ids, cursor = [], ""
    while cursor is not None:
        page = (await root.get(f"{LIST}?name=role.granted&limit=2{cursor}")).json()
        ids += [each["id"] for each in page["items"]]
        cursor = f"&cursor={page['next']}" if page["next"] else None

    assert ids == [each.id for each in events[::-1]]


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-05-05",
        "since=2026-05-05T13:00:00",
        "until=1777986000",
        "until=9999-12-31T23:59:59-23:59",
        "until=0001-01-01T00:00:00%2B23:59",
        "cursor=!",
        "limit=x",
        "name=a&name=b",
        f"actor={'x' * 257}",
    ],
)
async def test_a_query_that_cannot_be_read_is_refused(root: Person, query: str) -> None:
    assert (await root.get(f"{LIST}?{query}")).status_code == 400


async def test_the_ends_of_time_find_what_there_is(house: House, root: Person) -> None:
    event = await kept(house, name="role.granted")

    assert await found(root, "name=role.granted&since=0001-01-01T00:00:00Z") == [event.id]
    assert await found(root, "name=role.granted&until=9999-12-31T23:59:59Z") == [event.id]
    assert await found(root, "name=role.granted&since=9999-12-31T23:59:59Z") == []


# A deleted user's traces


async def test_a_deleted_users_traces_are_blanked_and_the_events_stay(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann = await signed_in(client, house, "ann")
    body = {"user": ann.answer["id"]}
    refused = await client.post(BLANK, json=body, headers=root.headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "user_not_deleted")

    await house.accounts.delete(await house.accounts.get_by_username("ann"), COMMAND)
    blanked = await client.post(BLANK, json=body, headers=root.headers)

    assert blanked.json()["changed"] == 1
    [opened] = (await root.get(f"{LIST}?actor={ann.answer['id']}")).json()["items"]
    assert (opened["address"], opened["userAgent"]) == ("", "")
    [told] = (await root.get(f"{LIST}?name=events.blanked")).json()["items"]
    assert (told["actor"], told["target"]) == (root.answer["id"], ann.answer["id"])


async def test_blanking_needs_a_late_proof_and_somebody_who_was_there(
    client: httpx2.AsyncClient, clock: FakeClock, root: Person
) -> None:
    nobody = await client.post(BLANK, json={"user": "usr_nobody"}, headers=root.headers)
    assert (nobody.status_code, nobody.json()["code"]) == (404, "user_not_found")
    for body in ({}, {"user": None}, {"user": "x" * 257}, {"user": "usr_a", "all": True}):
        wrong = await client.post(BLANK, json=body, headers=root.headers)
        assert wrong.status_code == 400

    clock.advance(timedelta(minutes=6))
    late = await client.post(BLANK, json={"user": "usr_nobody"}, headers=root.headers)
    assert (late.status_code, late.json()["code"]) == (401, "insufficient_user_authentication")
