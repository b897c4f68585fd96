"""The page on which somebody who is signed in proves again who they are."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.credentials.own_proof import FRESH
from gatelodge.methods import BY_PASSWORD
from gatelodge.pages.again import LIFE
from gatelodge.pages.wording import NOTICES
from tests.pages.reader import Page, Reader
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.mailbox import Mailbox, delivered
from tests.support.people import HERE, PASSWORD, let_in


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


AGAIN = "/sign-in/again"
LATER = FRESH + timedelta(seconds=2)
PAGES = {"/account/delete": "Delete your account?", "/account/email": "Change e-mail address"}
RENAMED = {"name": "Anna", "username": "anna"}


async def prove(reader: Reader, page: Page, password: str = PASSWORD) -> Page:
    """Fill in the form of the page that asks for the password."""
    assert (page.path, page.heading) == (AGAIN, "Is it you?")
    return await reader.send(AGAIN, **page.form(AGAIN) | {"password": password})


async def session_of(house: House, user: User) -> str:
    """Return the id of the only session of a user."""
    (session,) = await house.sessions.list_own(user, before=None, limit=9)
    return session.id


@pytest.mark.parametrize(("path", "heading"), PAGES.items())
async def test_a_page_is_opened_at_once_by_whoever_has_just_signed_in(
    reader: Reader, ann: User, clock: FakeClock, path: str, heading: str
) -> None:
    assert ann
    clock.advance(FRESH)
    assert (await reader.open(path)).heading == heading


@pytest.mark.parametrize(("path", "heading"), PAGES.items())
async def test_later_it_is_asked_first_who_one_is(
    reader: Reader, house: House, ann: User, clock: FakeClock, path: str, heading: str
) -> None:
    """A new session takes the place of the old one, and leads to the page."""
    before = await session_of(house, ann)
    clock.advance(LATER)
    asked = await reader.open(path)
    wrong = await prove(reader, asked, "wrong horse battery")
    assert wrong.problem("password") == "That is not your current password."
    assert await session_of(house, ann) == before

    page = await prove(reader, wrong)

    assert (page.path, page.heading) == (path, heading)
    assert await session_of(house, ann) != before
    assert (await reader.open(path)).heading == heading
    events = await newest(house.stores.events, 2)
    assert {event.name: dict(event.detail) for event in events} == {
        "session.opened": {"factor": "password", "device": "new", "follows": before},
        "session.ended": {},
    }


@pytest.mark.parametrize("settings", [{"username_change": "on"}], indirect=True)
async def test_a_form_waits_for_the_proof_and_is_there_again(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """Nothing of it is in the address, and nothing is done before it is sent once more."""
    await reader.open("/account/profile")
    clock.advance(LATER)
    asked = await reader.send("/account/profile", **RENAMED)
    assert "anna" not in str(asked.response.url).lower()
    page = await prove(reader, await prove(reader, asked, "wrong horse battery"))

    assert (page.path, page.status, page.alert) == ("/account/profile", 200, "")
    assert page.notice == "Nothing has changed yet. Please send the form once more."
    assert page.form("/account/profile") == RENAMED
    assert (await house.accounts.get_by_username("ann")).name == ""
    assert (await reader.open("/account/profile")).form("/account/profile")["username"] == "ann"
    assert (await reader.send("/account/profile", **RENAMED)).notice == "Your profile is saved."


@pytest.mark.parametrize("settings", [{"username_change": "on"}], indirect=True)
async def test_a_form_waits_for_ten_minutes_and_for_its_own_page_and_sender(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """Whoever goes elsewhere meanwhile finds no form there."""
    clock.advance(LATER)
    await reader.send("/account/profile", **RENAMED)
    other = await reader.send(AGAIN, password=PASSWORD, next="/account/email")
    assert other.form("/account/email") == {"email": ""}
    assert len(await house.sessions.list_own(ann, before=None, limit=9)) == 1
    clock.advance(LATER)
    await reader.send("/account/profile", **RENAMED)
    clock.advance(LIFE)
    late = await reader.send(AGAIN, password=PASSWORD, next="/account/profile")
    assert late.form("/account/profile") == {"name": "", "username": "ann"}


async def test_a_form_comes_back_only_in_the_browser_that_sent_it(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """A thief of a session cannot leave his own address for its owner to confirm."""
    stolen = await house.sessions.open(ann, BY_PASSWORD, "cookie", HERE)
    clock.advance(LATER)
    transport = httpx2.ASGITransport(app=create_app(house))
    async with httpx2.AsyncClient(transport=transport, base_url=reader.client.base_url) as other:
        thief = Reader(other, Authorization=f"Bearer {stolen.tokens.access_token}")
        sent = await thief.post("/account/email", {"email": "thief@evil.example"})
    assert sent.headers["location"].startswith(AGAIN)

    page = await prove(reader, await reader.open("/account/email"))

    assert page.form("/account/email") == {"email": ""}


async def test_a_form_with_a_fault_is_shown_with_it_before_the_proof(
    reader: Reader, ann: User, clock: FakeClock
) -> None:
    """What was typed is not lost on the way, neither there nor after the proof."""
    assert ann
    await reader.open("/account/email")
    clock.advance(LATER)
    wrong = await reader.send("/account/email", email="ann@new")
    assert (wrong.path, wrong.form("/account/email")) == ("/account/email", {"email": "ann@new"})
    assert wrong.problem("email")
    right = await reader.send("/account/email", email="ann@new.example")
    page = await prove(reader, right)
    assert page.form("/account/email") == {"email": "ann@new.example"}


async def test_a_form_that_is_posted_late_changes_nothing(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    clock.advance(LATER)
    page = await reader.send("/account/delete")
    assert page.path == AGAIN
    assert await house.accounts.get_by_username("ann")
    back = await prove(reader, page)
    assert back.heading == PAGES["/account/delete"]
    assert (await reader.send("/account/delete")).notice == "Your account is deleted."


async def test_the_proof_leads_to_our_own_pages_only(
    reader: Reader, ann: User, clock: FakeClock
) -> None:
    assert ann
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        clock.advance(LATER)
        page = await reader.send(AGAIN, password=PASSWORD, next=elsewhere)
        assert page.path == "/account"


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
async def test_a_proof_is_no_way_around_what_a_sign_in_asks(
    reader: Reader, house: House, ann: User
) -> None:
    """Ann is signed in since before the setting, and has not verified her address."""
    before = await session_of(house, ann)
    page = await reader.send(AGAIN, password=PASSWORD)
    assert (page.path, page.notice) == ("/verify-email", NOTICES["verify-first"])
    assert await session_of(house, ann) == before


async def test_nobody_else_finds_the_page(reader: Reader) -> None:
    assert (await reader.open(AGAIN)).path == "/sign-in"


# By a letter


BY_CODE = pytest.mark.parametrize("settings", [{"sign_in_by_code": "on"}], indirect=True)


@BY_CODE
async def test_who_has_no_password_proves_it_by_a_code(
    reader: Reader, house: House, clock: FakeClock, mailbox: Mailbox
) -> None:
    """A code that is wrong can be typed again."""
    await house.invitations.create(NewUser("ann", "ann@example.com"), COMMAND)
    await let_in(reader.client, house, await house.accounts.get_by_username("ann"))
    clock.advance(LATER)
    asked = await reader.open("/account/delete")
    assert "password" not in asked.text.lower()
    sent = await reader.send(f"{AGAIN}/letter", **asked.form(f"{AGAIN}/letter"))
    assert sent.path == f"{AGAIN}/code"
    await delivered(house)
    wrong = await reader.send(f"{AGAIN}/code", code="AAAA-AAAA", next="/account/delete")
    assert wrong.problem("code")
    code = mailbox.values()["code"]
    page = await reader.send(f"{AGAIN}/code", code=code, next="/account/delete")
    assert page.heading == PAGES["/account/delete"]


@BY_CODE
async def test_without_a_letter_the_page_for_its_code_leads_back_and_then_on(
    reader: Reader, ann: User
) -> None:
    """The browser may have lost its half of the code, after half an hour."""
    assert ann
    page = await reader.open(f"{AGAIN}/code?next=/account/delete")
    assert page.path == AGAIN
    assert page.form(AGAIN)["next"] == "/account/delete"


async def test_without_a_password_and_without_codes_it_says_what_to_do(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    await house.invitations.create(NewUser("ann", "ann@example.com"), COMMAND)
    await let_in(reader.client, house, await house.accounts.get_by_username("ann"))
    clock.advance(LATER)
    page = await reader.open("/account/delete")
    assert "Your account has no password yet." in page.text
    assert (await reader.post(AGAIN, {"password": PASSWORD})).status_code == 303
    assert (await reader.send(f"{AGAIN}/letter")).status == 403
