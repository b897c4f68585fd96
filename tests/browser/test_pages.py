"""The hosted pages in Chromium: the whole walk, their look, and their accessibility."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.visitors import PASSWORD, SCHEMES, Visitor, check, photograph
from tests.browser.waiting import until_it_fits
from tests.support.server import Server

pytestmark = pytest.mark.browser

NEW_PASSWORD = "another horse battery"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
"""All that depends on the colour scheme."""

SMALL_TARGETS = """() => [...document.querySelectorAll("a:not(.skip), button, input, summary")]
    .filter((each) => each.checkVisibility())
    .map((each) => [each, each.matches(".opens") ? each.closest("tr, li") : each.closest("label")])
    .map(([each, around]) => [each.outerHTML, (around ?? each).getBoundingClientRect()])
    .filter(([, { width, height }]) => Math.min(width, height) < 44)
    .map(([html, { width, height }]) => `${html}: ${width} by ${height}`)"""
"""What is too small for a finger (WCAG 2.2, criterion 2.5.5)."""


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_whole_walk(server: Server, visitor: Callable[..., Visitor], scripts: bool) -> None:
    """The walk begins with the link from the terminal, and ends with a deleted account."""
    root = visitor(java_script_enabled=scripts)
    root.open(setup_link(server))
    root.sees("Set up Gatelodge", "/setup")
    root.send(username="root", email="root@example.com", password=PASSWORD)
    root.sees("Overview", "/admin/overview")
    root.open("/boards/admin")
    root.sees("Admin board")
    root.open("/boards/mod")
    root.sees("No access")
    root.sign_out()
    expect(root.page.get_by_role("status")).to_have_text("You are signed out.")
    root.sees("Welcome to Gatelodge", "/")

    ann = visitor(java_script_enabled=scripts)
    ann.open("/boards/user")
    ann.sees("Sign in", "/sign-in")
    ann.page.get_by_role("link", name="Create an account").click()
    ann.send(username="ann", email="ann@example.com", password="password")
    ann.sees("Create an account", "/sign-up")
    expect(ann.page.locator("#password-problem")).to_contain_text("one of the most common")
    expect(ann.page.locator("#username")).to_have_value("ann")
    expect(ann.page.locator("#password")).to_have_value("")
    expect(ann.page.locator("#password")).to_be_focused()
    ann.send(password=PASSWORD)
    ann.sees("User board", "/boards/user")

    server.command("user", "grant", "ann", "moderator")
    ann.page.reload()
    ann.page.locator(".side").get_by_role("link", name="Moderator board").click()
    ann.sees("Moderator board")

    phone = visitor(java_script_enabled=scripts, user_agent=IPHONE)
    phone.sign_in("ann")
    ann.open("/account")
    expect(ann.page.get_by_text("Safari on iPhone")).to_be_visible()
    ann.page.locator("main li").filter(has_text="Safari").get_by_role("button").click()
    expect(ann.page.get_by_role("status")).to_have_text("That device is signed out.")
    phone.open("/account")
    phone.sees("Sign in")

    phone.sign_in("ann")
    ann.page.locator("main").get_by_role("link", name="Change password").click()
    ann.send(currentPassword=PASSWORD, newPassword=NEW_PASSWORD)
    ann.sees("Your account", "/account")
    ann.page.go_back()
    ann.page.go_forward()
    ann.sees("Your account")
    phone.open("/account")
    phone.sees("Sign in")
    phone.send(username="ann", password=NEW_PASSWORD)
    phone.sees("Your account")

    ann.press("Sign out everywhere")
    ann.sees("Welcome to Gatelodge")
    phone.page.reload()
    phone.sees("Sign in")
    phone.send(username="ann", password=NEW_PASSWORD)
    phone.page.get_by_role("link", name="Delete account").click()
    phone.sees("Delete your account?", "/account/delete")
    phone.open("/sign-in/again?next=/account/delete")
    phone.sees("Is it you?")
    phone.send(password=PASSWORD)
    expect(phone.page.locator("#password-problem")).to_contain_text("not your current password")
    phone.send(password=NEW_PASSWORD)
    phone.sees("Delete your account?", "/account/delete")
    phone.send()
    expect(phone.page.get_by_role("status")).to_have_text("Your account is deleted.")


def test_every_page_can_be_used_and_looks_well(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    """axe-core finds no violation in the light scheme, and enough contrast in the dark one.

    At a width of 320 pixels, no page has to be scrolled sideways.
    """
    root = visitor()
    for path, name in (
        ("/", "home"),
        ("/sign-up", "sign-up"),
        ("/sign-in", "sign-in"),
        ("/forgot", "forgot"),
        ("/stop?token=x", "link-over"),
    ):
        root.open(path)
        look(root, name)
    root.open("/sign-up")
    root.send()
    look(root, "sign-up-refused")
    root.sign_in("nobody")
    look(root, "sign-in-refused")
    root.open("/forgot")
    root.send(email="nobody@example.com")
    look(root, "reset-password")
    root.send(code="AAAA-AAAA", password=PASSWORD)
    look(root, "reset-password-refused")
    root.open("/nowhere")
    look(root, "404")
    root.open("/setup")
    look(root, "setup-over")
    root.open(setup_link(server))
    look(root, "setup")
    root.send(username="root", email="root@example.com", password=PASSWORD)
    look(root, "account-made")
    server.command("user", "grant", "root", "moderator")
    visitor(user_agent=IPHONE).sign_in("root")
    for path, name in (
        ("/", "home-signed-in"),
        ("/account", "account"),
        ("/account/profile", "profile"),
        ("/account/password", "password"),
        ("/account/email", "email"),
        ("/account/delete", "delete"),
        ("/boards/user", "board"),
        ("/sign-out", "sign-out"),
    ):
        root.open(path)
        look(root, name)
    root.open("/account/delete")
    root.send()
    look(root, "delete-refused")
    root.open("/sign-in/again")
    look(root, "again")
    root.send(password="wrong horse battery")
    look(root, "again-refused")
    ann = visitor(locale="de-DE")
    ann.sign_up("ann")
    ann.open("/boards/admin")
    look(ann, "403-german")
    ann.open("/account")
    look(ann, "account-german")
    ann.open("/verify-email")
    look(ann, "verify-email-german")


def test_a_password_can_be_shown_pasted_and_is_hidden_when_it_is_sent(
    visitor: Callable[..., Visitor],
) -> None:
    """The eye leaves the focus and the cursor where they are."""
    ann = visitor()
    ann.open("/sign-up")
    password = ann.page.locator("#password")
    eye = ann.page.get_by_role("button", name="Show: Password")
    password.focus()
    ann.page.keyboard.insert_text(PASSWORD)
    for _ in range(3):
        ann.page.keyboard.press("ArrowLeft")
    eye.click()
    expect(password).to_have_attribute("type", "text")
    expect(eye).to_have_attribute("aria-pressed", "true")
    expect(password).to_be_focused()
    ann.page.keyboard.type("!")
    eye.click()
    expect(password).to_have_attribute("type", "password")
    expect(eye).to_have_attribute("aria-pressed", "false")
    expect(password).to_have_value(PASSWORD[:-3] + "!" + PASSWORD[-3:])
    eye.focus()
    ann.page.keyboard.press("Space")
    expect(eye).to_be_focused()
    expect(password).to_have_attribute("type", "text")


def test_mistakes_are_told_as_one_types(visitor: Callable[..., Visitor]) -> None:
    """Not before a field was left; from then on with each key, by the server's own rules."""
    ann = visitor()
    ann.open("/sign-up")
    name, problem = ann.page.locator("#username"), ann.page.locator("#username-problem")
    name.press_sequentially("an")
    expect(problem).to_be_hidden()
    name.press("Tab")
    expect(problem).to_have_text("A username has 3 to 32 characters.")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_attribute("aria-describedby", "username-problem")
    name.press("End")
    name.press_sequentially("n")
    expect(problem).to_be_hidden()
    assert name.get_attribute("aria-invalid") is None
    expect(name).to_have_attribute("aria-describedby", "username-hint")
    name.press_sequentially(" é")
    expect(problem).to_have_text("A username cannot contain spaces or invisible characters.")
    for name_of, text, sentence in (
        ("#email", "ann@", "Enter an e-mail address, such as name@example.com."),
        ("#password", "seven", "Use at least 8 characters."),
    ):
        ann.page.locator(name_of).fill(text)
        ann.page.locator(name_of).press("Tab")
        expect(ann.page.locator(f"{name_of}-problem")).to_have_text(sentence)
    ann.send()
    expect(ann.page.locator(".problem:visible")).to_have_count(3)
    expect(name).to_be_focused()
    ann.page.locator("#username").fill("ann")
    expect(problem).to_be_hidden()


def test_back_and_reload_send_no_form_again(visitor: Callable[..., Visitor]) -> None:
    ann = visitor()
    ann.sign_in("nobody")
    expect(ann.page.locator("#password-problem")).to_be_visible()
    posts: list[str] = []
    ann.page.on("request", lambda each: posts.append(each.url) if each.method == "POST" else None)
    ann.page.reload()
    ann.sees("Sign in", "/sign-in")
    expect(ann.page.locator("#password-problem")).to_have_count(0)
    ann.page.get_by_role("link", name="Create an account").click()
    ann.sees("Create an account")
    ann.page.go_back()
    ann.sees("Sign in", "/sign-in")

    assert posts == []


def test_a_tab_that_was_signed_out_elsewhere_says_so(visitor: Callable[..., Visitor]) -> None:
    ann = visitor()
    ann.sign_up("ann")
    ann.open("/account/password")
    other = ann.context.new_page()
    other.goto(ann.server.url + "/sign-out")
    other.get_by_role("button", name="Sign out").last.click()
    expect(other.get_by_role("status")).to_have_text("You are signed out.")

    ann.send(currentPassword=PASSWORD, newPassword=NEW_PASSWORD)

    ann.sees("Sign in", "/sign-in")
    told = "You were signed out. Please sign in again."
    expect(ann.page.get_by_role("status")).to_have_text(told)
    ann.send(username="ann", password=PASSWORD)
    ann.sees("Change password", "/account/password")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_menu_opens_and_closes(visitor: Callable[..., Visitor], scripts: bool) -> None:
    ann = visitor(java_script_enabled=scripts)
    ann.sign_up("ann")
    button = ann.page.get_by_role("button", name="Sign out")
    expect(button).to_be_hidden()
    ann.page.locator("summary").click()
    expect(button).to_be_visible()
    if scripts:
        ann.page.keyboard.press("Escape")
        expect(button).to_be_hidden()
        expect(ann.page.locator("summary")).to_be_focused()
        ann.page.keyboard.press("Enter")
        ann.page.locator("h1").click()
        expect(button).to_be_hidden()
        ann.page.locator("summary").press("Enter")
        for _ in ("Your account", "Change password", "Sign out"):
            ann.page.keyboard.press("Tab")
            expect(button).to_be_visible()
        ann.page.keyboard.press("Tab")
        expect(button).to_be_hidden()


def test_while_a_form_is_sent_its_button_says_so(visitor: Callable[..., Visitor]) -> None:
    """And if the answer does not come in, the button works again: Back or Escape end the wait."""
    ann = visitor()
    ann.open("/sign-in")
    button = ann.page.locator("main .button").first
    ann.page.evaluate(
        "addEventListener('submit', (event) => event.preventDefault())"
    )  # the page stays
    ann.send(username="ann", password=PASSWORD)
    expect(button).to_have_text("Signing in…")
    assert button.evaluate("each => getComputedStyle(each, '::before').animationName") == "turn"
    photograph(ann.page, "busy", width=360)
    ann.page.evaluate("dispatchEvent(new Event('pageshow'))")
    expect(button).to_have_text("Sign in")


def test_nothing_scrolls_sideways_with_long_names(
    visitor: Callable[..., Visitor], tmp_path: Path
) -> None:
    """With a name of 32 letters, three roles and a long name of the site, at 320 pixels."""
    name, long = "w" * 32, "Würstchenwettbewerbe und Wanderungen GmbH"[:40]
    with Server(tmp_path, site_name=long) as server:
        ann = visitor(viewport={"width": 320, "height": 640})
        ann.server = server
        ann.open("/")
        site = ann.page.locator(".bar .brand span").last
        assert site.evaluate("each => each.clientWidth") > 200  # the links are on the page
        ann.sign_up(name)
        for role in ("moderator", "admin"):
            server.command("user", "grant", name, role)
        ann.open("/account/profile")
        ann.send(name="W" * 100)
        ann.sees("Your account", "/account")
        for path in ("/", "/account", "/account/password", "/boards/user", "/sign-out", "/nowhere"):
            ann.open(path)
            until_it_fits(ann.page, 320)
            menu = ann.page.locator("details.menu")
            menu.locator("summary").click()
            until_it_fits(ann.page, 320)
            expect(menu.locator(".sheet p")).to_have_text(f"You are signed in as {name}.")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_somebody_is_called_something_else(
    visitor: Callable[..., Visitor], tmp_path: Path, scripts: bool
) -> None:
    """Where usernames may be changed: every mistake beside its field, then the notice, once."""
    with Server(tmp_path, username_change="on") as server:
        ann = visitor(java_script_enabled=scripts)
        ann.server = server
        ann.sign_up("ann")
        ann.open("/account")
        ann.page.locator("main").get_by_role("link", name="Edit profile").click()
        ann.sees("Edit profile", "/account/profile")
        expect(ann.page.locator("#username")).to_have_value("ann")
        ann.send(name="Ann of Green Gables", username="a")
        expect(ann.page.locator("#username-problem")).to_contain_text("3 to 32 characters")
        expect(ann.page.locator("#username")).to_be_focused()
        expect(ann.page.locator("#name")).to_have_value("Ann of Green Gables")
        if scripts:
            look(ann, "profile-refused")
        ann.send(username="anna")
        ann.sees("Your account", "/account")
        expect(ann.page.get_by_role("status")).to_have_text("Your profile is saved.")
        expect(ann.page.locator(".facts")).to_contain_text("Ann of Green Gables")
        expect(ann.page.locator("details.menu summary")).to_contain_text("anna")
        if scripts:
            look(ann, "account-renamed")
        ann.page.reload()
        expect(ann.page.get_by_role("status")).to_have_count(0)
        ann.sign_out()
        ann.sign_in("anna")
        ann.sees("Hello, Ann of Green Gables", "/")


def test_without_scripts_nothing_is_offered_that_needs_them(
    visitor: Callable[..., Visitor],
) -> None:
    ann = visitor(java_script_enabled=False)
    ann.open("/sign-up")

    expect(ann.page.locator("[data-reveals]")).to_be_hidden()


def test_times_are_those_of_the_readers_zone(visitor: Callable[..., Visitor]) -> None:
    """Without scripts, a page shows the time in UTC and says so."""
    there = visitor(timezone_id="Asia/Kathmandu")
    there.sign_up("ann")
    there.open("/account")
    shown = there.page.locator("dd time")
    at = shown.get_attribute("datetime")
    expected = there.page.evaluate(
        "at => new Date(at).toLocaleString('en-GB', {dateStyle: 'medium', timeStyle: 'short'})", at
    )
    expect(shown).to_have_text(expected)

    plain = visitor(java_script_enabled=False)
    plain.sign_in("ann")
    plain.open("/account")
    expect(plain.page.locator("dd time")).to_have_text(re.compile(r" UTC$"))


def test_the_keyboard_reaches_everything_in_order(visitor: Callable[..., Visitor]) -> None:
    ann = visitor()
    ann.open("/sign-in")
    expect(ann.page.locator("#username")).to_be_focused()
    ann.page.keyboard.type("ann")
    ann.page.keyboard.press("Tab")
    expect(ann.page.locator("#password")).to_be_focused()
    ann.page.keyboard.type("wrong password")
    ann.page.keyboard.press("Enter")
    expect(ann.page.locator("#password-problem")).to_be_visible()
    expect(ann.page.locator("#username")).to_have_value("ann")
    expect(ann.page.locator("#password")).to_be_focused()
    ann.page.keyboard.press("Tab")
    expect(ann.page.get_by_role("button", name="Show: Password")).to_be_focused()
    ann.page.keyboard.press("Tab")
    expect(ann.page.get_by_role("button", name="Sign in")).to_be_focused()


def test_a_second_click_sends_nothing(visitor: Callable[..., Visitor]) -> None:
    ann = visitor()
    posts: list[str] = []
    ann.page.on("request", lambda each: posts.append(each.url) if each.method == "POST" else None)
    ann.open("/sign-up")
    ann.page.locator("#username").fill("ann")
    ann.page.locator("#email").fill("ann@example.com")
    ann.page.locator("#password").fill(PASSWORD)
    ann.page.locator("main .button").dblclick()
    ann.sees("Hello, ann")

    assert len(posts) == 1


def setup_link(server: Server) -> str:
    """Return the path of the link that the server printed."""
    found = re.search(r"/setup\?token=\S+", server.log.read_text())
    assert found is not None
    return found[0]


def look(visitor: Visitor, name: str) -> None:
    """Check a page; for people, photograph it in two widths and two colour schemes."""
    page = visitor.page
    page.set_viewport_size({"width": 320, "height": 640})
    check(page, 320)
    assert page.evaluate(SMALL_TARGETS) == [], name
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for width in (360, 1280):
            photograph(page, f"{name}-{width}-{scheme}", width=width)
