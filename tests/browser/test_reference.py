"""The reference of the API in Chromium: people read it, and try the API out in it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.browser.visitors import CONTRAST, flaws, photograph
from tests.browser.waiting import until_it_fits
from tests.support.server import Server

pytestmark = pytest.mark.browser

SIGN_IN = {"username": "ann", "password": "correct horse battery"}

REPORT = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`);
});
"""
"""Runs before the page: notes all that the policy of the page forbids, also where it is caught."""


@dataclass
class Reader:
    """Somebody who reads the reference. All that goes wrong is noted."""

    server: Server
    page: Page
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen to the page, and open it."""
        self.page.add_init_script(REPORT)
        self.page.on("request", self._note_request)
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{self.server.url}/api/docs")
        expect(self.page.get_by_role("heading", name="Gatelodge")).to_be_visible()

    def operation(self, method: str, path: str) -> Locator:
        """Return the block of one operation."""
        block = self.page.locator(f".opblock-{method}")
        return block.filter(has=self.page.locator(f'[data-path="{path}"]'))

    def execute(self, operation: Locator) -> dict[str, object]:
        """Send the request of an expanded operation; check for 200, and return the answer."""
        operation.get_by_role("button", name="Execute").click()
        live = operation.locator(".live-responses-table")
        expect(live.locator(".response-col_status").nth(1)).to_contain_text("200")
        answer: dict[str, object] = json.loads(live.locator("pre code").first.inner_text())
        return answer

    def check(self) -> None:
        """Check that nothing was asked of another origin, forbidden by the policy, or broken."""
        assert [url for url in self.asked if not url.startswith(self.server.url)] == []
        assert self.page.evaluate("window.violations") == []
        assert self.errors == []

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked.append(request.url)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)


@pytest.fixture
def reader(server: Server, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """Yield somebody who has opened the reference; check at the end that nothing went wrong."""
    body = SIGN_IN | {"email": "ann@example.com"}
    httpx2.post(f"{server.url}/api/auth/signup", json=body).raise_for_status()
    context = browser.new_context(locale="en-GB", **getattr(request, "param", {}))
    try:
        reader = Reader(server, context.new_page())
        yield reader
        reader.check()
    finally:
        context.close()


def test_somebody_authorises_with_a_token_and_asks_who_they_are(reader: Reader) -> None:
    """With the keyboard alone, up to the token."""
    answer = httpx2.post(f"{reader.server.url}/api/auth/signin", json=SIGN_IN).json()
    page = reader.page
    page.get_by_role("button", name="Authorize").first.press("Enter")
    page.get_by_label("auth-bearer-value").fill(answer["accessToken"])
    page.keyboard.press("Enter")
    page.locator(".auth-btn-wrapper").first.get_by_role("button", name="Close").press("Enter")

    me = reader.operation("get", "/api/auth/me")
    me.locator("button.opblock-summary-control").press("Enter")
    shown = reader.execute(me)

    assert (shown["username"], shown["email"]) == ("ann", "ann@example.com")
    assert f"{reader.server.url}/api/auth/me" in reader.asked


def test_somebody_signs_in_with_cookies_and_out_again(reader: Reader) -> None:
    """The page is of this origin: cookies go with its requests, and it may change something."""
    sign_in = reader.operation("post", "/api/auth/signin")
    sign_in.locator("button.opblock-summary-control").click()
    sign_in.locator("textarea.body-param__text").fill(json.dumps(SIGN_IN | {"delivery": "cookie"}))
    assert "accessToken" not in reader.execute(sign_in)

    me = reader.operation("get", "/api/auth/me")
    me.locator("button.opblock-summary-control").click()
    assert reader.execute(me)["username"] == "ann"

    sign_out = reader.operation("post", "/api/auth/signout")
    sign_out.locator("button.opblock-summary-control").click()
    assert reader.execute(sign_out) == {"message": "You've been signed out!"}
    assert reader.page.context.cookies() == []


@pytest.mark.parametrize(
    "reader",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}],
    ids=["light", "dark"],
    indirect=True,
)
def test_it_is_light_or_dark_and_can_be_read_on_a_narrow_screen(
    reader: Reader, request: pytest.FixtureRequest
) -> None:
    """As the reader's system is, with enough contrast."""
    page = reader.page
    reader.operation("post", "/api/auth/signin").locator("button.opblock-summary-control").click()
    expect(page.get_by_role("button", name="Execute")).to_be_visible()
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    )
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (red + green + blue < 384) == is_dark
    assert page.evaluate("document.documentElement.classList.contains('dark-mode')") == is_dark
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        until_it_fits(page, width)
        assert flaws(page, **CONTRAST) == []
        photograph(page, f"reference-{request.node.callspec.id}-{width}")


def test_without_scripts_it_leads_to_the_document(server: Server, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}/api/docs")
    expect(page.get_by_text("It needs JavaScript")).to_be_visible()
    page.get_by_role("link", name="OpenAPI document").click()
    expect(page.locator("body")).to_contain_text('"openapi":"3.1.0"')
    context.close()
