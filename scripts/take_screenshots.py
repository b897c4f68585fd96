"""Take the pictures in `docs/images/` again: `make screenshots`. Another folder may be named.

Chromium opens the pages of a running server, as a reader would, and writes each as WebP. The
server, its database and everybody in it last only as long as this program runs.
"""

import base64
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support import run
from tests.support.chromium import MISSING, find_chromium
from tests.support.server import Server

IMAGES = Path(__file__).parent.parent / "docs" / "images"
QUALITY = 82  # of WebP, 0 to 100
WIDTH = 760  # CSS pixels; each is drawn as two by two
CONSOLE_WIDTH = 1120
PASSWORD = "correct horse battery"  # noqa: S105 - of somebody who exists for a few seconds

DEVICES = {
    "203.0.113.7": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
    "198.51.100.24": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
}
"""Where Ada is signed in besides: address (RFC 5737, for documentation) and browser."""

OWN_ADDRESS = "192.0.2.15"

PEOPLE = {
    "Grace Hopper": ["user", "moderator"],
    "Alan Turing": ["user"],
    "Hedy Lamarr": ["user", "moderator"],
    "Edsger Dijkstra": ["user"],
    "Barbara Liskov": ["user"],
}
"""Who is in the list of users, with their roles."""

DISABLED = {"Edsger Dijkstra"}


def main(images: Path) -> int:
    """Write every picture into a folder; return the exit code."""
    chromium = find_chromium()
    if chromium is None:
        print(MISSING, file=sys.stderr)
        return 1
    images.mkdir(parents=True, exist_ok=True)
    with (
        _test_run(),
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), site_name="Example", trusted_proxies="127.0.0.1") as server,
        sync_playwright() as playwright,
    ):
        _sign_ada_up(server.url)
        _make_people(server)
        root = os.geteuid() == 0  # Chromium's sandbox cannot be had then
        with playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=not root
        ) as browser:
            _take_all(browser, server.url, images)
    return 0


@contextlib.contextmanager
def _test_run() -> Iterator[None]:
    """Open a run, as the tests do: the server's port and process belong to it."""
    run.begin()
    try:
        yield
    finally:
        run.finish()


def _sign_ada_up(url: str) -> None:
    """Make Ada, and sign her in on her other devices."""
    ada = {"username": "ada", "password": PASSWORD}
    signed_up = httpx2.post(f"{url}/api/auth/signup", json=ada | {"email": "ada@example.com"})
    signed_up.raise_for_status()
    for address, browser in DEVICES.items():
        headers = {"X-Forwarded-For": address, "User-Agent": browser}
        httpx2.post(f"{url}/api/auth/signin", json=ada, headers=headers).raise_for_status()


def _make_people(server: Server) -> None:
    """Make Mary, who administers, and those whom she sees."""
    server.command(
        *("user", "create", "mary", "mary@example.com", "--admin", "--password-stdin"),
        typed=f"{PASSWORD}\n",
    )
    mary = {"username": "mary", "password": PASSWORD}
    with httpx2.Client(base_url=server.url) as client:
        signed_in = client.post("/api/auth/signin", json=mary).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {signed_in['accessToken']}"
        for name, roles in PEOPLE.items():
            username = name.split()[0].lower()
            wanted = {"username": username, "email": f"{username}@example.com", "name": name}
            wanted |= {"password": PASSWORD, "roles": roles, "emailVerified": True}
            made = client.post("/api/admin/users", json=wanted).raise_for_status().json()
            if name in DISABLED:
                reason = {"reason": "Sends spam."}
                client.post(
                    f"/api/admin/users/{made['id']}/disable", json=reason
                ).raise_for_status()
            else:
                httpx2.post(
                    f"{server.url}/api/auth/signin",
                    json={"username": username, "password": PASSWORD},
                ).raise_for_status()


def _take_all(browser: Browser, url: str, images: Path) -> None:
    with _window(browser, WIDTH, {"X-Forwarded-For": OWN_ADDRESS}) as context:
        page = context.new_page()
        page.goto(f"{url}/sign-up")
        page.fill("#username", "grace")
        page.fill("#email", "grace@example.com")
        page.focus("#password")
        _take(page, images / "sign-up.webp")
        page.goto(f"{url}/sign-in")
        page.fill("#username", "ada")
        page.fill("#password", PASSWORD)
        _take(page, images / "sign-in.webp")
        page.click("main button.button")
        page.goto(f"{url}/account")
        _take(page, images / "account.webp")
    with _window(browser, CONSOLE_WIDTH) as context:
        page = context.new_page()
        page.goto(f"{url}/sign-in?next=/admin/users")
        page.fill("#username", "mary")
        page.fill("#password", PASSWORD)
        page.click("main button.button")
        page.wait_for_url("**/admin/users")
        _take(page, images / "console.webp", width=CONSOLE_WIDTH)


def _window(browser: Browser, width: int, headers: dict[str, str] | None = None) -> BrowserContext:
    """Return a new window, in which no page knows of another one."""
    return browser.new_context(
        viewport={"width": width, "height": 500},
        device_scale_factor=2,
        locale="en-GB",
        timezone_id="Europe/London",
        color_scheme="light",
        extra_http_headers=headers,
    )


def _take(page: Page, file: Path, *, width: int = WIDTH) -> None:
    """Write the whole page as WebP; Playwright by itself knows only PNG and JPEG."""
    page.wait_for_load_state("networkidle")
    height = page.evaluate("document.documentElement.scrollHeight")
    taken = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot",
        {
            "format": "webp",
            "quality": QUALITY,
            "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
        },
    )
    file.write_bytes(base64.b64decode(taken["data"]))
    print(f"{file.name}: {width} by {height}, {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else IMAGES))
