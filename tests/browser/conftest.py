"""Chromium as these tests drive it: through Playwright, but the build of the operating system."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.sites import Site

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "Chromium is not here: run scripts/install-test-tools (apt-get install chromium)."
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium; without it, skip, but fail in continuous integration."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse(MISSING)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Return a running browser.

    It ends with its module: while it runs, Playwright holds an event loop of its own, and no
    asynchronous test can run beside it. The tests of this folder are plain functions.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=ARGUMENTS,
            chromium_sandbox=os.geteuid() != 0,  # as root, Chromium only starts without
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a browser profile of the test's own, in which it opens tabs."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Return another web site on this machine."""
    with Site() as site:
        yield site
