"""What people do on the pages, step by step, in a browser without JavaScript."""

import re
from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from tests.pages.reader import Reader
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD, signed_in

NEW_PASSWORD = "another horse battery"


def another_browser(house: House, **headers: str) -> Reader:
    """Return another browser with its own cookies."""
    transport = httpx2.ASGITransport(app=create_app(house))
    return Reader(
        httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080"), **headers
    )


async def test_a_newcomer_signs_up_looks_around_and_signs_out(reader: Reader) -> None:
    """These are all steps of the tutorial."""
    home = await reader.open("/")
    assert "Public Content." in home.text
    assert {"/sign-in", "/sign-up"} <= set(home.links)

    welcome = await reader.sign_up("ann")
    assert (welcome.path, welcome.heading) == ("/", "Hello, ann")
    assert welcome.notice == "Welcome! Your account is ready."

    board = await reader.open("/boards/user")
    assert "User Content." in board.text

    gone = await reader.send("/sign-out")
    assert gone.notice == "You are signed out."
    assert (await reader.ask("/account")).headers["location"] == "/sign-in?next=/account"

    back = await reader.fill_in("/sign-in?next=/account", username="Ann", password=PASSWORD)
    assert (back.path, back.heading) == ("/account", "Your account")


@pytest.mark.parametrize(
    ("roles", "shown"),
    [
        ((), {"/boards/user"}),
        (("moderator",), {"/boards/user", "/boards/mod"}),
        (("admin",), {"/boards/user", "/boards/admin"}),
        (("moderator", "admin"), {"/boards/user", "/boards/mod", "/boards/admin"}),
    ],
)
async def test_boards_are_shown_and_opened_by_role(
    client: httpx2.AsyncClient,
    house: House,
    reader: Reader,
    roles: tuple[str, ...],
    shown: set[str],
) -> None:
    await signed_in(client, house, "ann", *roles)
    home = await reader.fill_in("/sign-in", username="ann", password=PASSWORD)

    assert {link for link in home.links if link.startswith("/boards/")} == shown
    for path in ("/boards/user", "/boards/mod", "/boards/admin"):
        page = await reader.open(path)
        assert page.status == (200 if path in shown else 403)
        if path not in shown:
            assert "You are signed in as ann." in page.text


async def test_a_role_that_is_taken_away_counts_on_the_next_page(
    reader: Reader, house: House
) -> None:
    await reader.sign_up("ann")
    ann = await house.accounts.get_by_username("ann")
    await house.accounts.grant(ann, "moderator", COMMAND)
    assert (await reader.open("/boards/mod")).status == 200

    await house.accounts.withdraw(ann, "moderator", COMMAND)

    assert (await reader.open("/boards/mod")).status == 403
    assert "/boards/mod" not in (await reader.open("/")).links


async def test_a_new_password_ends_every_other_device(reader: Reader, house: House) -> None:
    phone = another_browser(house)
    await reader.sign_up("ann")
    await phone.fill_in("/sign-in", username="ann", password=PASSWORD)

    page = await reader.fill_in(
        "/account/password", currentPassword=PASSWORD, newPassword=NEW_PASSWORD
    )

    assert page.path == "/account"
    assert page.notice == "Your password is changed. Every other device is signed out."
    assert page.text.count("This device") == 1
    assert (await phone.open("/account")).heading == "Sign in"
    again = await phone.fill_in("/sign-in", username="ann", password=NEW_PASSWORD)
    assert again.heading == "Hello, ann"


async def test_devices_are_named_and_ended_one_by_one_or_all(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    phone = another_browser(
        house, **{"User-Agent": "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Firefox/131.0"}
    )
    await reader.sign_up("ann")
    clock.advance(timedelta(minutes=1))
    await phone.fill_in("/sign-in", username="ann", password=PASSWORD)

    account = await reader.open("/account")
    assert "Firefox on Android" in account.text
    session = account.form("/account/sign-out")["session"]
    after = await reader.send("/account/sign-out", session=session)
    assert after.notice == "That device is signed out."
    assert "Firefox" not in after.text
    assert (await phone.open("/account")).heading == "Sign in"
    assert (await reader.open("/account")).heading == "Your account"

    await phone.fill_in("/sign-in", username="ann", password=PASSWORD)
    everywhere = await reader.send("/account/sign-out-everywhere")
    assert everywhere.notice == "You are signed out on every device."
    for browser in (reader, phone):
        assert (await browser.open("/account")).heading == "Sign in"


async def test_nobody_ends_a_strangers_device(reader: Reader, house: House) -> None:
    """A user does not learn either whether another user has such a device."""
    mallory = another_browser(house)
    await reader.sign_up("ann")
    await mallory.sign_up("mallory")
    (session,) = await house.sessions.list_own(
        await house.accounts.get_by_username("ann"), before=None, limit=9
    )

    await mallory.send("/account/sign-out", session=session.id)

    assert (await reader.open("/account")).heading == "Your account"


async def test_somebody_deletes_their_account(reader: Reader, house: House) -> None:
    phone = another_browser(house)
    await reader.sign_up("ann")
    await phone.fill_in("/sign-in", username="ann", password=PASSWORD)

    gone = await reader.fill_in("/account/delete")

    assert gone.notice == "Your account is deleted."
    assert (await phone.open("/account")).heading == "Sign in"
    refused = await reader.fill_in("/sign-in", username="ann", password=PASSWORD)
    assert refused.status == 401
    events = await newest(house.stores.events, 9)
    assert [each.actor == each.target for each in events if each.name == "user.deleted"] == [True]
    assert (await reader.sign_up("ann")).heading == "Hello, ann"


async def test_the_last_administrator_stays(reader: Reader, house: House) -> None:
    await reader.sign_up("ann")
    await house.accounts.grant(await house.accounts.get_by_username("ann"), "admin", COMMAND)

    page = await reader.fill_in("/account/delete")

    assert page.status == 409
    assert page.alert.startswith("You are the last administrator.")


async def test_a_visit_goes_on_when_the_access_token_has_run_out(
    reader: Reader, clock: FakeClock
) -> None:
    """The refresh cookie renews both cookies, on pages with and without a required sign-in."""
    await reader.sign_up("ann")
    for path, heading in (("/", "Hello, ann"), ("/account", "Your account")):
        clock.advance(timedelta(minutes=11))
        response = await reader.ask(path)
        assert len(response.headers.get_list("set-cookie")) == 2
        assert (await reader.open(path)).heading == heading


async def test_somebody_signs_in_by_address(reader: Reader) -> None:
    await reader.sign_up("ann")
    await reader.send("/sign-out")
    page = await reader.open("/sign-in")
    assert "Username or e-mail address" in page.text
    assert (
        'name="username" type="text" value="" autocomplete="username webauthn"'
        in page.response.text
    )

    page = await reader.fill_in("/sign-in", username=" Ann@Example.com ", password=PASSWORD)

    assert (page.path, page.heading) == ("/", "Hello, ann")


async def test_who_is_signed_in_needs_no_sign_in_page(reader: Reader) -> None:
    await reader.sign_up("ann")

    assert (await reader.open("/sign-in")).heading == "Hello, ann"
    assert (await reader.open("/sign-up?next=/boards/user")).heading == "User board"
    assert (await reader.open("/sign-out")).heading == "Sign out?"
    assert (await reader.open("/boards/user")).heading == "User board", "nobody was signed out"


async def test_a_disabled_user_is_out_on_the_next_page(reader: Reader, house: House) -> None:
    await reader.sign_up("ann")
    await house.accounts.disable(await house.accounts.get_by_username("ann"), COMMAND)

    assert (await reader.open("/")).heading == "Welcome to Gatelodge"
    assert (await reader.open("/account")).heading == "Sign in"


async def test_no_page_shows_a_secret(reader: Reader) -> None:
    await reader.sign_up("ann")
    for path in ("/", "/account", "/account/password", "/account/delete", "/boards/user"):
        text = (await reader.open(path)).response.text
        assert not re.search(r"rt_|eyJ|argon2|correct horse", text)
