"""Invitations and signing in by e-mail, as people without scripts see them."""

from datetime import timedelta

import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.pages.reader import Reader
from tests.pages.test_letters import path_in
from tests.support.clock import FakeClock
from tests.support.mailbox import Mailbox, delivered
from tests.support.people import PASSWORD, new_user

OVER = "This link does not work any more"
closed = pytest.mark.parametrize("settings", [{"sign_up": "closed"}], indirect=True)
VOID = (
    "Your e-mail address is verified. The password of this account was removed, because somebody "
    "else may have chosen it. “Forgot your password?” at the sign-in sets a new one."
)
by_code = pytest.mark.parametrize("settings", [{"sign_in_by_code": "on"}], indirect=True)


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


async def invited(house: House, mailbox: Mailbox, *roles: str) -> str:
    """Invite Ann, have the letter delivered, and return the path of its link."""
    await house.invitations.invite("ann@example.com", roles, COMMAND)
    await delivered(house)
    return path_in(mailbox)


@closed
async def test_who_is_invited_chooses_name_and_password_and_is_signed_in(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    """Also where nobody may sign up."""
    path = await invited(house, mailbox, "user", "moderator")
    moved = await reader.ask(path)
    assert (moved.status_code, moved.headers["location"]) == (303, "/invitation")
    assert moved.headers["referrer-policy"] == "no-referrer"
    page = await reader.open("/invitation")
    assert page.heading == "You are invited to Gatelodge"
    assert "ann@example.com" in page.text

    page = await reader.send("/invitation", username="admin", name="", password="short")
    assert page.problem("username")
    assert page.problem("password")
    page = await reader.send("/invitation", username="a b", name="", password="")
    assert page.problem("username")
    assert page.problem("password") == "Enter a password."
    page = await reader.fill_in(
        "/invitation", username=" ann ", name=" Ann Lee ", password=PASSWORD
    )

    assert (page.path, page.notice) == ("/account", "Welcome! Your account is ready.")
    assert "Ann Lee" in page.text
    assert (await house.accounts.get_by_username("ann")).roles == ("user", "moderator")
    assert "Not verified yet" not in page.text
    page = await reader.open(path)
    assert (page.status, page.heading) == (410, OVER)
    assert "/sign-in" in page.links


async def test_looking_at_an_invitation_changes_nothing(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    path = await invited(house, mailbox)
    for _ in range(3):
        assert (await reader.open(path)).status == 200
        await reader.client.head(path, headers=reader.headers)

    assert await house.accounts.list_users(after=None, limit=9) == []


async def test_a_form_that_is_sent_twice_signs_the_same_user_in(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await reader.open(await invited(house, mailbox))
    cookies = dict(reader.client.cookies)
    form = {"username": "ann", "name": "", "password": PASSWORD}
    await reader.send("/invitation", **form)
    reader.client.cookies.clear()
    reader.client.cookies.update(cookies)  # as the browser had them when it sent the second one

    page = await reader.send("/invitation", **form)

    assert (page.path, page.status) == ("/account", 200)
    assert len(await house.accounts.list_users(after=None, limit=9)) == 1


async def test_an_invitation_that_is_withdrawn_while_its_form_is_open_makes_nobody(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await reader.open(await invited(house, mailbox))
    await house.invitations.withdraw("ann@example.com", COMMAND)

    page = await reader.send("/invitation", username="ann", name="", password=PASSWORD)

    assert (page.status, page.heading) == (410, OVER)
    assert await house.accounts.list_users(after=None, limit=9) == []
    assert (await reader.open("/invitation")).heading == OVER


async def test_a_user_without_a_password_chooses_one(
    reader: Reader, house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    await house.invitations.create(NewUser("ann", "ann@example.com"), COMMAND)
    clock.advance(timedelta(minutes=1))
    await delivered(house)

    page = await reader.open(path_in(mailbox))
    assert (page.path, page.heading) == ("/reset-password", "Choose your password")
    assert "signed out" not in page.text
    page = await reader.send("/reset-password", password=PASSWORD)
    page = await reader.send("/sign-in", username="ann", password=PASSWORD)

    assert page.heading == "Hello, ann"


@by_code
async def test_somebody_signs_in_by_a_code_and_goes_on(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await new_user(house, "ann")
    page = await reader.open("/sign-in?next=/account/profile")
    assert "/sign-in/email?next=/account/profile" in page.links
    page = await reader.open("/sign-in/email?next=/account/profile")
    page = await reader.send("/sign-in/email", email="ann", next="/account/profile")
    assert page.problem("email")
    page = await reader.send("/sign-in/email", email="ann@example.com", next="/account/profile")
    assert (page.path, page.heading) == ("/sign-in/code", "Sign in by e-mail")
    assert page.form("/sign-in/code")["next"] == "/account/profile"
    await delivered(house)

    page = await reader.send("/sign-in/code", code="", next="/account/profile")
    assert page.problem("code") == "Enter the code from the letter."
    page = await reader.send("/sign-in/code", code="AAAA-AAAA", next="/account/profile")
    assert page.problem("code")
    code = mailbox.values()["code"]
    page = await reader.send("/sign-in/code", code=code, next="/account/profile")

    assert (page.path, page.status) == ("/account/profile", 200)
    assert (await reader.open("/sign-in/code")).path == "/"  # she is signed in


@by_code
async def test_who_signs_in_by_a_code_is_told_once_that_the_password_is_void(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    """It may be a stranger's: nobody had verified the address. The next time all stays."""
    await new_user(house, "ann")
    for notice in (VOID, ""):
        await reader.send("/sign-in/email", email="ann@example.com")
        await delivered(house)

        page = await reader.fill_in("/sign-in/code", code=mailbox.values()["code"])

        assert (page.heading, page.notice) == ("Hello, ann", notice)
        await reader.send("/sign-out")


@by_code
async def test_who_has_no_password_gets_a_letter_from_the_account_page(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await new_user(house, "ann")
    await reader.send("/sign-in/email", email="ann@example.com")
    await delivered(house)
    await reader.fill_in("/sign-in/code", code=mailbox.values()["code"])

    page = await reader.open("/account/password")
    assert page.path == "/account"
    page = await reader.send("/forgot", **page.form("/forgot"))
    assert (page.path, page.heading) == ("/reset-password", "Set a new password")
    await delivered(house)
    await reader.fill_in("/reset-password", code=mailbox.values()["code"], password=PASSWORD)
    await reader.send("/sign-in", username="ann", password=PASSWORD)

    assert (await reader.open("/account/password")).path == "/account/password"


@by_code
async def test_who_asked_for_no_letter_is_led_to_where_one_does(reader: Reader) -> None:
    assert (await reader.open("/sign-in/code")).path == "/sign-in/email"


async def test_no_page_leads_to_signing_in_by_e_mail_where_it_is_off(reader: Reader) -> None:
    assert "/sign-in/email" not in (await reader.open("/sign-in")).links
    for path in ("/sign-in/email", "/sign-in/code"):
        page = await reader.open(path)
        assert (page.status, page.heading) == (403, "No access")
        assert "Nobody can sign in by e-mail here." in page.text
