"""The first administrator is made by a link from the terminal or by a command.

There is no default administrator.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import Engine, event

from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND, Origin
from gatelodge.setup.refusals import InvalidSetupLink
from tests.pages.reader import Reader
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD
from tests.support.server import Server

WANTED = {"username": "admin", "email": "admin@example.com", "password": PASSWORD}
OVER = "This link does not work any more"
LINK = re.compile(r"http://localhost:\d+/setup\?token=([\w-]{43})\b")


async def link(house: House) -> str:
    """Return the path of a new link, as the server prints it."""
    return f"/setup?token={await house.setup.invite()}"


async def test_the_link_makes_an_administrator_who_is_signed_in(
    reader: Reader, house: House
) -> None:
    """A reserved username is allowed here."""
    page = await reader.open(await link(house))
    assert (page.path, page.heading) == ("/setup", "Set up Gatelodge")

    console = await reader.send("/setup", **WANTED)

    assert (console.path, console.heading) == ("/admin/overview", "Overview")
    assert console.notice == "Welcome! You are the administrator of this site."
    assert "/admin" in (await reader.open("/account")).links
    user = await house.accounts.get_by_username("admin")
    assert user.roles == ("user", "admin")
    events = {each.name for each in await newest(house.stores.events, 9)}
    assert {"user.created", "session.opened"} <= events


async def test_the_secret_leaves_the_address_at_once(reader: Reader, house: House) -> None:
    """A cookie for this page takes its place, so no `Referer` and no history has the secret."""
    path = await link(house)
    response = await reader.ask(path)

    assert (response.status_code, response.headers["location"]) == (303, "/setup")
    assert response.headers["referrer-policy"] == "no-referrer"
    (cookie,) = response.headers.get_list("set-cookie")
    assert {"Path=/setup", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


async def test_a_link_that_a_person_with_a_session_follows_does_not_end_the_session(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """The answer renews the session on the way, and its new cookies travel beside the secret.

    Any site can link to `/setup?token=x`. A browser that did not get the new refresh token would
    come back with the old one, and be taken for a thief.
    """
    await reader.sign_up("ann")
    clock.advance(timedelta(minutes=11))  # the access token is over

    response = await reader.ask("/setup?token=x")

    set_there = [line.partition("=")[0] for line in response.headers.get_list("set-cookie")]
    assert sorted(set_there) == ["gatelodge-access", "gatelodge-refresh", "gatelodge-setup"]
    clock.advance(timedelta(minutes=11))  # and the grace of the refresh token as well
    account = await reader.open("/account")
    assert (account.path, account.status) == ("/account", 200)
    events = await newest(house.stores.events, 99)
    assert "refresh_token.reused" not in {each.name for each in events}


async def test_looking_at_the_page_changes_nothing(reader: Reader, house: House) -> None:
    path = await link(house)
    for _ in range(3):
        assert (await reader.open(path)).status == 200
    assert not await house.accounts.has_admin()


async def test_a_link_works_once(reader: Reader, house: House) -> None:
    path = await link(house)
    await reader.open(path)
    await reader.send("/setup", **WANTED)

    again = await reader.open(path)
    assert (again.status, again.heading) == (410, OVER)
    other = WANTED | {"username": "eve", "email": "eve@example.com"}
    assert (await reader.send("/setup", **other)).status == 410
    assert [user.username for user in await house.stores.users.list_users(after=None, limit=9)] == [
        "admin"
    ]


@pytest.mark.real_hash
async def test_of_many_who_use_a_link_together_one_becomes_administrator(
    reader: Reader, house: House
) -> None:
    await reader.open(await link(house))

    async def use(number: int) -> httpx2.Response:
        name = f"admin{number}"
        return await reader.post(
            "/setup",
            WANTED | {"username": name, "email": f"{name}@example.com"},
        )

    answers = await asyncio.gather(*(use(number) for number in range(8)))

    assert sorted(answer.status_code for answer in answers) == [303] + [410] * 7
    users = await house.stores.users.list_users(after=None, limit=99)
    assert [user.roles for user in users] == [("user", "admin")]


async def test_only_the_newest_link_works(reader: Reader, house: House) -> None:
    older, newer = await link(house), await link(house)

    assert (await reader.open(older)).heading == OVER
    assert (await reader.send("/setup", **WANTED)).heading == OVER
    assert (await reader.open(newer)).status == 200


async def test_a_link_ends_after_half_an_hour(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    path = await link(house)
    clock.advance(timedelta(minutes=30) - timedelta(seconds=1))
    assert (await reader.open(path)).status == 200

    clock.advance(timedelta(seconds=1))

    assert (await reader.open(path)).heading == OVER
    assert (await reader.send("/setup", **WANTED)).heading == OVER
    assert not await house.accounts.has_admin()


async def test_a_link_ends_when_there_is_an_administrator(reader: Reader, house: House) -> None:
    path = await link(house)
    await reader.open(path)
    await house.accounts.create(NewUser("root", "root@example.com", PASSWORD, ("admin",)), COMMAND)

    page = await reader.open(path)
    assert page.heading == OVER
    assert "There is an administrator already." in page.text
    assert "each start of the server" not in page.text
    assert (await reader.send("/setup", **WANTED)).heading == OVER
    guessed = await reader.open("/setup?token=guess")
    assert "administrator already" not in guessed.text  # only the link's holder is told
    assert await house.setup.invite() is None


async def test_a_guess_is_refused(reader: Reader, house: House) -> None:
    await house.setup.invite()
    for guess in ("", "x", "A" * 43, "é", "%00", "a b"):
        assert (await reader.open(f"/setup?token={guess}")).heading == OVER


async def test_without_the_link_nobody_is_looked_up(reader: Reader, house: House) -> None:
    """Nobody, a user and the administrator, made just now, cost the same statements."""
    await reader.send("/setup", **WANTED)
    await reader.open(await link(house))
    await reader.send("/setup", **WANTED)
    await house.accounts.create(NewUser("ann", "ann@example.com", PASSWORD), COMMAND)
    stranger = Reader(reader.client)
    stranger.client.cookies.clear()

    asked = {}
    for name in ("nobody", "ann", "admin"):
        with statements() as asked[name]:
            form = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            assert (await stranger.post("/setup", form)).status_code == 410
    assert asked["nobody"] == asked["ann"] == asked["admin"] != []
    assert not any("users" in statement for statement in asked["nobody"])


async def test_the_form_of_a_link_that_was_used_works_for_two_minutes(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """Only for who has the link, and only the same form: a browser may post it twice."""
    secret = await house.setup.invite()
    assert secret is not None
    wanted = NewUser(WANTED["username"], WANTED["email"], WANTED["password"])
    made = await house.setup.make_admin(secret, wanted, Origin())

    assert (await house.setup.make_admin(secret, wanted, Origin())).id == made.id
    for other in (replace(wanted, password="another one"), replace(wanted, username="bob")):
        with pytest.raises(InvalidSetupLink):
            await house.setup.make_admin(secret, other, Origin())
    with pytest.raises(InvalidSetupLink):
        await house.setup.make_admin(secret + "x", wanted, Origin())
    clock.advance(timedelta(minutes=2))
    with pytest.raises(InvalidSetupLink):
        await house.setup.make_admin(secret, wanted, Origin())


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield a list to which each statement about users and links is added."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        if "users" in statement or "one_time_tokens" in statement:
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_mistake_does_not_use_the_link_up(reader: Reader, house: House) -> None:
    await reader.open(await link(house))
    refused = await reader.send("/setup", **WANTED | {"password": "password"})
    assert refused.problem("password")

    assert (await reader.send("/setup", **WANTED)).path == "/admin/overview"


async def test_the_database_has_no_link(house: House) -> None:
    secret = await house.setup.invite()
    assert secret is not None
    kept = await house.stores.one_time_tokens.find("setup", "")

    assert kept is not None
    assert len(kept.digest) == 32
    assert secret.encode() not in house.settings.data_dir.joinpath("gatelodge.db").read_bytes()


def test_the_server_prints_a_link_until_there_is_an_administrator(server: Server) -> None:
    """The link goes to the terminal and not into the log. Each start makes the old link invalid."""
    (first,) = LINK.findall(server.log.read_text())
    server.stop()
    assert all(first not in line for line in _log_lines(server))
    server.start()
    _, second = LINK.findall(server.log.read_text())
    assert first != second
    with httpx2.Client(base_url=server.url, follow_redirects=True) as browser:
        assert OVER in browser.get(f"/setup?token={first}").text
        assert browser.get(f"/setup?token={second}").status_code == 200

    made = server.command(
        "user", "create", "root", "root@example.com", "--admin", "--password-stdin", typed=PASSWORD
    )
    assert made.stdout == "Created root: user, admin.\n"
    server.stop()
    server.start()
    assert len(LINK.findall(server.log.read_text())) == 2


def _log_lines(server: Server) -> list[str]:
    return [line for line in server.log.read_text().split(os.linesep) if line.startswith("{")]
