"""People with browsers, who visit the pages of a server."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import DEFAULT_OPTIONS, Axe
from playwright.sync_api import BrowserContext, Page, Request, expect

from tests.browser.waiting import until_it_fits
from tests.support.server import Server

PASSWORD = "correct horse battery"
AXE: str = Axe().axe_script
"""The program axe-core, which finds what keeps people from using a page."""

CONTRAST = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""Options of `flaws`: only whether text and links stand out, which is all that colours change."""

SCHEMES: Mapping[Literal["light", "dark"], Mapping[str, Any]] = {"light": {}, "dark": CONTRAST}
"""The colour schemes, and with which options of `flaws` a page is checked in each."""

SCREENSHOTS = Path(__file__).parent / "screenshots"


def photograph(page: Page, name: str, *, width: int | None = None) -> None:
    """Write what the page looks like into `screenshots/`, if `GATELODGE_SCREENSHOTS` is 1.

    Args:
        page: the page, which is written from top to bottom.
        name: the name of the file, without its ending.
        width: how wide the window is; None: as it is.
    """
    if os.environ.get("GATELODGE_SCREENSHOTS") == "1":
        if width is not None:
            page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def flaws(page: Page, **options: Any) -> list[tuple[str, str]]:
    """Return what axe-core finds wrong with a page: rules, and pieces of HTML that break them.

    Args:
        page: the page, as it is shown now.
        options: options of axe-core, in place of those that its package for Python has.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate(
        "async options => (await axe.run(document, options)).violations", DEFAULT_OPTIONS | options
    )
    return [(each["id"], node["html"]) for each in found for node in each["nodes"]]


def check(page: Page, width: int, name: str = "") -> None:
    """Check that everybody can use a page, and that nothing is scrolled sideways.

    axe-core finds no violation in the light scheme, and enough contrast in the dark one.

    Args:
        page: the page.
        width: how wide its window is.
        name: a name for photographs of it in both schemes; empty: there are none.
    """
    until_it_fits(page, width)
    for scheme, options in SCHEMES.items():
        page.emulate_media(color_scheme=scheme)
        assert flaws(page, **options) == [], (page.url, scheme)
        if name:
            photograph(page, f"{name}-{width}-{scheme}")


def check_widths(page: Page, name: str, widths: Iterable[int]) -> None:
    """Check a page in windows of several widths; see `check`."""
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        check(page, width, name)


@dataclass
class Visitor:
    """A person with a browser. Everything that goes wrong in it is noted.

    Attributes:
        mishaps: console errors, exceptions, failed requests, and requests to other servers.
    """

    server: Server
    context: BrowserContext
    mishaps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open a tab, and listen to what happens in it."""
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.mishaps.append(str(error)))
        self.page.on("requestfailed", self._note_failure)
        self.page.on("request", self._note_stranger)
        self.page.on("console", self._note_message)

    def open(self, path: str) -> None:
        """Go to a page."""
        self.page.goto(self.server.url + path)

    def send(self, **fields: str) -> None:
        """Fill in the form and press its button."""
        for name, value in fields.items():
            self.page.locator(f"#{name}").fill(value)
        self.page.locator("main form button:not([type])").first.click()

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def sign_out(self) -> None:
        """Sign out with the button in the account's menu."""
        self.page.locator("details.menu summary").click()
        self.press("Sign out")

    def sign_up(self, name: str) -> None:
        """Make an account."""
        self.open("/sign-up")
        self.send(username=name, email=f"{name}@example.com", password=PASSWORD)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Sign in."""
        self.open("/sign-in")
        self.send(username=name, password=password)

    def sees(self, heading: str, path: str | None = None) -> None:
        """Check the heading of the page, and its path if one is given."""
        expect(self.page.locator("h1")).to_have_text(heading)
        if path is not None:
            assert urlsplit(self.page.url).path == path

    def _note_stranger(self, request: Request) -> None:
        if not request.url.startswith((self.server.url, "data:")):
            self.mishaps.append(request.url)

    def _note_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the visitor left before the answer came
            self.mishaps.append(f"{request.url}: {request.failure}")

    def _note_message(self, message: Any) -> None:
        # Chromium reports every page with a 4xx status as an error. The page has no error.
        refused = "Failed to load resource: the server responded with a status of 4"
        if message.type in {"error", "warning"} and not message.text.startswith(refused):
            self.mishaps.append(message.text)
