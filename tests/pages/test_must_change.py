"""A breached password leads to the page that sets a new one, for people without scripts."""

from dataclasses import replace

import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.pages.reader import Page, Reader
from tests.support.breached import import_text, line
from tests.support.mailbox import Mailbox, delivered

BREACHED = "iloveyou2025"
NEW = "eight wild geese at dawn"
NOTICE = (
    "Your password is in a list of passwords that were stolen from other sites. "
    "Set a new one, then sign in."
)

pytestmark = pytest.mark.parametrize("settings", [{"breached_at_sign_in": "change"}], indirect=True)


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


async def with_breached(house: House, *, verified: bool) -> None:
    """Make Ann, whose password got onto the list later."""
    wanted = NewUser("ann", "ann@example.com", BREACHED)
    await house.accounts.create(replace(wanted, email_verified=verified), COMMAND)
    import_text(line(BREACHED), house.settings.breached_file)


async def sign_in(reader: Reader, password: str = BREACHED) -> Page:
    """Sign in on the page."""
    return await reader.fill_in("/sign-in", username="ann", password=password)


async def test_the_new_password_is_set_with_the_code_of_a_letter(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await with_breached(house, verified=True)

    page = await sign_in(reader)

    assert (page.path, page.heading, page.notice) == (
        "/reset-password",
        "Set a new password",
        NOTICE,
    )
    assert (await reader.ask("/account")).status_code == 303  # to the sign-in
    page = await reader.send("/reset-password", code="AAAA-AAAA", password=NEW)
    assert page.problem("code")
    await delivered(house)
    page = await reader.fill_in("/reset-password", code=mailbox.values()["code"], password=NEW)
    assert (page.path, page.notice) == ("/sign-in", "Your password is changed. Sign in with it.")
    assert (await sign_in(reader, NEW)).heading == "Hello, ann"


async def test_where_no_letter_is_known_to_arrive_the_page_asks_for_the_password_alone(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await with_breached(house, verified=False)

    page = await sign_in(reader)

    assert (page.path, page.notice) == ("/reset-password", NOTICE)
    assert "code" not in page.form("/reset-password")
    assert "/forgot" not in page.links
    assert (await reader.ask("/account")).status_code == 303
    page = await reader.fill_in("/reset-password", password=BREACHED)
    assert page.problem("password").startswith("That password is in a list of passwords")
    page = await reader.fill_in("/reset-password", password=NEW)
    assert (page.path, page.notice) == ("/sign-in", "Your password is changed. Sign in with it.")
    await delivered(house)
    assert mailbox.mails == []
    assert (await sign_in(reader, NEW)).heading == "Hello, ann"


async def test_a_way_that_was_left_is_forgotten(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    """The page asks for the code again after the address was verified."""
    await with_breached(house, verified=False)
    await sign_in(reader)
    user = await house.accounts.get_by_username("ann")
    await house.accounts.verify_email(user, COMMAND)

    page = await sign_in(reader)

    assert "code" in page.form("/reset-password")
    await delivered(house)
    page = await reader.fill_in("/reset-password", code=mailbox.values()["code"], password=NEW)
    assert page.path == "/sign-in"


async def test_a_page_that_waits_too_long_leads_back_to_the_sign_in(
    reader: Reader, house: House
) -> None:
    await with_breached(house, verified=False)
    await sign_in(reader)
    user = await house.accounts.get_by_username("ann")
    await house.accounts.set_password(user, NEW, COMMAND)

    page = await reader.open("/reset-password")

    assert (page.status, page.heading) == (410, "This link does not work any more")
