"""Tokens in cookies: what a browser is told to keep, how it is renewed, and how it is deleted."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.errors import ConfigurationError
from gatelodge.settings import read_settings
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD, signed_in

ACCESS, REFRESH = "gatelodge-access", "gatelodge-refresh"
DEVICE = "gatelodge-device"
OURS = {"Sec-Fetch-Site": "same-origin"}
TLS = "https://auth.example.com"
LATER = timedelta(minutes=11)
"""A time after which the access token is expired and the session is not."""


@dataclass(frozen=True)
class SetCookie:
    """One `Set-Cookie` line."""

    value: str
    attributes: frozenset[str]

    @property
    def max_age(self) -> int:
        """How many seconds the browser keeps the cookie."""
        return next(int(a[8:]) for a in self.attributes if a.startswith("Max-Age="))


def cookies_set_by(response: httpx2.Response) -> dict[str, SetCookie]:
    """Return the cookies that an answer sets, by name, but for the one that knows the device."""
    found = {}
    for line in response.headers.get_list("set-cookie"):
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        assert name not in found
        if DEVICE in name:
            assert "HttpOnly" in attributes
            continue
        assert len(set(attributes)) == len(attributes)
        found[name] = SetCookie(value, frozenset(attributes))
    return found


@dataclass
class Browser:
    """A browser profile with its cookies, under the names that the server gave them."""

    client: httpx2.AsyncClient
    jar: dict[str, str]

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request as a page of the server does, and keep the cookies that come back."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        headers = OURS | ({"Cookie": cookie} if cookie else {}) | options.pop("headers", {})
        response = await self.client.request(method, path, headers=headers, **options)
        self.client.cookies.clear()
        if '"cookies"' in response.headers.get("clear-site-data", ""):
            self.jar.clear()
        for name, cookie_set in cookies_set_by(response).items():
            self.jar[name] = cookie_set.value
            if cookie_set.max_age == 0:
                del self.jar[name]
        return response

    async def sign_in(self, name: str = "ann", **asked: str) -> httpx2.Response:
        """Sign in, with cookies if no other delivery is asked for."""
        body = {"username": name, "password": PASSWORD, "delivery": "cookie"} | asked
        return await self.send("POST", "/api/auth/signin", json=body)


@pytest.fixture
async def ann(client: httpx2.AsyncClient, house: House) -> Browser:
    """Return Ann's browser, signed in with cookies."""
    await signed_in(client, house, "ann")
    browser = Browser(client, {})
    assert (await browser.sign_in()).status_code == 200
    return browser


@pytest.mark.parametrize(
    ("settings", "asked", "in_body", "in_cookies"),
    [
        ({}, {}, True, False),
        ({}, {"delivery": "bearer"}, True, False),
        ({}, {"delivery": "cookie"}, False, True),
        ({"delivery": "cookie"}, {}, False, True),
        ({"delivery": "cookie"}, {"delivery": "bearer"}, True, False),
        ({"profile": "tutorial"}, {}, True, True),
        ({"profile": "tutorial"}, {"delivery": "cookie"}, False, True),
    ],
    indirect=["settings"],
)
async def test_tokens_travel_as_the_sign_in_asks(
    client: httpx2.AsyncClient,
    house: House,
    asked: dict[str, str],
    in_body: bool,
    in_cookies: bool,
) -> None:
    """If the sign-in asks for nothing, the setting decides.

    Tokens that are asked for as cookies are never in the body too.
    """
    await signed_in(client, house, "ann")
    client.cookies.clear()
    body = {"username": "ann", "password": PASSWORD} | asked
    response = await client.post("/api/auth/signin", json=body)
    assert {"accessToken", "refreshToken"} <= set(response.json()) or not in_body
    assert "oken" not in response.text or in_body
    assert set(cookies_set_by(response)) == ({ACCESS, REFRESH} if in_cookies else set())
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("delivery", ["", "cookies", "Cookie", 1, ["cookie"], True])
async def test_another_delivery_is_refused(client: httpx2.AsyncClient, delivery: object) -> None:
    """The refusal names the field."""
    body = {"username": "ann", "password": PASSWORD, "delivery": delivery}
    response = await client.post("/api/auth/signin", json=body)
    assert (response.status_code, response.json()["field"]) == (400, "delivery")


PLAIN = {"Path=/", "HttpOnly", "SameSite=Lax"}


@pytest.mark.parametrize(
    ("settings", "prefix", "attributes"),
    [
        ({}, "", PLAIN),
        ({"public_url": TLS}, "__Host-", PLAIN | {"Secure"}),
        (
            {"public_url": TLS, "cookie_domain": "example.com"},
            "__Secure-",
            PLAIN | {"Secure", "Domain=example.com"},
        ),
        (
            {"public_url": "http://auth.example.com", "cookie_domain": "auth.example.com"},
            "",
            PLAIN | {"Domain=auth.example.com"},
        ),
        (
            {"public_url": TLS, "cookie_same_site": "none"},
            "__Host-",
            {"Path=/", "HttpOnly", "SameSite=None", "Secure"},
        ),
        ({"cookie_same_site": "strict"}, "", {"Path=/", "HttpOnly", "SameSite=Strict"}),
    ],
    indirect=["settings"],
)
async def test_cookies_are_named_and_bound_as_the_address_allows(
    client: httpx2.AsyncClient, house: House, prefix: str, attributes: set[str]
) -> None:
    """Sign-in, renewal and sign-out use exactly the same attributes.

    Otherwise a browser would keep two cookies of one name.
    """
    await signed_in(client, house, "ann")
    browser = Browser(client, {})
    access, refresh = prefix + ACCESS, prefix + REFRESH
    for response in (await browser.sign_in(), await browser.send("POST", "/api/auth/refresh")):
        assert response.status_code == 200
        cookies = cookies_set_by(response)
        assert list(cookies) == [access, refresh]
        assert cookies[access].attributes == attributes | {"Max-Age=600"}
        assert cookies[refresh].attributes == attributes | {"Max-Age=2592000"}
    cleared = cookies_set_by(await browser.send("POST", "/api/auth/signout"))
    assert list(cleared) == [access, refresh]
    assert set(cleared.values()) == {SetCookie("", frozenset(attributes | {"Max-Age=0"}))}


@pytest.mark.parametrize(
    "settings",
    [{"access_token_life": timedelta(minutes=2), "session_life": timedelta(days=1)}],
    indirect=True,
)
async def test_cookies_live_as_long_as_what_they_carry(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A renewal does not lengthen the session (ASVS 10.4.8)."""
    await signed_in(client, house, "ann")
    browser = Browser(client, {})
    cookies = cookies_set_by(await browser.sign_in())
    assert (cookies[ACCESS].max_age, cookies[REFRESH].max_age) == (120, 86_400)
    clock.advance(timedelta(hours=23, minutes=59))
    cookies = cookies_set_by(await browser.send("GET", "/api/test/user"))
    assert (cookies[ACCESS].max_age, cookies[REFRESH].max_age) == (120, 60)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/test/user", None, 200),
        ("HEAD", "/api/test/user", None, 200),
        ("GET", "/api/test/mod", None, 403),
        ("GET", "/api/auth/me", None, 200),
        ("GET", "/api/auth/sessions?limit=0", None, 400),
        ("DELETE", "/api/auth/sessions/ses_other", None, 404),
        ("POST", "/api/auth/password", {"currentPassword": "no", "newPassword": "no"}, 400),
        ("POST", "/api/auth/password", {}, 400),
    ],
)
@pytest.mark.parametrize("kept", [True, False], ids=["expired", "dropped"])
async def test_a_session_renews_itself_on_whatever_request_comes_next(
    ann: Browser,
    clock: FakeClock,
    method: str,
    path: str,
    body: dict[str, str] | None,
    status: int,
    kept: bool,
) -> None:
    """It makes no difference whether the browser still sends the old access token.

    The answer carries new cookies even if it is a refusal.
    """
    clock.advance(LATER)
    before = dict(ann.jar)
    if not kept:
        del ann.jar[ACCESS]
    response = await ann.send(method, path, **({"json": body} if body is not None else {}))
    assert response.status_code == status
    renewed = cookies_set_by(response)
    assert list(renewed) == [ACCESS, REFRESH]
    assert {cookie.value for cookie in renewed.values()}.isdisjoint(before.values())
    response = await ann.send("GET", "/api/test/user")
    assert (response.text, cookies_set_by(response)) == ("User Content.", {})


@pytest.mark.parametrize("path", ["/api/test/all", "/healthz", "/api/nowhere"])
async def test_a_request_that_needs_no_caller_renews_nothing(
    ann: Browser, clock: FakeClock, path: str
) -> None:
    """Requests that need no caller renew nothing, nor do requests with a valid access token."""
    assert cookies_set_by(await ann.send("GET", "/api/test/user")) == {}
    clock.advance(LATER)
    assert cookies_set_by(await ann.send("GET", path)) == {}


async def test_parallel_requests_renew_to_the_same_refresh_token(
    ann: Browser, clock: FakeClock
) -> None:
    """So it does not matter which answer the browser reads last."""
    clock.advance(LATER)
    jars = [Browser(ann.client, dict(ann.jar)) for _ in range(25)]
    answers = await asyncio.gather(*(jar.send("GET", "/api/test/user") for jar in jars))
    assert {answer.status_code for answer in answers} == {200}
    assert len({cookies_set_by(answer)[REFRESH].value for answer in answers}) == 1
    clock.advance(LATER)
    assert (await jars[-1].send("GET", "/api/test/user")).status_code == 200


async def test_a_refresh_by_cookie_answers_without_tokens(ann: Browser) -> None:
    """Both routes do so. If the body has a token, it is used, and the answer's body has tokens."""
    for path in ("/api/auth/refresh", "/api/auth/refreshtoken"):
        for options in ({}, {"json": {}}, {"json": {"refreshToken": None}}):
            before = ann.jar[REFRESH]
            response = await ann.send("POST", path, **options)
            assert response.json() == {"message": "Token is refreshed successfully!"}
            assert ann.jar[REFRESH] != before
    before = dict(ann.jar)
    bearer = Browser(ann.client, {})
    token = (await bearer.sign_in(delivery="bearer")).json()["refreshToken"]
    response = await ann.send("POST", "/api/auth/refresh", json={"refreshToken": token})
    assert set(response.json()) == {"accessToken", "refreshToken"}
    assert ann.jar == before


@pytest.mark.parametrize("end", ["signed out", "expired", "reused", "forged"])
async def test_a_renewal_that_fails_leaves_the_cookies_alone(
    ann: Browser, clock: FakeClock, end: str
) -> None:
    """A slow request with old cookies must not delete newer ones."""
    old = Browser(ann.client, dict(ann.jar))
    if end == "signed out":
        await ann.send("POST", "/api/auth/signout")
    elif end == "expired":
        clock.advance(timedelta(days=14))
    elif end == "reused":
        for _ in range(2):
            clock.advance(LATER)
            await ann.send("GET", "/api/test/user")
    else:
        clock.advance(LATER)
        old.jar[REFRESH] = "rt_nonsense"
    for method, path in (
        ("GET", "/api/test/user"),
        ("HEAD", "/api/test/user"),
        ("DELETE", "/api/auth/sessions/ses_other"),
        ("POST", "/api/auth/refresh"),
        ("POST", "/api/auth/refreshtoken"),
    ):
        response = await old.send(method, path)
        assert response.status_code == (403 if path.endswith("refreshtoken") else 401)
        assert cookies_set_by(response) == {}


async def test_a_header_beats_the_cookies(ann: Browser, house: House, clock: FakeClock) -> None:
    """With a token in a header, cookies are ignored: they do not replace a bad header token.

    They are not renewed either.
    """
    bob = await signed_in(ann.client, house, "bob")
    for headers in (bob.headers, {"x-access-token": bob.token}):
        response = await ann.send("GET", "/api/auth/me", headers=headers)
        assert response.json()["username"] == "bob"
    response = await ann.send("GET", "/api/auth/me", headers={"x-access-token": "nonsense"})
    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    response = await ann.send("GET", "/api/auth/me", headers={"x-access-token": ""})
    assert response.json()["username"] == "ann"
    clock.advance(LATER)
    response = await ann.send("GET", "/api/auth/me", headers=bob.headers)
    assert (response.status_code, response.json()["code"]) == (401, "token_expired")
    assert cookies_set_by(response) == {}


@pytest.mark.parametrize("name", [ACCESS, REFRESH])
@pytest.mark.parametrize(
    "request_line",
    ["GET /api/test/user", "POST /api/auth/refresh", "DELETE /api/auth/sessions/ses_other"],
)
async def test_two_cookies_of_a_name_that_differ_are_refused(
    ann: Browser, name: str, request_line: str
) -> None:
    """Another host of the domain may have set one of them, so neither is trusted."""
    method, path = request_line.split()
    line = "; ".join(f"{each}={value}" for each, value in ann.jar.items())
    for lines in ([f"{name}=planted; {line}"], [f"{line};{name}=planted"], [line, f"{name}=x"]):
        headers = [*OURS.items(), *(("Cookie", each) for each in lines)]
        response = await ann.client.request(method, path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "token_conflict")
        assert cookies_set_by(response) == {}


async def test_a_cookie_that_comes_twice_alike_is_one(ann: Browser) -> None:
    """Empty cookies are ignored, and so are cookies with other names."""
    line = "; ".join(f"{each}={value}" for each, value in ann.jar.items())
    for cookie in (
        f"{line}; {line}",
        f"{ACCESS}=; {line}; {REFRESH}=",
        f"theme=dark; {line}; x{ACCESS}=1; __Host-{ACCESS}=1; =; ;{ACCESS}",
    ):
        response = await ann.client.get("/api/auth/me", headers={"Cookie": cookie})
        assert response.json()["username"] == "ann"


async def test_a_password_change_gives_the_browser_a_new_session(
    ann: Browser, clock: FakeClock
) -> None:
    """The old session ends, with its tokens (ASVS 7.2.4)."""
    old = Browser(ann.client, dict(ann.jar))
    before = (await ann.send("GET", "/api/auth/me")).json()["session"]["id"]
    body = {"currentPassword": PASSWORD, "newPassword": "an even better horse"}
    response = await ann.send("POST", "/api/auth/password", json=body)
    assert set(response.json()) == {"message"}
    assert list(cookies_set_by(response)) == [ACCESS, REFRESH]
    assert (await ann.send("GET", "/api/auth/me")).json()["session"]["id"] != before
    assert len((await ann.send("GET", "/api/auth/sessions")).json()["items"]) == 1
    for _ in range(2):
        assert (await old.send("GET", "/api/auth/me")).status_code == 401
        clock.advance(LATER)


async def test_a_sign_in_ends_the_session_that_the_browser_had(ann: Browser) -> None:
    """A sign-in opens a new session (ASVS 7.2.4). A failed sign-in changes nothing."""
    old = Browser(ann.client, dict(ann.jar))
    assert (await ann.sign_in(password="not it at all")).status_code == 401
    assert (await old.send("GET", "/api/test/user")).status_code == 200
    assert (await ann.sign_in()).status_code == 200
    assert (await ann.send("GET", "/api/test/user")).status_code == 200
    assert (await old.send("GET", "/api/test/user")).status_code == 401
    assert (await old.send("POST", "/api/auth/refresh")).status_code == 401


async def test_signing_out_by_cookie(ann: Browser, clock: FakeClock) -> None:
    """It ends the session and clears both cookies, also when the access token is expired."""
    for wait in (timedelta(0), LATER):
        await ann.sign_in()
        clock.advance(wait)
        old = Browser(ann.client, dict(ann.jar))
        response = await ann.send("POST", "/api/auth/signout")
        assert response.json() == {"message": "You've been signed out!"}
        assert response.headers["clear-site-data"] == '"cookies", "storage"'
        assert ann.jar == {}
        assert (await old.send("GET", "/api/test/user")).status_code == 401
        assert (await old.send("POST", "/api/auth/refresh")).status_code == 401
        assert cookies_set_by(await old.send("POST", "/api/auth/signout")).keys() == {
            ACCESS,
            REFRESH,
        }


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"cookie_same_site": "none"}, "COOKIE_SAME_SITE"),
        ({"cookie_same_site": "none", "public_url": "http://auth.example.com"}, "COOKIE_SAME_SITE"),
        ({"cookie_same_site": "loose"}, "COOKIE_SAME_SITE"),
        ({"cookie_domain": "example.com"}, "COOKIE_DOMAIN"),
        ({"cookie_domain": "localhost"}, "COOKIE_DOMAIN"),
        ({"cookie_domain": "other.com", "public_url": TLS}, "COOKIE_DOMAIN"),
        ({"cookie_domain": "ample.com", "public_url": TLS}, "COOKIE_DOMAIN"),
        ({"cookie_domain": "com", "public_url": TLS}, "COOKIE_DOMAIN"),
        ({"cookie_domain": ".example.com", "public_url": TLS}, "COOKIE_DOMAIN"),
        ({"cookie_domain": "x.auth.example.com", "public_url": TLS}, "COOKIE_DOMAIN"),
        ({"cookie_domain": "0.0.1", "public_url": "http://127.0.0.1:8080"}, "COOKIE_DOMAIN"),
        ({"delivery": "cookies"}, "DELIVERY"),
        *(
            ({"cors_origins": origin}, "CORS_ORIGINS")
            for origin in (
                "*",
                "null",
                "app.example",
                "ftp://app.example",
                "https://app.example/path",
                "https://app.example?query",
                "https://app.example#part",
                "https://ann@app.example",
                "https://app.example:none",
                "https://app.example:99999",
                "https://*.example",
                "https://app example",
                "https://[",
                "https://app.example, *",
            )
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(given: dict[str, str], named: str) -> None:
    """The error names the setting. Otherwise the server would start, and nobody could sign in."""
    with pytest.raises(
        ConfigurationError, match=rf"^(Entry \d of )?{named.lower()} (must be|cannot be) "
    ):
        read_settings(**given)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:8081", "http://localhost:8081"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(written: str, meant: str) -> None:
    """Browsers send lower case and no default port (RFC 6454, section 6.2).

    An origin that is written in another way would never match.
    """
    assert read_settings(cors_origins=written).cors_origins == (meant,)
