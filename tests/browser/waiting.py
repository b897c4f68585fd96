"""Waiting for what only time brings."""

import time

from playwright.sync_api import Page


def until_the_access_token_is_over(page: Page) -> None:
    """Return as soon as the cookie that carries a page's access token has run out."""
    (over_at,) = [
        cookie["expires"]
        for cookie in page.context.cookies()
        if cookie["name"].startswith("gatelodge-access")
    ]
    page.wait_for_timeout(max(0.0, over_at - time.time()) * 1000 + 1)
