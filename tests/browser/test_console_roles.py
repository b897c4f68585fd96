"""Roles, letters and keys in the console, in Chromium."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_pages import SMALL_TARGETS
from tests.browser.visitors import PASSWORD, Visitor, check_widths
from tests.support.server import Server

pytestmark = pytest.mark.browser

WIDTHS = (1440, 768, 360)
TOO_SMALL = SMALL_TARGETS.replace(".skip", ".skip, .opens")
"""The same as elsewhere, but for links that their whole row follows."""


def new_user(server: Server, name: str, *roles: str) -> None:
    """Make somebody by a command."""
    given = [part for role in ("user", *roles) for part in ("--role", role)]
    arguments = ("user", "create", name, f"{name}@example.com", *given, "--password-stdin")
    assert server.command(*arguments, typed=f"{PASSWORD}\n").returncode == 0


def new_role(server: Server, name: str, *permissions: str) -> None:
    """Make a role by a command."""
    given = [part for each in permissions for part in ("--permission", each)]
    assert server.command("role", "create", name, *given).returncode == 0


def box(page: Page, role: str, permission: str) -> Locator:
    """Return the box where a role and a permission meet, by its name for screen readers."""
    return page.get_by_role("checkbox", name=re.compile(rf"^{permission}\b.* {role}\b"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_moderator_enters_the_board_after_the_table_was_changed(
    server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    """On their next click; and it is taken away likewise."""
    new_role(server, "keeper", "pages:edit")
    new_user(server, "adele", "admin")
    new_user(server, "ben", "keeper")
    ben = visitor(java_script_enabled=scripts)
    ben.sign_in("ben")
    ben.open("/boards/mod")
    ben.sees("No access")
    adele = visitor(java_script_enabled=scripts)
    adele.sign_in("adele")

    adele.open("/admin/roles")
    box(adele.page, "keeper", "boards:moderate").check()
    adele.press("Look at the changes")
    adele.sees("Change roles?", "/admin/roles/changes")
    expect(adele.page.get_by_role("main")).to_contain_text("Users who gain it: 1")
    expect(adele.page.get_by_role("main").get_by_text("ben", exact=True)).to_be_visible()
    ben.page.reload()
    ben.sees("No access")
    adele.press("Make this change")
    expect(adele.page.get_by_role("status")).to_contain_text("The roles are changed.")
    ben.page.reload()
    ben.sees("Moderator board")

    box(adele.page, "keeper", "boards:moderate").uncheck()
    adele.press("Look at the changes")
    adele.press("Make this change")
    ben.page.reload()
    ben.sees("No access")


def test_the_pages_of_roles_letters_and_keys_are_for_everybody(
    visitor: Callable[..., Visitor], server: Server
) -> None:
    """At every width: nothing for axe to find, nothing too small, nothing that scrolls sideways."""
    new_role(server, "editor", "pages:edit", "pages:print")
    new_role(server, "support-of-the-second-line", "users:read", "letters:manage", "events:read")
    new_user(server, "adele", "admin")
    for name in ("ben", "carol"):
        new_user(server, name, "editor")
    adele = visitor()
    adele.sign_in("adele")
    adele.open("/forgot")
    adele.send(email="ben@example.com")
    pages = {
        "roles": "/admin/roles",
        "roles-none": "/admin/roles?q=nothing",
        "role": "/admin/roles/role?role=editor",
        "role-new": "/admin/roles/new",
        "role-delete": "/admin/roles/delete?role=editor",
        "role-changes": "/admin/roles/changes?give=editor/a:b+user/a:b&take=editor/pages:edit",
        "letters": "/admin/letters",
        "letters-none": "/admin/letters?state=given_up",
        "keys": "/admin/keys",
        "key-rotate": "/admin/keys/rotate",
    }
    for name, path in pages.items():
        adele.open(path)
        check_all(adele.page, name)
    adele.open("/admin/letters")
    adele.page.locator(".opens").first.click()
    check_all(adele.page, "letter")
    adele.open("/admin/keys")
    adele.page.get_by_role("link", name="Drop").click()
    adele.sees("Drop this key?")
    check_all(adele.page, "key-retire")


def check_all(page: Page, name: str) -> None:
    """Check what holds for every page, the narrowest window last."""
    check_widths(page, f"console-{name}", WIDTHS)
    assert page.evaluate(TOO_SMALL) == []


def test_a_key_is_dropped_and_whoever_drops_it_stays_signed_in(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    new_user(server, "adele", "admin")
    adele = visitor()
    adele.sign_in("adele")
    adele.open("/admin/keys")
    adele.page.get_by_role("link", name="Drop").click()
    adele.press("Drop the key")

    adele.sees("Keys", "/admin/keys")
    expect(adele.page.get_by_role("status")).to_contain_text("The key is dropped.")
    expect(adele.page.locator("main li")).to_have_count(2)
