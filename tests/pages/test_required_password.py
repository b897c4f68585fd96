"""Somebody who must set a new password is led to it from every page that signs people in."""

import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.testing import SoftwareAuthenticator
from tests.pages.reader import Page, Reader
from tests.pages.test_passkeys import filled
from tests.services.test_sign_in_by_code import with_factor
from tests.support.factors import add_passkey
from tests.support.mailbox import Mailbox, delivered
from tests.support.people import PASSWORD, new_user, signed_in

NEW = "eight wild geese at dawn"
NOTICE = "Whoever runs this site has asked you to set a new password. Set one, then sign in."


pytestmark = pytest.mark.parametrize("settings", [{"sign_in_by_code": "on"}], indirect=True)


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


async def sign_in(reader: Reader, password: str = PASSWORD) -> Page:
    """Sign in on the page."""
    return await reader.fill_in("/sign-in", username="ann", password=password)


async def sets_one(reader: Reader, page: Page, **code: str) -> None:
    """Show that a page asks for the new password, that the old one is none, and set one."""
    assert (page.path, page.notice) == ("/reset-password", NOTICE)
    assert (await reader.ask("/account")).status_code == 303  # to the sign-in
    page = await reader.fill_in("/reset-password", password=PASSWORD, **code)
    assert page.problem("password") == "That is your current password. Please choose another."
    page = await reader.fill_in("/reset-password", password=NEW, **code)
    assert (page.path, page.notice) == ("/sign-in", "Your password is changed. Sign in with it.")


async def test_with_a_password_and_a_letter(reader: Reader, house: House, mailbox: Mailbox) -> None:
    ann = await new_user(house, "ann")
    await house.accounts.verify_email(ann, COMMAND)
    await house.accounts.require_new_password(ann, COMMAND)

    page = await sign_in(reader)
    await delivered(house)

    await sets_one(reader, page, code=mailbox.values()["code"])
    assert (await sign_in(reader, NEW)).heading == "Hello, ann"


async def test_with_a_password_alone(reader: Reader, house: House) -> None:
    ann = await new_user(house, "ann")
    await house.accounts.require_new_password(ann, COMMAND)

    await sets_one(reader, await sign_in(reader))

    assert (await sign_in(reader, NEW)).heading == "Hello, ann"


async def test_with_a_second_factor(reader: Reader, house: House) -> None:
    ann = await new_user(house, "ann")
    codes = await with_factor(house, ann)
    await house.accounts.require_new_password(ann, COMMAND)

    page = await sign_in(reader)
    assert page.path == "/sign-in/second"
    page = await reader.send("/sign-in/second", method="recovery_code", code=codes[0])

    await sets_one(reader, page)
    assert (await sign_in(reader, NEW)).path == "/sign-in/second"


async def test_with_a_code_from_a_letter(reader: Reader, house: House, mailbox: Mailbox) -> None:
    ann = await new_user(house, "ann")
    await house.accounts.verify_email(ann, COMMAND)
    await house.accounts.require_new_password(ann, COMMAND)

    await reader.fill_in("/sign-in/email", email="ann@example.com")
    await delivered(house)
    page = await reader.fill_in("/sign-in/code", code=mailbox.values()["code"])

    await sets_one(reader, page)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "as the second factor"])
async def test_with_a_passkey(reader: Reader, house: House, alone: bool) -> None:
    ann = await signed_in(reader.client, house, "ann")
    authenticator = SoftwareAuthenticator(house.settings.public_origin)
    assert (await add_passkey(ann, authenticator)).status_code == 200
    await house.accounts.require_new_password(await house.accounts.get_by_username("ann"), COMMAND)

    form = "/sign-in/passkey" if alone else "/sign-in/second/passkey"
    if not alone:
        assert (await sign_in(reader)).path == "/sign-in/second"
    page = await reader.send(form, **await filled(reader, authenticator, form))

    await sets_one(reader, page)
