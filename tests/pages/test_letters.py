"""Forgotten passwords, addresses and notices, as people without scripts see them."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND, Origin
from tests.pages.reader import Reader
from tests.support.clock import FakeClock
from tests.support.mailbox import Mailbox, delivered, subscribed
from tests.support.people import PASSWORD, new_user

NEW = "eight wild geese at dawn"
NEWER = "nine tame ducks at dusk"
HOME = "http://localhost:8080"


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


def path_in(mailbox: Mailbox, name: str = "link") -> str:
    """Return the path of the link in the last letter that has one of this name."""
    values = [mailbox.values(number) for number in range(len(mailbox.mails))]
    link = [each[name] for each in values if name in each][-1]
    assert link.startswith(HOME)
    return link.removeprefix(HOME)


async def test_a_forgotten_password_is_set_anew_with_the_code(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await new_user(house, "ann")
    page = await reader.open("/sign-in")
    assert "/forgot" in page.links
    page = await reader.fill_in("/forgot", email="ann@example.com")
    assert (page.path, page.heading) == ("/reset-password", "Set a new password")
    await delivered(house)
    code = mailbox.values()["code"]

    page = await reader.send("/reset-password", code="AAAA-AAAA", password=NEW)
    assert page.problem("code") == (
        "This does not work, or not any more. Check it, or ask for a new letter."
    )
    page = await reader.send("/reset-password", code=code, password="short")
    assert page.problem("password")
    page = await reader.send("/reset-password", code=f" {code.lower()} ", password=NEW)

    assert (page.path, page.notice) == ("/sign-in", "Your password is changed. Sign in with it.")
    page = await reader.send("/sign-in", username="ann", password=NEW)
    assert page.heading == "Hello, ann"


async def test_a_link_leaves_no_secret_in_the_address(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await new_user(house, "ann")
    await reader.fill_in("/forgot", email="ann@example.com")
    await delivered(house)
    other_device = Reader(reader.client)
    reader.client.cookies.clear()

    moved = await other_device.ask(path_in(mailbox))
    assert moved.status_code == 303
    assert moved.headers["location"] == "/reset-password"
    assert moved.headers["referrer-policy"] == "no-referrer"
    assert moved.headers["cache-control"] == "no-store"
    page = await other_device.open("/reset-password")
    assert "code" not in page.form("/reset-password")
    page = await other_device.send("/reset-password", password=NEW)

    assert page.notice == "Your password is changed. Sign in with it."
    page = await other_device.open(path_in(mailbox))
    assert (page.status, page.heading) == (410, "This link does not work any more")


async def test_scanners_of_mail_use_no_link_up(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    """They open it, they ask for its head, and some follow where it leads."""
    ann = await new_user(house, "ann")
    await house.verification.ask(ann, "en")
    await house.password_reset.ask("ann@example.com", "en", Origin())
    await delivered(house)
    paths = [
        mailbox.values(number)["link"].removeprefix(HOME) for number in range(len(mailbox.mails))
    ]
    assert len(paths) == 2
    for path in paths:
        scanner = httpx2.AsyncClient(
            transport=reader.client._transport, base_url=reader.client.base_url
        )
        for _ in range(3):
            await Reader(scanner).open(path)
            await scanner.head(path, headers=reader.headers)
        scanner.cookies.clear()
    for path in paths:
        page = await reader.open(path)
        fields = {"password": NEW} if "reset" in path else {}
        page = await reader.send(page.path, **fields)
        assert page.status == 200
        assert page.path == "/sign-in"


async def test_who_signs_up_may_verify_the_address(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    page = await reader.send("/sign-up", username="ann", email="ann@example.com", password=PASSWORD)
    assert page.notice == "Welcome! Your account is ready."
    await delivered(house)
    page = await reader.open("/account")
    assert "Not verified yet" in page.text

    page = await reader.fill_in("/verify-email", code=mailbox.values()["code"])

    assert (page.path, page.notice) == ("/account", "Your e-mail address is verified.")
    assert "Not verified yet" not in page.text
    assert (await reader.open("/verify-email")).path == "/account"


async def test_a_letter_is_sent_again_from_the_account_page(
    reader: Reader, ann: User, house: House, mailbox: Mailbox
) -> None:
    page = await reader.send("/account/verify-email")
    assert page.heading == "Verify your e-mail address"
    await delivered(house)

    page = await reader.open(path_in(mailbox))
    assert ann.email in page.text
    page = await reader.send("/verify-email")

    assert (page.path, page.notice) == ("/account", "Your e-mail address is verified.")


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
async def test_a_sign_up_whose_address_is_nobodys_waits_for_its_letter(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    """A form that is sent twice is one sign-up; the letter can be sent again."""
    form = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    page = await reader.send("/sign-up", **form)
    assert (page.path, page.notice) == (
        "/verify-email",
        "Welcome! Verify your e-mail address, then sign in.",
    )
    assert (await reader.send("/sign-up", **form)).path == "/verify-email"
    page = await reader.send("/sign-in", username="ann", password=PASSWORD)
    assert (page.path, page.notice) == ("/sign-in", "")
    await delivered(house)
    first = path_in(mailbox)
    page = await reader.open("/verify-email")
    assert "/verify-email/resend" in page.links
    page = await reader.fill_in("/verify-email/resend", email="ann@")
    assert page.problem("email")
    page = await reader.send("/verify-email/resend", email="ann@example.com")
    assert page.path == "/verify-email"
    await delivered(house)
    again = mailbox.values()["code"]
    page = await reader.open(first)
    assert page.heading == "This link does not work any more"
    assert "/verify-email/resend" in page.links
    await reader.send("/verify-email/resend", email="nobody@example.com")
    page = await reader.send("/verify-email", code=again)
    assert page.problem("code")
    page = await reader.open(path_in(mailbox))
    assert "ann@example.com" in page.text

    page = await reader.send("/verify-email")

    assert (page.path, page.notice) == ("/sign-in", "Your e-mail address is verified.")
    page = await reader.send("/sign-in", username="ann", password=PASSWORD)
    assert page.heading == "Hello, ann"


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
async def test_who_was_slower_reads_so_on_the_page_of_the_letter(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    await reader.send("/sign-up", username="ann", email="ann@example.com", password=PASSWORD)
    await delivered(house)
    await house.accounts.create(NewUser("ann", "a@example.org", PASSWORD), COMMAND)
    await reader.open(path_in(mailbox))

    page = await reader.send("/verify-email")

    assert (page.path, page.heading) == ("/verify-email", "Verify your e-mail address")
    assert "That username is taken. Please choose another." in page.text


@pytest.mark.parametrize(
    "settings",
    [{"email_verification": "required", "hide_known_emails": "off"}],
    indirect=True,
)
async def test_where_it_is_required_the_address_is_verified_before_the_first_sign_in(
    reader: Reader, house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    page = await reader.send("/sign-up", username="ann", email="ann@example.com", password=PASSWORD)
    assert (page.path, page.notice) == (
        "/verify-email",
        "Welcome! Verify your e-mail address, then sign in.",
    )
    clock.advance(timedelta(seconds=1))
    page = await reader.send("/sign-in", username="ann", password=PASSWORD)
    assert (page.path, page.notice) == (
        "/verify-email",
        "Verify your e-mail address, then sign in. We have sent you a letter.",
    )
    await delivered(house)

    page = await reader.fill_in("/verify-email", code=mailbox.values()["code"])
    assert (page.path, page.notice) == ("/sign-in", "Your e-mail address is verified.")
    page = await reader.send("/sign-in", username="ann", password=PASSWORD)
    assert page.heading == "Hello, ann"


async def test_the_address_is_changed_and_taken_back(
    reader: Reader, ann: User, house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    page = await reader.fill_in("/account/email", email="ann@new.example")
    assert page.path == "/verify-email"
    await delivered(house)
    page = await reader.send("/verify-email", code=mailbox.values()["code"])
    assert "ann@new.example" in page.text
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    assert mailbox.kinds()[-1] == ("ann@example.com", "email-changed")

    page = await reader.open(path_in(mailbox, "undo_link"))
    assert page.heading == "Take the change back"
    page = await reader.send("/undo-email")

    assert page.path == "/reset-password"
    assert "former address" in page.notice
    assert (await reader.open("/account")).path == "/sign-in"
    await delivered(house)
    assert mailbox.kinds()[-1] == ("ann@example.com", "reset-password")
    page = await reader.send("/reset-password", code=mailbox.values()["code"], password=NEW)
    page = await reader.send("/sign-in", username="ann@example.com", password=NEW)
    assert page.heading == "Hello, ann"


async def test_who_gets_a_notice_can_stop_it(
    reader: Reader, ann: User, house: House, mailbox: Mailbox
) -> None:
    await subscribed(house)
    await reader.send("/account/password", currentPassword=PASSWORD, newPassword=NEW)
    await delivered(house)
    assert mailbox.kinds() == [("ann@example.com", "password-changed")]

    page = await reader.open(path_in(mailbox, "stop_link"))
    assert page.heading == "It was not you?"
    page = await reader.send("/stop")

    assert page.path == "/reset-password"
    assert (await reader.open("/account")).path == "/sign-in"
    page = await reader.open(path_in(mailbox, "stop_link"))
    assert page.status == 410


@pytest.mark.parametrize("act", ["/stop", "/undo-email"])
async def test_no_stranger_keeps_who_uses_such_a_link_from_a_new_password(
    reader: Reader, ann: User, house: House, mailbox: Mailbox, clock: FakeClock, act: str
) -> None:
    """Neither by all the letters an address gets, nor by those that may be asked for from here."""
    await subscribed(house)
    for _ in range(3):
        await house.password_reset.ask("ann@example.com", "en", Origin(address="192.0.2.66"))
    await delivered(house)
    assert mailbox.kinds() == [("ann@example.com", "reset-password")] * 3
    if act == "/stop":
        await reader.send("/account/password", currentPassword=PASSWORD, newPassword=NEW)
    else:
        await reader.send("/account/email", email="ann@new.example")
        await delivered(house)
        await reader.send("/verify-email", code=mailbox.values()["code"])
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    link = path_in(mailbox, f"{act[1:5]}_link")
    owner = Reader(
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=create_app(house), client=("192.0.2.5", 50000)),
            base_url=reader.client.base_url,
        )
    )
    for _ in range(20):
        page = await owner.send("/forgot", email="ann@example.com")
        assert page.path == "/reset-password"
    assert (await owner.send("/forgot", email="ann@example.com")).status == 429
    await delivered(house)
    mailbox.mails.clear()
    assert (await owner.open(link)).path == act

    page = await owner.send(act)

    assert (page.status, page.path) == (200, "/reset-password")
    assert page.notice.endswith("Now set a new password.")
    await delivered(house)
    values = [mailbox.values(number) for number in range(len(mailbox.mails))]
    [code] = [each["code"] for each in values if "code" in each]
    await owner.send("/reset-password", code=code, password=NEWER)
    page = await owner.send("/sign-in", username="ann", password=NEWER)
    assert page.heading == "Hello, ann"


@pytest.mark.parametrize("path", ["/reset-password", "/verify-email", "/undo-email", "/stop"])
async def test_a_link_that_is_none_is_refused_on_a_page(reader: Reader, path: str) -> None:
    for token in ("x", ".", "é.x", "A" * 3000, "dXNy.%00"):
        page = await reader.open(f"{path}?token={token}")
        assert (page.status, page.heading) == (410, "This link does not work any more")
    page = await reader.send(path, password=NEW)
    assert page.status in {200, 400, 410}


async def test_a_page_of_another_site_resets_nothing(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    ann = await new_user(house, "ann")
    await reader.fill_in("/forgot", email="ann@example.com")
    await delivered(house)
    await reader.open(path_in(mailbox))
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

    answer = await reader.client.post("/reset-password", data={"password": NEW}, headers=evil)

    assert answer.status_code == 403
    assert (await house.stores.users.find(ann.id)) == ann
