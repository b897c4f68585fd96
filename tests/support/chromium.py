"""Which browser the tests and the pictures of the documentation use."""

import shutil

NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
"""Programs that will do. The first is Debian's Chromium without a window: it computes less."""

MISSING = "Chromium is not here: run scripts/install-test-tools."


def find_chromium() -> str | None:
    """Return the path of Chromium, or None if there is none on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)
