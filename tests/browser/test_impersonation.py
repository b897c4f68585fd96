"""An administrator sees the application as a user does, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.visitors import PASSWORD, Visitor, check_widths, photograph
from tests.support.server import Server

pytestmark = pytest.mark.browser

WIDTHS = (1440, 768, 320)

WHY = "Ticket 4711: the board stays empty"


def test_eve_sees_what_bob_sees_is_refused_what_is_his_and_is_herself_again(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    """Bob, in his own browser, reads of it."""
    eve, bob = visitor(), visitor(viewport={"width": 360, "height": 740})
    eve.sign_up("eve")
    bob_id = make_support(server, "bob")
    bob.sign_in("bob")

    eve.open(f"/admin/users/{bob_id}/view-as")
    eve.sees("View as bob")
    photograph(eve.page, "view-as", width=1280)
    eve.send(reason=WHY)
    banner = eve.page.locator(".viewing")
    expect(banner).to_contain_text("eve sees this as bob does")
    expect(banner).to_contain_text(WHY)
    expect(eve.page.locator(".who")).to_have_text("bob")
    photograph(eve.page, "viewing", width=1280)
    photograph(eve.page, "viewing-narrow", width=360)
    eve.page.set_viewport_size({"width": 1280, "height": 800})

    eve.open("/boards/user")
    eve.sees("User board")
    eve.open("/account")
    expect(eve.page.locator("main")).to_contain_text("bob@example.com")
    eve.page.get_by_role("link", name="Edit profile").click()
    eve.sees("No access")
    expect(eve.page.locator("main")).to_contain_text("Only the user may do that.")
    expect(banner).to_contain_text("eve sees this as bob does")
    eve.open("/account")
    eve.press("Sign out everywhere")
    eve.sees("No access")

    bob.open("/account")
    expect(bob.page.locator("main")).to_contain_text("An administrator sees your account")
    expect(bob.page.locator("main")).to_contain_text(f"Reason: {WHY}")
    expect(bob.page.locator(".viewing")).to_have_count(0)
    photograph(bob.page, "viewed")
    bob.open("/account/activity")
    bob.sees("Recent activity")
    expect(bob.page.locator("main")).to_contain_text("began to see your account as you do")
    expect(bob.page.locator("main")).not_to_contain_text("eve")
    photograph(bob.page, "activity", width=360)

    eve.press("Stop viewing as bob")
    expect(eve.page.get_by_role("status")).to_have_text("You are yourself again.")
    expect(banner).to_have_count(0)
    expect(eve.page.locator(".who")).to_have_text("eve")
    names = {each["name"] for each in eve.context.cookies()}
    assert not [each for each in names if "parked" in each]
    assert eve.mishaps + bob.mishaps == []


def test_the_pages_are_for_everybody(server: Server, visitor: Callable[..., Visitor]) -> None:
    """axe-core finds nothing, and nothing is scrolled sideways, with a long name and reason too."""
    eve = visitor()
    eve.sign_up("eve")
    eve.open("/account/activity")
    check_widths(eve.page, "activity", WIDTHS)
    eve.open(f"/admin/users/{make_support(server, 'b' * 32)}/view-as")
    check_widths(eve.page, "view-as", WIDTHS)
    eve.send(reason="a" * 256)
    expect(eve.page.locator(".viewing")).to_be_visible()
    for path in ("/", "/account", "/account/profile"):
        eve.open(path)
        check_widths(eve.page, f"viewing{path.replace('/', '-')}", WIDTHS)


def make_support(server: Server, name: str) -> str:
    """Let Eve impersonate users; return the id of a new one."""
    server.command("role", "create", "support")
    server.command("role", "permit", "support", "users:impersonate")
    server.command("user", "grant", "eve", "support")
    made = ("user", "create", name, f"{name}@example.com", "--password-stdin")
    server.command(*made, typed=f"{PASSWORD}\n")
    shown = server.command("user", "show", name).stdout
    return next(word for word in shown.split() if word.startswith("usr_"))


def test_what_bob_ends_is_over_at_her_next_click(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    """And one click brings her own session back."""
    eve, bob = visitor(), visitor()
    eve.sign_up("eve")
    bob_id = make_support(server, "bob")
    bob.sign_in("bob")
    eve.open(f"/admin/users/{bob_id}/view-as")
    eve.send(reason=WHY)
    expect(eve.page.locator(".viewing")).to_be_visible()

    bob.open("/account")
    device = bob.page.locator("li", has_text="An administrator sees your account")
    device.get_by_role("button", name="Sign out").click()
    expect(bob.page.get_by_role("status")).to_have_text("That device is signed out.")

    eve.page.get_by_role("link", name="User board").first.click()
    eve.sees("Sign in", "/sign-in")
    eve.press("Be yourself again")
    expect(eve.page.locator(".who")).to_have_text("eve")
    assert eve.mishaps + bob.mishaps == []
