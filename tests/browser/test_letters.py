"""Letters in a browser: they can be read by everybody, light and dark, wide and narrow."""

import pytest
from playwright.sync_api import Browser

from gatelodge.letters.writing import Writing
from gatelodge.settings import Settings
from tests.browser.visitors import SCHEMES, flaws
from tests.support.letters import LETTERS

pytestmark = pytest.mark.browser

PAPER = "getComputedStyle(document.querySelector('.paper')).backgroundColor"
COLOURS = {"light": "rgb(255, 255, 255)", "dark": "rgb(24, 27, 26)"}
PARTS_OF_A_PAGE = {rule: {"enabled": False} for rule in ("landmark-one-main", "region")}
"""A mail program is the page, and has the landmarks."""


@pytest.mark.parametrize("accent", ["#0b6e4f", "#ffdd00"])
def test_every_letter_can_be_read(browser: Browser, accent: str) -> None:
    """axe-core finds no violation. At 320 pixels nothing has to be scrolled sideways."""
    office = Writing(Settings(public_url="https://id.example.com", accent_color=accent))
    context = browser.new_context(viewport={"width": 320, "height": 700}, offline=True)
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    for kind, values in LETTERS.items():
        page.set_content(office.write(kind, "de", values)[2])
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, kind
        for scheme, options in SCHEMES.items():
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(PAPER) == COLOURS[scheme], kind
            assert flaws(page, rules=PARTS_OF_A_PAGE, **options) == [], (kind, scheme)
    assert asked == []
    context.close()
