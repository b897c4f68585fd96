"""Downloads of all users and events."""

import csv
import io
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.transfer import exports
from gatelodge.web.shell import App, Message, Receive, Scope, Send
from tests.support.clock import FakeClock
from tests.support.people import new_user, signed_in

USERS = "/api/admin/export/users"
EVENTS = "/api/admin/export/events"


@pytest.fixture
def house(house_anywhere: House) -> House:
    """Return the house over each kind of database."""
    return house_anywhere


def lines_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_an_administrator_downloads_all_users(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The oldest first, without hashes; and the rest after the last line that came."""
    ann = await signed_in(client, house, "ann", "admin")
    for name in ("bob", "carol"):
        await new_user(house, name)

    answer = await ann.get(USERS)

    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["content-disposition"] == 'attachment; filename="users.jsonl"'
    users = lines_of(answer)
    assert {each["username"] for each in users} == {"ann", "bob", "carol"}
    assert users == sorted(users, key=lambda user: user["id"])
    assert not [name for name in users[0] if "password" in name]
    rest = await ann.get(f"{USERS}?after={users[0]['id']}")
    assert lines_of(rest) == users[1:]


async def test_a_spreadsheet_gets_a_header_once(client: httpx2.AsyncClient, house: House) -> None:
    ann = await signed_in(client, house, "ann", "admin")

    answer = await ann.get(f"{USERS}?format=csv")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert (row["username"], row["roles"]) == ("ann", "user admin")
    assert (await ann.get(f"{USERS}?format=csv&after={row['id']}")).text == ""


async def test_events_are_downloaded_by_whoever_may_read_them(
    client: httpx2.AsyncClient, house: House
) -> None:
    await house.roles.create("auditor", "", ["events:read"], COMMAND)
    eve = await signed_in(client, house, "eve", "auditor")

    names = [each["name"] for each in lines_of(await eve.get(EVENTS))]

    assert {"session.opened", "role.created"} <= set(names)
    assert (await eve.get(USERS)).status_code == 403


async def test_a_bad_parameter_is_refused(client: httpx2.AsyncClient, house: House) -> None:
    ann = await signed_in(client, house, "ann", "admin")

    for query in ("format=xml", "after=" + 65 * "x", "format=csv&format=csv"):
        assert (await ann.get(f"{USERS}?{query}")).status_code == 400
    head = await ann.client.head(USERS, headers=ann.headers)
    assert (head.status_code, head.content) == (200, b"")


async def take_admin(house: House, user: User) -> None:
    await house.accounts.withdraw(user, "admin", COMMAND)


async def sign_out(house: House, user: User) -> None:
    await house.sessions.sign_out_everywhere(user.id, COMMAND)


async def disable(house: House, user: User) -> None:
    await house.accounts.disable(user, COMMAND)


def interrupted(house: House, meanwhile: Callable[[], Awaitable[None]], bodies: list[bytes]) -> App:
    """Return the application; something happens before the first part of a body is sent."""
    app = create_app(house)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def heard(message: Message) -> None:
            if message["type"] == "http.response.body":
                if not bodies:
                    await meanwhile()
                bodies.append(message["body"])
                assert message["more_body"] or not message["body"]
            await send(message)

        await app(scope, receive, heard)

    return run


@pytest.mark.parametrize("end", [take_admin, sign_out, disable])
async def test_a_download_breaks_off_when_the_right_to_it_ends(
    client: httpx2.AsyncClient,
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[House, User], Awaitable[None]],
) -> None:
    """Nothing more is sent, and what was sent does not look as if it were all."""
    monkeypatch.setattr(exports, "PAGE", 2)
    await signed_in(client, house, "keeper", "admin")
    ann = await signed_in(client, house, "ann", "admin")
    for number in range(8):
        await new_user(house, f"user-{number}")
    user = await house.accounts.get_by_username("ann")
    bodies: list[bytes] = []
    transport = httpx2.ASGITransport(interrupted(house, lambda: end(house, user), bodies))

    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as other:
        with pytest.raises(RuntimeError):
            await other.get(USERS, headers=ann.headers)

    assert len(b"".join(bodies).splitlines()) == 2
    assert bodies[-1]  # not the empty part that ends a whole answer


async def test_a_download_may_last_longer_than_the_access_token(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    ann = await signed_in(client, house, "ann", "admin")
    for number in range(8):
        await new_user(house, f"user-{number}")

    async def wait() -> None:
        clock.advance(house.settings.access_token_life + timedelta(seconds=1))

    transport = httpx2.ASGITransport(interrupted(house, wait, []))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as other:
        answer = await other.get(USERS, headers=ann.headers)

    assert len(lines_of(answer)) == 9
    assert (await ann.get(USERS)).status_code == 401


async def test_a_request_without_a_body_in_its_answer_reads_no_users(house: House) -> None:
    sent = []
    app = create_app(house)

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        async def heard(message: Message) -> None:
            sent.append(message["type"])
            await send(message)

        await app(scope, receive, heard)

    transport = httpx2.ASGITransport(listening)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        ann = await signed_in(client, house, "ann", "admin")
        sent.clear()
        answer = await client.head(USERS, headers=ann.headers)

    assert answer.headers["content-disposition"] == 'attachment; filename="users.jsonl"'
    assert "content-length" not in answer.headers  # that of GET is not known
    assert sent == ["http.response.start", "http.response.body"]
