"""The page of the sessions of all users."""

from datetime import timedelta

import pytest

from gatelodge.accounts.permissions import SESSIONS_END, USERS_READ
from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.pages.reader import Reader
from tests.support.clock import FakeClock
from tests.support.people import sign_in_browser, signed_in

PAGE = "/admin/sessions"


BUTTON = ".//button[@name='session']"


@pytest.fixture
async def reader(reader: Reader, house: House) -> Reader:
    """Return an administrator with a browser."""
    await sign_in_browser(reader.client, house, "adele", "admin")
    return reader


async def test_who_is_signed_in_is_listed_and_one_session_is_ended(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """One's own session has no button. What was looked for is still looked for after the act."""
    clock.advance(timedelta(minutes=5))
    ann = await signed_in(reader.client, house, "ann")
    page = await reader.open(f"{PAGE}?q=ANN")
    everybody = await reader.open(PAGE)

    assert "2 active" in everybody.text
    assert everybody.text.index("ann") < everybody.text.index("adele")
    assert "This device" in everybody.text
    assert len(everybody.tree.findall(BUTTON)) == 1
    assert "adele" not in page.text
    assert "Unknown device" in page.text

    sent = page.form("/admin/sessions/end") | {"session": page.one(BUTTON).attrib["value"]}
    ended = await reader.send("/admin/sessions/end", **sent)

    assert ended.notice == "The session has ended."
    assert str(ended.response.url).endswith("/admin/sessions?q=ANN")
    assert ended.one(".//*[@class='empty']/h2").text == "Nobody is signed in there"
    assert (await ann.get("/api/auth/me")).status_code == 401
    again = await reader.send("/admin/sessions/end", **sent)
    assert (again.status, again.notice) == (200, "")


async def test_sessions_are_found_by_name_address_and_id(reader: Reader, house: House) -> None:
    ann = await signed_in(reader.client, house, "ann")
    for sought in ("Ann", " ann@EXAMPLE.com ", ann.answer["id"]):
        page = await reader.open(f"{PAGE}?q={sought}")
        assert f"/admin/users/{ann.answer['id']}" in page.links
        assert "adele" not in page.text
    here = await reader.open(f"{PAGE}?q=127.0.0.1")
    assert len(here.tree.findall(".//tbody/tr")) == 2
    for sought in ("192.0.2.1", "[::1]", "bob", "%F0%9F%98%80", "%27"):
        page = await reader.open(f"{PAGE}?q={sought}")
        assert (page.status, "Nobody is signed in there" in page.text) == (200, True)
    for unreadable in ("x" * 255, "%00", "%E2%80%AE"):
        assert (await reader.open(f"{PAGE}?q={unreadable}")).status == 400
    assert (await reader.open(f"{PAGE}?after=!")).status == 400


async def test_long_lists_are_walked_page_by_page(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    user = await house.accounts.get_by_username("adele")
    for number in range(30):
        clock.advance(timedelta(seconds=1))
        await signed_in(reader.client, house, f"user{number}")
    page = await reader.open(PAGE)
    assert len(page.tree.findall(".//tbody/tr")) == 25
    rest = await reader.open(page.one(".//a[@rel='next']").attrib["href"])

    assert len(rest.tree.findall(".//tbody/tr")) == 6
    assert rest.tree.findall(".//a[@rel='next']") == []
    assert f"/admin/users/{user.id}" in rest.links
    assert len(page.response.content) < 30_000


async def test_a_helper_ends_only_what_is_in_reach(reader: Reader, house: House) -> None:
    await house.roles.create("helper", "Helps", (USERS_READ, SESSIONS_END), COMMAND)
    await house.roles.create("looker", "Looks", (USERS_READ,), COMMAND)
    await sign_in_browser(reader.client, house, "lou", "looker")
    looking = await reader.open(PAGE)
    await sign_in_browser(reader.client, house, "holly", "helper")
    helping = await reader.open(PAGE)
    [of_adele] = [
        session.id
        for session in await house.stores.sessions.list_stored(
            (await house.accounts.get_by_username("adele")).id, limit=1
        )
    ]

    refused = await reader.send("/admin/sessions/end", session=of_adele)

    assert looking.tree.findall(BUTTON) == []
    assert len(helping.tree.findall(BUTTON)) == 1
    assert refused.status == 403
    assert "may do more than you may" in refused.text
