"""Pages with which an administrator sees the application as a user does, and what the user sees."""

import re
from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.api.test_impersonation import SUPPORT, WHY, make_support
from tests.pages.reader import Page, Reader, text_of
from tests.pages.test_who_may import routes
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import let_in, new_user, sign_in_browser

END = "/account/view-as/end"


@pytest.fixture
async def eve(client: httpx2.AsyncClient, house: House) -> User:
    """Return Eve of the support, whom the reader is signed in as."""
    await make_support(house)
    return await sign_in_browser(client, house, "eve", SUPPORT)


@pytest.fixture
async def bob(house: House) -> User:
    """Return Bob."""
    return await new_user(house, "bob")


def banner_of(page: Page) -> str:
    """Return what stands above everything: who sees the page in whose place. Empty: nothing."""
    return " ".join(text_of(each) for each in page.tree.iterfind(".//section[@class='viewing']"))


async def view_as(reader: Reader, user: User, **fields: str) -> Page:
    """Fill in the form with which one begins to see what a user sees."""
    return await reader.fill_in(f"/admin/users/{user.id}/view-as", **{"reason": WHY} | fields)


@pytest.mark.usefixtures("eve")
async def test_eve_sees_what_bob_sees_and_is_herself_again(
    reader: Reader, bob: User, house: House
) -> None:
    """Each page says it, and each has the way back."""
    asked = await reader.open(f"/admin/users/{bob.id}/view-as")
    assert asked.heading == "View as bob"
    assert banner_of(asked) == ""

    home = await view_as(reader, bob)
    assert home.path == "/"
    assert re.match(
        r"eve sees this as bob does, until 4 May 2026, 12:30:00 UTC\. Reason: Ticket 4711",
        banner_of(home),
    )
    for path in ("/", "/boards/user", "/account", "/sign-out", "/boards/mod", "/nothing-here"):
        page = await reader.open(path)
        assert "eve sees this as bob does" in banner_of(page), path
        assert page.form(END) == {}

    account = await reader.open("/account")
    assert "bob@example.com" in account.text
    assert "/account/password" not in text_of(account.one(".//details[@class='menu']"))
    assert not [each for each in account.links if each.startswith("/admin")]

    back = await reader.send(END)
    assert (back.path, back.notice, banner_of(back)) == ("/", "You are yourself again.", "")
    assert "eve@example.com" in (await reader.open("/account")).text
    assert (await house.stores.users.find(bob.id)) == bob


@pytest.mark.usefixtures("eve")
async def test_a_reason_is_asked_for(reader: Reader, bob: User, house: House) -> None:
    for reason, problem in (
        ("", "Say why: the user can read it."),
        (" ", "Say why: the user can read it."),
        ("x" * 257, "A reason is one line of at most 256 printable characters."),
    ):
        page = await view_as(reader, bob, reason=reason)
        assert page.problem("reason") == problem
        assert page.path == f"/admin/users/{bob.id}/view-as"
    assert await house.stores.sessions.list_stored(bob.id, limit=9) == []


@pytest.mark.usefixtures("eve")
async def test_whom_she_may_not_be_is_said_on_a_page(reader: Reader, house: House) -> None:
    mod = await new_user(house, "mod", "moderator")
    page = await reader.open(f"/admin/users/{mod.id}/view-as")
    assert (page.status, banner_of(page)) == (403, "")
    assert "may do more than you may" in page.text
    assert (await reader.open("/admin/users/usr_nobody/view-as")).status == 404


async def test_an_old_proof_is_asked_for_again(
    reader: Reader, eve: User, bob: User, clock: FakeClock
) -> None:
    clock.advance(timedelta(minutes=6))
    page = await reader.open(f"/admin/users/{bob.id}/view-as")
    assert page.path == "/sign-in/again"


@pytest.mark.usefixtures("eve")
async def test_no_form_of_ours_and_no_page_of_bobs_own_is_open_to_her(
    reader: Reader, bob: User
) -> None:
    """All of them are tried. She is told so on a page that has the way back."""
    await view_as(reader, bob)
    tried = set()
    for route in routes():
        if route.rule.public or (
            route.method == "GET" and route.rule.while_impersonating == "reading"
        ):
            continue
        path = route.path.replace("{user_id}", bob.id).replace("{event_id}", "evt_x")
        answer = await (reader.ask(path) if route.method == "GET" else reader.post(path, {}))
        page = Page(answer)
        assert page.status == 403, path
        assert "Only the user may do that." in page.text, path
        assert "eve sees this as bob does" in banner_of(page), path
        tried.add((route.method, route.path))

    assert {
        ("GET", "/account/authenticator/new"),
        ("GET", "/account/recovery-codes"),
        ("GET", "/account/password"),
        ("GET", "/account/activity"),
        ("GET", "/sign-in/again"),
        ("POST", "/account/sign-out-everywhere"),
        ("POST", "/account/delete"),
        ("POST", "/account/verify-email"),
        ("POST", "/account/browsers/forget"),
        ("GET", "/admin"),
    } <= tried
    assert (await reader.open("/account")).status == 200


async def test_it_ends_under_her_hands_and_she_is_led_back(
    reader: Reader, eve: User, bob: User, house: House
) -> None:
    await view_as(reader, bob)
    await house.accounts.withdraw(eve, SUPPORT, COMMAND)

    page = await reader.open("/boards/user")
    assert page.path == "/sign-in"
    assert banner_of(page).startswith("You do not see this as another user does any more.")
    back = await reader.send(END)
    assert (back.path, back.notice) == ("/", "You are yourself again.")
    assert "eve@example.com" in (await reader.open("/account")).text


@pytest.mark.usefixtures("eve")
async def test_without_her_own_session_she_is_asked_to_sign_in(reader: Reader, bob: User) -> None:
    await view_as(reader, bob)
    reader.client.cookies.delete("gatelodge-parked")
    page = await reader.send(END)
    assert page.path == "/sign-in"
    assert page.notice == "You do not see this as another user any more. Please sign in."
    assert banner_of(page) == ""


async def test_signing_out_leaves_nobody_signed_in(
    reader: Reader, eve: User, bob: User, house: House
) -> None:
    await view_as(reader, bob)
    kept = dict(reader.client.cookies)
    page = await reader.send("/sign-out")
    assert page.notice == "You are signed out."

    reader.client.cookies.update(kept)
    assert (await reader.open("/boards/user")).path == "/sign-in"
    assert (await reader.send(END)).path == "/sign-in"
    names = [each.name for each in await newest(house.stores.events, 50)]
    assert {"impersonation.ended", "session.ended"} <= set(names)
    assert await house.sessions.list_own(eve, before=None, limit=9) == []


@pytest.mark.usefixtures("eve")
async def test_bob_reads_of_it_and_ends_it(reader: Reader, bob: User, house: House) -> None:
    """Who looked, and from where, is not for him."""
    await view_as(reader, bob)
    hers = dict(reader.client.cookies)
    reader.client.cookies.clear()
    await let_in(reader.client, house, bob)

    account = await reader.open("/account")
    assert "An administrator sees your account" in account.text
    assert f"Reason: {WHY}" in account.text
    assert banner_of(account) == ""
    [session] = [
        each
        for each in await house.sessions.list_own(bob, before=None, limit=9)
        if each.impersonator is not None
    ]
    ended = await reader.send("/account/sign-out", session=session.id)
    assert ended.notice == "That device is signed out."

    activity = await reader.open("/account/activity")
    assert f"An administrator began to see your account as you do Reason: {WHY}" in activity.text
    assert "by an administrator" in activity.text
    assert "eve" not in activity.text

    reader.client.cookies.clear()
    reader.client.cookies.update(hers)
    assert (await reader.open("/boards/user")).path == "/sign-in"


async def test_what_happened_is_shown_in_pages_and_in_german(
    reader: Reader, ann: User, house: House, clock: FakeClock
) -> None:
    for _ in range(20):
        clock.advance(timedelta(seconds=1))
        await house.accounts.grant(ann, "moderator", COMMAND)
        clock.advance(timedelta(seconds=1))
        await house.accounts.withdraw(ann, "moderator", COMMAND)

    first = await reader.open("/account/activity")
    [older] = [each for each in first.links if "cursor=" in each and "language=" not in each]
    second = await reader.open(older)
    told = [page.text.count("A role was ") for page in (first, second)]
    assert sum(told) == 40
    assert "Signed in" in second.text
    assert not second.tree.findall(".//a[@rel='next']")
    reader.headers["Accept-Language"] = "de"
    assert "Eine Rolle wurde genommen" in (await reader.open("/account/activity")).text
    assert (await reader.open("/account/activity?cursor=~")).status == 400
