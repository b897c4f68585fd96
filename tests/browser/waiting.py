"""Waiting for what only time brings."""

import time

from playwright.sync_api import Page

_PATIENCE_SECONDS = 10
_SIZES = "[innerWidth, document.documentElement.scrollWidth]"
_PAUSE_MILLISECONDS = 20


def until_it_fits(page: Page, width: int) -> None:
    """Return as soon as a window has its width, and nothing in it has to be scrolled sideways.

    A busy machine lays a page out a moment after its window became narrower. Our pages forbid
    `Page.wait_for_function`, which needs `unsafe-eval` where it has to wait.

    Raises:
        AssertionError: it has not become so in ten seconds.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (sizes := page.evaluate(_SIZES))[0] != width or sizes[1] > width:
        assert time.monotonic() < deadline, f"{page.url}: {sizes}, not {width}"
        page.wait_for_timeout(_PAUSE_MILLISECONDS)


def until_the_access_token_is_over(page: Page) -> None:
    """Return as soon as the cookie that carries a page's access token has run out."""
    (over_at,) = [
        cookie["expires"]
        for cookie in page.context.cookies()
        if cookie["name"].startswith("gatelodge-access")
    ]
    page.wait_for_timeout(max(0.0, over_at - time.time()) * 1000 + 1)
