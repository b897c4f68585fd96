"""What happens and how things stand, in the console, in Chromium."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Response, expect

from tests.browser.visitors import PASSWORD, Visitor, check_widths, photograph
from tests.support.server import Server

pytestmark = pytest.mark.browser

PAGES = ("overview", "sessions", "events", "events?who=nobody", "sessions?q=nobody", "settings")
ROWS = "[data-live] tr"
MAX_BYTES, MAX_REQUESTS = 60 * 1024, 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a server with an administrator."""
    with Server(tmp_path) as server:
        command(server, "user", "create", "root", "root@example.com", "--admin")
        yield server


def command(server: Server, *arguments: str) -> None:
    """Run a command; one that makes a user gets the password."""
    password = ("--password-stdin",) if arguments[:2] == ("user", "create") else ()
    done = server.command(*arguments, *password, typed=f"{PASSWORD}\n" if password else "")
    assert done.returncode == 0, done.stderr


def sign_in_elsewhere(server: Server, name: str) -> None:
    """Sign in by the API: an event."""
    body = {"username": name, "password": PASSWORD}
    assert httpx2.post(f"{server.url}/api/auth/signin", json=body).status_code == 200


def test_events_appear_as_they_happen_until_the_right_to_see_them_is_taken(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    command(server, "role", "create", "auditor", "--permission", "events:read")
    command(server, "user", "create", "olga", "olga@example.com", "--role", "auditor")
    command(server, "user", "create", "ann", "ann@example.com")
    olga = visitor()
    olga.sign_in("olga")
    olga.open("/admin")
    olga.sees("Events", "/admin/events")
    live = olga.page.locator("[data-is-live]")
    expect(live).to_be_visible()
    before = olga.page.locator(ROWS).count()

    sign_in_elsewhere(server, "ann")
    expect(olga.page.locator(ROWS)).to_have_count(before + 1)
    first = olga.page.locator(ROWS).first
    expect(first).to_contain_text("session.opened")
    expect(first).to_contain_text("ann")
    photograph(olga.page, "admin-events-live")

    olga.press("Pause")
    expect(live).to_be_hidden()
    sign_in_elsewhere(server, "ann")
    olga.press("Go on")
    expect(olga.page.locator(ROWS)).to_have_count(before + 2)

    command(server, "user", "revoke", "olga", "auditor")
    expect(live).to_be_hidden()
    sign_in_elsewhere(server, "ann")
    first.get_by_role("link").click()
    olga.sees("No access")


def test_without_scripts_there_is_a_link_to_reload(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    root = visitor(java_script_enabled=False)
    root.sign_in("root")
    root.open("/admin/events?name=session.opened")
    before = root.page.locator(ROWS).count()
    sign_in_elsewhere(server, "root")

    root.page.get_by_role("link", name="Reload").click()

    expect(root.page.locator(ROWS)).to_have_count(before + 1)
    expect(root.page.get_by_role("button", name="Pause")).to_be_hidden()
    root.page.locator(ROWS).first.get_by_role("link").click()
    root.sees("session.opened")


def test_the_pages_can_be_read_by_everybody_on_every_screen(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    """axe-core finds nothing, nothing is scrolled sideways, and little is loaded."""
    root = visitor()
    root.sign_in("root")
    root.page.wait_for_load_state("networkidle")
    for path in PAGES:
        loaded: list[int] = []

        def note(response: Response, loaded: list[int] = loaded) -> None:
            if "event-stream" not in response.headers.get("content-type", ""):
                loaded.append(int(response.headers.get("content-length", "0")))

        root.page.on("response", note)
        root.open(f"/admin/{path}")
        root.page.remove_listener("response", note)
        assert len(loaded) <= MAX_REQUESTS, path
        assert sum(loaded) <= MAX_BYTES, (path, loaded)
        check_widths(root.page, f"admin-{path.partition('?')[0]}", (1440, 768, 360))
