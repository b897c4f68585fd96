"""The pages of second factors in Chromium, with a phone: zbarimg sees, and oathtool computes."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import look
from tests.browser.visitors import PASSWORD, Visitor
from tests.support.server import Server

pytestmark = pytest.mark.browser

NEW = "/account/authenticator/new"
CODES = ".codes code"


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> "Phone":
    """Return a phone. Without its programs, skip the test, or fail it if `CI` is `true`."""
    for program in ("zbarimg", "oathtool"):
        if shutil.which(program) is None:
            refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            refuse(f"{program} is not here: run scripts/install-test-tools.")
    return Phone(tmp_path_factory.mktemp("phone"))


class Phone:
    """A phone with an authenticator app: it sees what is on the screen, and nothing else."""

    def __init__(self, folder: Path) -> None:
        """Keep its pictures in a folder."""
        self.picture = folder / "camera.png"
        self.address = ""

    def scan(self, visitor: Visitor) -> None:
        """Scan the QR code that is on the visitor's screen."""
        visitor.page.locator(".qr").screenshot(path=self.picture)
        self.address = _said("zbarimg", "--quiet", "--raw", str(self.picture))

    @property
    def secret(self) -> str:
        """The secret that it has scanned."""
        return parse_qs(urlsplit(self.address).query)["secret"][0]

    def code(self) -> str:
        """Return the code that it shows now."""
        return _said("oathtool", "--totp", "--base32", self.secret)


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_somebody_turns_a_second_factor_on_and_off(
    server: Server, visitor: Callable[..., Visitor], phone: Phone, tmp_path: Path
) -> None:
    """Each page can be used by everybody, at 320 pixels, in the light and in the dark."""
    ann = visitor()
    page = ann.page
    ann.sign_up("ann")
    ann.open("/account")
    page.get_by_role("link", name="Turn on").click()
    ann.sees("Authenticator app", "/account/authenticator")
    look(ann, "authenticator-none")
    page.get_by_role("link", name="Add an app").click()
    ann.sees("Add an authenticator app", NEW)
    look(ann, "authenticator-new")

    phone.scan(ann)  # in the dark
    assert phone.address.startswith("otpauth://totp/Gatelodge:ann?")
    box = page.locator(".qr").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 200
    page.emulate_media(color_scheme="light")
    in_the_dark = phone.address
    phone.scan(ann)
    assert phone.address == in_the_dark
    page.get_by_text("You are on your phone, or cannot scan it?").click()
    expect(page.locator(".key")).to_have_text(" ".join(_groups(phone.secret)))
    look(ann, "authenticator-new-typed")

    ann.send(code="000 00")
    expect(page.locator("#code-problem")).not_to_be_empty()
    expect(page.locator("#code")).to_be_focused()
    look(ann, "authenticator-new-refused")
    phone.scan(ann)
    assert phone.address == in_the_dark, "it is the same secret"
    ann.send(code=phone.code(), name="Phone")
    ann.sees("Keep your recovery codes", NEW)
    look(ann, "recovery-codes")
    codes = page.locator(CODES).all_text_contents()
    assert len(set(codes)) == 10
    _keep(ann, codes, tmp_path)
    page.get_by_role("link", name="I have kept them").click()
    ann.sees("Your account", "/account")
    expect(page.locator("main")).to_contain_text("On: Phone")
    expect(page.locator("main")).to_contain_text("10 of 10 left.")

    _come_back(visitor(), codes[0])
    ann.open("/account")
    expect(page.locator("main")).to_contain_text("9 of 10 left.")
    look(ann, "account-with-factors")
    page.get_by_role("button", name="Forget").click()
    expect(page.get_by_role("status")).to_have_text("That browser is asked for a code again.")

    page.get_by_role("link", name="New codes").click()
    ann.sees("Make new recovery codes?", "/account/recovery-codes")
    look(ann, "recovery-codes-new")
    ann.press("Make new codes")
    ann.sees("Keep your recovery codes")
    assert not set(codes) & set(page.locator(CODES).all_text_contents())

    ann.open("/account/authenticator")
    look(ann, "authenticator")
    page.get_by_role("link", name="Rename").click()
    ann.sees("Rename the app")
    look(ann, "factor-rename")
    ann.send(name="Old phone")
    expect(page.locator("main h3")).to_have_text("Old phone")
    page.get_by_role("link", name="Remove").click()
    ann.sees("Remove “Old phone”?")
    look(ann, "factor-remove")
    ann.press("Remove it")
    expect(page.get_by_role("status")).to_have_text("The app is removed.")
    ann.open("/account")
    expect(page.locator("main")).to_contain_text("Off. Adds a six-digit code")


def _groups(secret: str) -> list[str]:
    return [secret[start : start + 4] for start in range(0, len(secret), 4)]


def _keep(ann: Visitor, codes: list[str], folder: Path) -> None:
    """Copy the codes, save them, and print them."""
    page = ann.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ann.press("Copy")
    expect(page.locator(".told")).to_have_text("The codes are copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "\n".join(("ann at Gatelodge", "", *codes, ""))
    with page.expect_download() as saving:
        ann.press("Save as a file")
    assert saving.value.suggested_filename == "recovery codes Gatelodge.txt"
    assert saving.value.url.startswith("blob:"), "no address has the codes"
    saving.value.save_as(folder / "codes.txt")
    assert (folder / "codes.txt").read_text() == copied
    page.evaluate("window.print = () => document.body.setAttribute('data-printed', 'yes')")
    ann.press("Print")
    expect(page.locator("body")).to_have_attribute("data-printed", "yes")
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    expect(page.locator("header")).to_be_hidden()
    expect(page.get_by_text(codes[9])).to_be_visible()
    page.emulate_media(media="screen")


def _come_back(elsewhere: Visitor, code: str) -> None:
    """Sign in on another computer by a recovery code, and have it remembered."""
    elsewhere.sign_in("ann", PASSWORD)
    elsewhere.sees("One more step", "/sign-in/second")
    elsewhere.page.get_by_role("link", name="Use a recovery code").click()
    elsewhere.page.locator("[name=remember]").check()
    elsewhere.send(code=code)
    elsewhere.open("/account")
    expect(elsewhere.page.locator("main")).to_contain_text("This browser")
