"""Chromium for these tests: Playwright drives the Chromium of the operating system."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser.sites import Site
from tests.browser.visitors import Visitor
from tests.support.chromium import MISSING, find_chromium
from tests.support.server import Server

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
    """Return the path of Chromium. Without it, skip the test, or fail it if `CI` is `true`."""
    found = find_chromium()
    if found is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse(MISSING)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Return a running browser.

    The browser ends with the module. While it runs, Playwright has its own event loop, so no
    asynchronous test can run. That is why the tests of this folder are plain functions.
    """
    expect.set_options(timeout=30_000)  # a busy machine may need a while to load a page
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=ARGUMENTS,
            chromium_sandbox=os.geteuid() != 0,  # root can start Chromium only without it
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a new browser profile, in which the test opens tabs."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Return another web site on this machine."""
    with Site() as site:
        yield site


@pytest.fixture
def visitor(server: Server, browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Yield a function that makes visitors. Check at the end that nothing went wrong for them."""
    visitors: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        context = browser.new_context(**{"locale": "en-GB"} | options)
        visitors.append(Visitor(server, context))
        return visitors[-1]

    yield make
    for each in visitors:
        each.context.close()
        assert each.mishaps == []
