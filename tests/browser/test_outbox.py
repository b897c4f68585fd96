"""The outbox in Chromium: a newcomer reads a letter there, and its link leads on."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gatelodge.data_folder import OUTBOX
from gatelodge.letters.folder import FolderPost
from tests.browser.visitors import Visitor, flaws
from tests.support.mails import a_mail
from tests.support.server import Server

pytestmark = pytest.mark.browser

EVIL = (
    "<!doctype html><html lang='en'><head><title>x</title></head><body><p>Still here</p>"
    "<script>document.body.textContent = 'script'</script>"
    "<img alt='' src='http://127.0.0.1:9/pixel' onerror='document.body.textContent = 1'>"
    "</body></html>"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a server in development, whose links lead to it."""
    server = Server(tmp_path)
    server.environment["GATELODGE_PUBLIC_URL"] = server.url
    with server:
        yield server


def open_letter(page: Page, address: str) -> None:
    """Open the letter as soon as it is in the outbox."""
    link = page.get_by_role("link", name="Open: ")
    for _ in range(100):
        page.goto(address)
        if link.count():
            break
        page.wait_for_timeout(100)
    link.click()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_newcomer_verifies_an_address_without_a_mail_program(
    server: Server, visitor: Callable[..., Visitor], scripts: bool
) -> None:
    ann = visitor(java_script_enabled=scripts)
    ann.sign_up("ann")
    ann.open("/dev/outbox")
    if scripts:
        assert flaws(ann.page) == []

    open_letter(ann.page, f"{server.url}/dev/outbox")
    expect(ann.page.locator("main")).to_contain_text("ann@example.com")
    if scripts:
        # The frame runs no scripts, so Axe's can only try in vain to speak to it.
        assert flaws(ann.page, iframes=False) == []
    button = ann.page.frame_locator("iframe").get_by_role("link")
    with ann.context.expect_page() as opened:
        button.first.click()

    tab = opened.value
    expect(tab.locator("h1")).to_have_text("Verify your e-mail address")
    tab.get_by_role("button", name="Yes, verify it").click()
    expect(tab.get_by_role("status")).to_contain_text("verified")


def test_nothing_in_a_letter_runs_or_is_loaded(
    server: Server, visitor: Callable[..., Visitor]
) -> None:
    outbox = FolderPost(Path(server.environment["GATELODGE_DATA_DIR"]) / OUTBOX)
    with ThreadPoolExecutor(1) as elsewhere:  # Playwright has an event loop in this thread
        elsewhere.submit(asyncio.run, outbox.deliver(a_mail(subject="Evil", html=EVIL))).result()
    ann = visitor()

    for path in ("/dev/outbox?letter=ltr_0mail", "/dev/outbox/html?letter=ltr_0mail"):
        ann.open(path)
        frame = ann.page.frames[-1]
        expect(frame.locator("body")).to_contain_text("Still here")

    stopped = " ".join(ann.mishaps)
    assert stopped.count("Blocked script execution") >= 2
    assert stopped.count("/pixel: csp") == 2
    ann.mishaps.clear()
