"""Letters and pages together in Chromium: a real mail server takes what the server sends."""

import re
from collections.abc import Callable, Iterator
from email.message import EmailMessage

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitors import PASSWORD, Visitor
from tests.support.mail_thread import MailThread
from tests.support.mails import code_in
from tests.support.server import Server

pytestmark = pytest.mark.browser

NEW_PASSWORD = "eight wild geese at dawn"
CONFIRM, CONFIRM_NEW = "Confirm your e-mail address", "Confirm your new e-mail address"
RESET = "A new password"
BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])


@pytest.fixture(scope="module")
def mail() -> Iterator[MailThread]:
    """Yield a mail server."""
    with MailThread() as thread:
        yield thread


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, mail: MailThread, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """Yield a server whose letters go to the mail server, with the settings that a test names."""
    given = {
        "smtp_url": mail.url,
        "mail_from": "Example <no-reply@example.com>",
        "sign_ups_per_address": "0",
        **getattr(request, "param", {}),
    }
    server = Server(tmp_path_factory.mktemp("letters"), **given)
    server.environment["GATELODGE_PUBLIC_URL"] = server.url  # its links lead there
    with server:
        yield server


def text_of(letter: EmailMessage) -> str:
    """Return the plain text of a letter."""
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link_in(letter: EmailMessage) -> str:
    """Return the link that asks for something."""
    return re.findall(r"http://\S+\?token=\S+", text_of(letter))[0]


@BOTH
def test_a_newcomer_verifies_the_address_and_comes_back_without_the_password(
    mail: MailThread, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    name = f"ann-{'with' if scripts else 'without'}"
    to = f"{name}@example.com"
    ann = visitor(java_script_enabled=scripts)
    ann.sign_up(name)
    ann.page.goto(link_in(mail.wait_for(to, CONFIRM)))
    ann.sees("Verify your e-mail address", "/verify-email")
    assert "token" not in ann.page.url
    ann.send()
    ann.sees("Your account", "/account")
    expect(ann.page.get_by_role("status")).to_have_text("Your e-mail address is verified.")

    elsewhere = visitor(java_script_enabled=scripts)
    elsewhere.open("/sign-in")
    elsewhere.page.get_by_role("link", name="Forgot your password?").click()
    elsewhere.send(email=to.upper())
    elsewhere.sees("Set a new password", "/reset-password")
    letter = mail.wait_for(to, RESET)
    elsewhere.send(code="AAAA-AAAA", password=NEW_PASSWORD)
    expect(elsewhere.page.locator("#code-problem")).to_be_visible()
    elsewhere.send(code=code_in(text_of(letter)), password=NEW_PASSWORD)
    elsewhere.sees("Sign in", "/sign-in")
    elsewhere.send(username=to, password=NEW_PASSWORD)
    elsewhere.sees("Hello, " + name, "/")

    mail.wait_for(to, "Your password at Gatelodge was changed")
    ann.open("/account")
    ann.sees("Sign in", "/sign-in")


@BOTH
def test_a_change_of_the_address_is_taken_back_from_the_former_one(
    mail: MailThread, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    name = f"ben-{'with' if scripts else 'without'}"
    former, new = f"{name}@example.com", f"{name}@new.example"
    ben = visitor(java_script_enabled=scripts)
    ben.sign_up(name)
    ben.open("/account")
    ben.page.get_by_role("link", name="Change", exact=True).click()
    ben.send(email=new)
    ben.sees("Verify your e-mail address", "/verify-email")
    ben.send(code=code_in(text_of(mail.wait_for(new, CONFIRM_NEW))))
    ben.sees("Your account", "/account")
    expect(ben.page.locator("main")).to_contain_text(new)

    owner = visitor(java_script_enabled=scripts)
    letter = mail.wait_for(former, "Your e-mail address at Gatelodge was changed")
    owner.page.goto(link_in(letter))
    owner.sees("Take the change back", "/undo-email")
    owner.send()
    owner.sees("Set a new password", "/reset-password")
    owner.send(code=code_in(text_of(mail.wait_for(former, RESET))), password=NEW_PASSWORD)
    owner.sees("Sign in", "/sign-in")
    ben.page.reload()
    ben.sees("Sign in", "/sign-in")


@BOTH
@pytest.mark.parametrize("server", [{"sign_up": "closed"}], indirect=True)
def test_who_is_invited_chooses_name_and_password(
    mail: MailThread, server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    to = f"dan-{'with' if scripts else 'without'}@example.com"
    invited = server.command("user", "invite", to, "--role", "moderator")
    assert invited.returncode == 0, invited.stderr

    dan = visitor(java_script_enabled=scripts)
    dan.page.goto(link_in(mail.wait_for(to, "You are invited")))
    dan.sees("You are invited to Gatelodge", "/invitation")
    assert "token" not in dan.page.url
    dan.send(username=to.partition("@")[0], name="Dan Lee", password=PASSWORD)
    dan.sees("Your account", "/account")
    expect(dan.page.locator("main")).to_contain_text("moderator")


@BOTH
@pytest.mark.parametrize("server", [{"sign_in_by_code": "on"}], indirect=True)
def test_somebody_signs_in_by_a_code_without_the_password(
    mail: MailThread, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    name = f"eve-{'with' if scripts else 'without'}"
    to = f"{name}@example.com"
    eve = visitor(java_script_enabled=scripts)
    eve.sign_up(name)
    eve.sees("Hello, " + name, "/")
    eve.sign_out()
    eve.open("/sign-in")
    eve.page.get_by_role("link", name="Sign in by e-mail").click()
    eve.send(email=to)
    eve.sees("Sign in by e-mail", "/sign-in/code")
    eve.send(code=code_in(text_of(mail.wait_for(to, "Your code"))))
    eve.sees("Hello, " + name, "/")


@BOTH
@pytest.mark.parametrize("server", [{"email_verification": "required"}], indirect=True)
def test_a_sign_up_tells_nobody_which_addresses_are_known(
    mail: MailThread, server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    """The owner of the address is told, by a letter; whoever typed it sees what a newcomer sees."""
    name = f"fay-{'with' if scripts else 'without'}"
    to = f"{name}@example.com"
    fay = visitor(java_script_enabled=scripts)
    fay.sign_up(name)
    fay.sees("Verify your e-mail address", "/verify-email")
    asked = fay.page.locator("main").inner_text()
    fay.send(code=code_in(text_of(mail.wait_for(to, CONFIRM))))
    fay.sees("Sign in", "/sign-in")
    fay.send(username=name, password=PASSWORD)
    fay.sees("Hello, " + name, "/")

    somebody = visitor(java_script_enabled=scripts)
    somebody.open("/sign-up")
    somebody.send(username=f"not-{name}", email=to, password=PASSWORD)
    somebody.sees("Verify your e-mail address", "/verify-email")
    assert somebody.page.locator("main").inner_text() == asked
    mail.wait_for(to, "You have an account")


@BOTH
def test_whoever_changed_the_password_is_stopped_by_the_link_of_the_notice(
    mail: MailThread, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    name = f"gil-{'with' if scripts else 'without'}"
    to = f"{name}@example.com"
    thief = visitor(java_script_enabled=scripts)
    thief.sign_up(name)
    thief.open("/account/password")
    thief.send(currentPassword=PASSWORD, newPassword=NEW_PASSWORD)
    thief.sees("Your account", "/account")

    gil = visitor(java_script_enabled=scripts)
    notice = mail.wait_for(to, "Your password at Gatelodge was changed")
    gil.page.goto(link_in(notice))
    assert "token" not in gil.page.url
    gil.send()
    gil.sees("Set a new password", "/reset-password")
    thief.page.reload()
    thief.sees("Sign in", "/sign-in")
    gil.send(code=code_in(text_of(mail.wait_for(to, RESET))), password="nine quiet owls at noon")
    gil.sees("Sign in", "/sign-in")


def test_a_scanner_that_runs_scripts_uses_no_link_up(
    mail: MailThread, server: Server, browser: Browser, visitor: Callable[..., Visitor]
) -> None:
    """It opens the link of a letter in a browser, waits for the page, and reads all of it."""
    cid = visitor()
    cid.sign_up("cid")
    link = link_in(mail.wait_for("cid@example.com", CONFIRM))
    for _ in range(2):
        context = browser.new_context()
        page: Page = context.new_page()
        page.goto(link, wait_until="networkidle")
        page.mouse.wheel(0, 2000)
        page.content()
        context.close()

    cid.page.goto(link)
    cid.send()
    cid.sees("Your account", "/account")
    expect(cid.page.get_by_role("status")).to_have_text("Your e-mail address is verified.")
