"""Whose passkeys they are, and which pages may ask for them: the settings."""

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.errors import ConfigurationError
from gatelodge.settings import read_settings
from gatelodge.testing import SoftwareAuthenticator
from tests.api.test_own_account import refused
from tests.support.factors import FACTORS, PASSKEY, add_passkey, by_passkey
from tests.support.people import signed_in

ID = "https://id.example.com"
SHOP = "https://shop.example.de"
APP = f"android:apk-key-hash:{'aB3_-' * 8}xyz"
SEVERAL = {
    "public_url": f"{ID}/auth",
    "passkey_domain": "example.com",
    "passkey_origins": (APP, SHOP, "https://app.example.com:8443"),
    "allowed_hosts": ("*",),
}


class Elsewhere(SoftwareAuthenticator):
    """A browser that lets its page use passkeys of another domain, or an app."""

    def _rp_id(self, asked: str | None) -> str:
        return asked or ""


@pytest.mark.parametrize("settings", [SEVERAL], indirect=True)
async def test_passkeys_work_on_pages_of_origins_that_are_listed(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    browser = Elsewhere(ID)
    assert (await add_passkey(ann, browser)).is_success
    assert browser.passkeys[0].rp_id == "example.com"
    for origin in (ID, SHOP, "https://app.example.com:8443", APP):
        browser.origin = origin
        assert (await by_passkey(client, browser)).is_success, origin
    for origin in (
        "https://app.example.com",
        "https://example.com",
        "http://shop.example.de",
        "https://shop.example.de.evil.example",
        "https://evil.example.com",
        APP.swapcase(),
        f"{ID}/",
        "null",
    ):
        browser.origin = origin
        assert refused(await by_passkey(client, browser))[:2] == (400, "passkey_invalid"), origin


@pytest.mark.parametrize("settings", [SEVERAL], indirect=True)
@pytest.mark.parametrize("path", ["", "/auth"])
async def test_browsers_are_told_which_origins_are_related(
    client: httpx2.AsyncClient, path: str
) -> None:
    """They read it from the root of the domain. An app is no web page, so it is not listed."""
    answer = await client.get(f"{path}/.well-known/webauthn")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"origins": [ID, SHOP, "https://app.example.com:8443"]}


@pytest.mark.parametrize(
    "settings",
    [{"public_url": f"http://{each}"} for each in ("192.0.2.7", "[2001:db8::7]:8080")],
    indirect=True,
)
async def test_where_the_server_has_no_name_there_are_no_passkeys(
    client: httpx2.AsyncClient, house: House
) -> None:
    client.base_url = httpx2.URL(house.settings.public_origin)
    off = (403, "passkeys_off", None)
    ann = await signed_in(client, house, "ann")
    for path in (f"{PASSKEY}/options", f"{FACTORS}/passkey/options"):
        assert refused(await client.post(path, json={}, headers=ann.headers)) == off
    for path in (PASSKEY, f"{FACTORS}/passkey"):
        body = {"challenge": "chl_x.y", "credential": {}}
        assert refused(await client.post(path, json=body, headers=ann.headers)) == off
    assert refused(await client.get("/.well-known/webauthn")) == off
    page = await client.get("/sign-in", headers={"Accept": "text/html"})
    assert "passkey" not in page.text.lower()
    assert "webauthn" not in page.text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://Shop.Example.DE/", "https://shop.example.de"),
        ("https://shop.example.de:443", "https://shop.example.de"),
        ("https://shop.example.de:8443", "https://shop.example.de:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://app.localhost:5173", "http://app.localhost:5173"),
        ("http://[0:0::1]:80/", "http://[::1]"),
        (APP, APP),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(written: str, meant: str) -> None:
    given = read_settings(public_url=ID, passkey_origins=f" {written} , {SHOP}")
    assert given.passkey_origins == (meant, SHOP)


@pytest.mark.parametrize(
    "written",
    [
        "*",
        "null",
        "http://shop.example.de",
        "http://192.0.2.7",
        "shop.example.de",
        f"{SHOP}/path",
        f"{SHOP}?query",
        "https://ann@shop.example.de",
        "https://shop.example.de:0",
        "https://shop.example.de:65536",
        "https://*.example.de",
        "ftp://shop.example.de",
        "capacitor://localhost",
        "android:apk-key-hash:short",
        f"{APP}=",
    ],
)
def test_what_is_no_origin_ends_the_start(written: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^Entry 1 of passkey_origins must ") as told:
        read_settings(public_url=ID, passkey_origins=written)
    assert len(str(told.value).splitlines()) == 1
    assert written not in str(told.value) or written in {"*", "null"}


@pytest.mark.parametrize(
    ("public", "written", "meant"),
    [
        (ID, "", "id.example.com"),
        (ID, "id.example.com", "id.example.com"),
        (ID, "Example.COM", "example.com"),
        ("https://auth.id.acme.co.uk", "acme.co.uk", "acme.co.uk"),
        ("https://acme.github.io", "acme.github.io", "acme.github.io"),
        ("http://localhost:8080", "", "localhost"),
        ("http://localhost:8080", "localhost", "localhost"),
        ("https://intranet", "", "intranet"),
        ("http://192.0.2.7", "", ""),
        ("http://[::1]:8080", "", ""),
    ],
)
def test_passkeys_are_for_the_public_host_or_a_parent_of_it(
    public: str, written: str, meant: str
) -> None:
    assert read_settings(public_url=public, passkey_domain=written).passkeys_for == meant


@pytest.mark.parametrize(
    ("public", "written"),
    [
        (ID, "com"),
        (ID, ".example.com"),
        (ID, "ample.com"),
        (ID, "other.com"),
        (ID, "x.id.example.com"),
        (ID, "https://example.com"),
        (ID, "example.com:443"),
        (ID, "example.com."),
        ("https://id.acme.co.uk", "co.uk"),
        ("https://acme.github.io", "github.io"),
        ("http://app.localhost", "localhost"),
        ("http://localhost:8080", "example.com"),
        ("http://192.0.2.7", "192.0.2.7"),
        ("http://192.0.2.7", "0.2.7"),
        ("http://[::1]", "localhost"),
        ("http://[::1]", "::1"),
    ],
)
def test_a_domain_of_others_ends_the_start(public: str, written: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^passkey_domain (must|cannot) ") as told:
        read_settings(public_url=public, passkey_domain=written)
    assert len(str(told.value).splitlines()) == 1


def test_origins_need_a_name_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_PUBLIC_URL", "http://192.0.2.7")
    monkeypatch.setenv("GATELODGE_PASSKEY_ORIGINS", SHOP)
    with pytest.raises(ConfigurationError, match=r"^GATELODGE_PASSKEY_ORIGINS cannot be set .*\.$"):
        read_settings()


@pytest.mark.parametrize(
    "others",
    [
        {"public_url": "https://192.0.2.7"},
        {"second_factor": "off"},
        {"email_verification": "required", "smtp_url": "smtp://127.0.0.1"},
    ],
    ids=["no name", "no factors", "addresses are secret"],
)
def test_nobody_can_sign_up_with_a_passkey_where_that_does_not_work(others: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"sign_up_by_passkey (needs|cannot be) "):
        read_settings(sign_up_by_passkey="on", **others)
