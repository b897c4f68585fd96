"""The console in Chromium: its keys, what it does to people at once, its look, what it loads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request, expect

from tests.browser.test_outbox import open_letter
from tests.browser.test_pages import look
from tests.browser.visitors import PASSWORD, Visitor
from tests.support.server import Server

pytestmark = pytest.mark.browser

BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
MAX_BYTES, MAX_REQUESTS = 60 * 1024, 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a server in development, whose letters are in its outbox; `root` administers it."""
    server = Server(tmp_path)
    server.environment["GATELODGE_PUBLIC_URL"] = server.url
    with server:
        add(server, "root", "--admin")
        yield server


def add(server: Server, name: str, *options: str) -> None:
    """Make a user by a command."""
    made = server.command(
        *("user", "create", name, f"{name}@example.com", "--password-stdin", *options),
        typed=f"{PASSWORD}\n",
    )
    assert made.returncode == 0, made.stderr


def row_of(visitor: Visitor, name: str) -> str:
    """Return the address of a user's page, from the list of users."""
    visitor.open(f"/admin/users?q={name}")
    return str(visitor.page.locator(".rows .opens").first.get_attribute("href"))


@BOTH
def test_a_moderator_is_made_and_unmade_and_sees_it_on_the_next_click(
    server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    bob, root = (visitor(java_script_enabled=scripts) for _ in range(2))
    bob.sign_up("bob")
    root.sign_in("root")
    root.page.locator("details.menu summary").click()
    root.page.get_by_role("link", name="Admin", exact=True).click()
    root.sees("Overview", "/admin/overview")
    root.page.locator(".side").get_by_role("link", name="Users").click()
    root.page.get_by_role("link", name="bob", exact=True).click()
    root.sees("bob")
    root.page.locator("section", has=root.page.locator("#roles")).get_by_role("link").click()
    root.sees("Roles of bob")
    root.page.get_by_label("moderator").check()
    root.press("Save roles")
    expect(root.page.get_by_role("status")).to_have_text("The roles are saved.")

    bob.open("/boards/user")
    bob.page.locator(".side").get_by_role("link", name="Moderator board").click()
    bob.sees("Moderator board", "/boards/mod")

    root.page.locator("section", has=root.page.locator("#roles")).get_by_role("link").click()
    root.page.get_by_label("moderator").uncheck()
    root.press("Save roles")
    bob.page.reload()
    bob.sees("No access")


@BOTH
def test_whoever_is_disabled_is_out_on_the_next_click(
    server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    bob, root = (visitor(java_script_enabled=scripts) for _ in range(2))
    bob.sign_up("bob")
    root.sign_in("root")
    root.open(row_of(root, "bob"))
    root.page.get_by_role("link", name="Disable").click()
    root.sees("Disable bob?")
    root.send(reason="Sends spam.")
    root.sees("bob")
    expect(root.page.locator("main")).to_contain_text("Reason: Sends spam.")

    bob.page.locator(".side").get_by_role("link", name="Your account").click()
    bob.sees("Sign in", "/sign-in")


@BOTH
def test_somebody_is_invited_and_accepts(
    server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    root, dan = (visitor(java_script_enabled=scripts) for _ in range(2))
    root.sign_in("root")
    root.open("/admin/users")
    root.page.get_by_role("link", name="Invite", exact=True).click()
    root.page.get_by_label("moderator").check()
    root.send(email="dan@example.com")
    root.sees("Invitations", "/admin/invitations")
    expect(root.page.locator("main")).to_contain_text("dan@example.com")

    open_letter(dan.page, f"{server.url}/dev/outbox")
    link = dan.page.locator("main .letter").first.locator("a", has_text="/invitation?token=")
    dan.page.goto(str(link.get_attribute("href")))
    dan.send(username="dan", password=PASSWORD)
    dan.open("/boards/mod")
    dan.sees("Moderator board")
    root.page.reload()
    expect(root.page.locator("main")).to_contain_text("Nobody is invited")


def test_the_console_is_walked_by_keys_alone(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    for name in ("bob", "carol", "dave"):
        add(server, name)
    root = visitor()
    root.sign_in("root")
    root.open("/admin/users?order=username")
    keys = root.page.keyboard
    keys.press("j")
    expect(root.page.get_by_role("link", name="bob", exact=True)).to_be_focused()
    keys.press("j")
    keys.press("j")
    keys.press("k")
    expect(root.page.get_by_role("link", name="carol", exact=True)).to_be_focused()
    keys.press("x")
    expect(root.page.get_by_label("Choose carol")).to_be_checked()
    expect(root.page.locator("[data-told]")).to_have_text("1 chosen")
    keys.press("j")
    expect(root.page.get_by_role("link", name="dave", exact=True)).to_be_focused()
    keys.press("Enter")
    root.sees("dave")

    keys.press("g")
    keys.press("u")
    root.sees("Users", "/admin/users")
    keys.press("/")
    expect(root.page.locator("#q")).to_be_focused()
    keys.type("bo/j?")
    expect(root.page.locator("#q")).to_have_value("bo/j?")
    for _ in "/j?":
        keys.press("Backspace")
    keys.press("Enter")
    expect(root.page.locator(".rows .opens")).to_have_text(["bob"])

    keys.press("?")
    dialog = root.page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_keys_can_be_switched_off(server: Server, visitor: Callable[..., Visitor]) -> None:
    """Whoever dictates to a machine presses keys that they do not mean (WCAG 2.2, 2.1.4)."""
    root = visitor()
    root.sign_in("root")
    root.open("/admin/users")
    root.page.get_by_role("button", name="Keyboard").click()
    root.page.get_by_label("These keys work in this browser").uncheck()
    root.press("Close")
    root.page.keyboard.press("j")
    expect(root.page.locator(".rows .opens").first).not_to_be_focused()
    root.page.reload()
    root.page.keyboard.press("?")
    expect(root.page.get_by_role("dialog")).to_be_hidden()
    expect(root.page.locator(".search kbd")).to_be_hidden()
    root.page.get_by_role("button", name="Keyboard").click()
    root.page.get_by_label("These keys work in this browser").check()
    root.press("Close")
    root.page.keyboard.press("/")
    expect(root.page.locator("#q")).to_be_focused()


@BOTH
def test_several_are_acted_on_at_once(
    server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    for name in ("bob", "carol", "dave"):
        add(server, name)
    root = visitor(java_script_enabled=scripts)
    root.sign_in("root")
    root.open("/admin/users?order=username")
    if scripts:
        every = root.page.get_by_label("Choose all")
        every.check()
        expect(root.page.locator("[data-told]")).to_have_text("4 chosen")
        root.page.get_by_label("Choose root").uncheck()
        root.page.get_by_label("Choose dave").uncheck()
        expect(root.page.locator("[data-told]")).to_have_text("2 chosen")
        assert every.evaluate("each => each.indeterminate")
    else:
        for name in ("bob", "carol"):
            root.page.get_by_label(f"Choose {name}").check()
    root.page.get_by_label("What to do").select_option("disable")
    root.press("Go on")
    root.sees("Disable 2 users?", "/admin/users/selected")
    root.press("Disable them")
    root.sees("Done: 2 of 2")
    root.page.get_by_role("link", name="Back to the users").click()
    root.sees("Users", "/admin/users")
    assert "order=username" in root.page.url
    expect(root.page.locator(".rows", has_text="disabled")).to_have_count(1)
    expect(root.page.locator(".rows .tag.bad")).to_have_count(2)


@BOTH
def test_a_filter_is_set_and_taken_away(
    server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    for name in ("bob", "carol"):
        add(server, name)
    root = visitor(java_script_enabled=scripts)
    root.sign_in("root")
    root.open("/admin/users")
    root.page.locator(".filters summary").click()
    root.page.get_by_label("Role").select_option("admin")
    root.press("Show")
    expect(root.page.locator(".rows .opens")).to_have_text(["root"])
    root.page.get_by_role("link", name="Without: Role: admin").click()
    expect(root.page.locator(".rows .opens")).to_have_count(3)


def test_every_page_of_users_can_be_used_and_looks_well(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    """In English, and the list in German, where words are longer."""
    root = visitor()
    root.sign_in("root")
    root.open("/admin/users")
    look(root, "admin-users-alone")
    for name in ("bob", "w" * 32):
        add(server, name)
    bob = row_of(root, "bob")
    root.open("/admin/invitations")
    look(root, "admin-invitations-none")
    for path, name in (
        ("/admin/users", "admin-users"),
        ("/admin/users?q=nobody", "admin-users-none"),
        ("/admin/users?role=user&state=enabled", "admin-users-filtered"),
        ("/admin/users/new", "admin-user-new"),
        (bob, "admin-user"),
        (f"{bob}/edit", "admin-user-edit"),
        (f"{bob}/roles", "admin-user-roles"),
        (f"{bob}/disable", "admin-user-disable"),
        (f"{bob}/delete", "admin-user-delete"),
        (f"/admin/users/selected?act=grant&user={bob.rpartition('/')[2]}", "admin-selected"),
        ("/admin/invitations/new", "admin-invite"),
        ("/admin/users/usr_x", "admin-404"),
    ):
        root.open(path)
        look(root, name)
    root.open("/admin/users")
    root.page.locator(".filters summary").click()
    look(root, "admin-users-filters")
    root.page.keyboard.press("Escape")
    root.open(f"{bob}/disable")
    root.send()
    look(root, "admin-user-disabled")
    german = visitor(locale="de-DE")
    german.sign_in("root")
    for path, name in (("/admin/users", "users"), (bob, "user")):
        german.open(path)
        look(german, f"admin-{name}-german")


def test_a_page_loads_little(server: Server, visitor: Callable[..., Visitor]) -> None:
    """What a browser loads that has nothing of it yet, the icon included."""
    root = visitor()
    root.sign_in("root")
    for path in ("/admin/users", "/admin/invitations"):
        fresh = visitor(storage_state=root.context.storage_state())
        asked: list[Request] = []
        fresh.page.on("request", lambda each, asked=asked: asked.append(each))
        fresh.open(path)
        fresh.page.wait_for_load_state("networkidle")
        sizes = {
            urlsplit(each.url).path: len(each.response().body())
            for each in asked
            if not each.url.startswith("data:")
        }

        assert path in sizes
        assert len(sizes) <= MAX_REQUESTS, sizes
        assert sum(sizes.values()) <= MAX_BYTES, sizes
