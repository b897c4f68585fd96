"""Requests that a page of another site makes a browser send (security.md, section 6)."""

import itertools
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.settings import TUTORIAL_ORIGINS, Settings
from tests.support.people import PASSWORD, signed_in
from tests.support.settings import hashing_cheaply

OURS = "http://localhost:8080"
FRIEND = "https://app.example"
EVIL = "https://evil.example"

REFRESH_COOKIE = {"Cookie": "gatelodge-refresh=rt_nonsense"}
COOKIES: dict[str, dict[str, str]] = {
    "without cookies": {},
    "another's cookie": {"Cookie": "theme=dark"},
    "access cookie": {"Cookie": "gatelodge-access=nonsense"},
    "refresh cookie": REFRESH_COOKIE,
}

OPEN_ROUTES = (
    ("POST", "/api/auth/signin"),
    ("POST", "/api/auth/signup"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/refreshtoken"),
    ("POST", "/api/auth/signout"),
)
ROUTES = (
    *OPEN_ROUTES,
    ("POST", "/api/auth/password"),
    ("DELETE", "/api/auth/sessions/ses_other"),
    ("PATCH", "/api/auth/me"),
    ("DELETE", "/api/auth/me"),
)
BODIES: dict[str, tuple[dict[str, str], bytes]] = {
    "nothing": ({}, b""),
    "json": ({"Content-Type": "application/json"}, b"{}"),
    "text": ({"Content-Type": "text/plain"}, b'{"username": "ann", "x": "="}'),
    "form": ({"Content-Type": "application/x-www-form-urlencoded"}, b"username=ann"),
    "multipart": ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"),
}

CALLERS: dict[str, dict[str, str]] = {
    "our page": {"Sec-Fetch-Site": "same-origin", "Origin": OURS},
    "our page, old browser": {"Origin": OURS},
    "our page, only a referer": {"Referer": f"{OURS}/account?x"},
    "the user": {"Sec-Fetch-Site": "none"},
    "the user, in a private window": {"Sec-Fetch-Site": "none", "Origin": "null"},
    "friend": {"Sec-Fetch-Site": "cross-site", "Origin": FRIEND},
    "friend, old browser": {"Origin": FRIEND},
    "friend, only a referer": {"Referer": f"{FRIEND}/"},
}
"""Callers who may change something, with cookies or without."""

STRANGERS: dict[str, dict[str, str]] = {
    "evil": {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
    "evil neighbour": {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9999"},
    "evil, without origin": {"Sec-Fetch-Site": "cross-site"},
    "evil neighbour, without origin": {"Sec-Fetch-Site": "same-site"},
    "evil, with our referer": {"Sec-Fetch-Site": "cross-site", "Referer": f"{OURS}/"},
    "evil sandbox": {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    "evil, that calls itself ours": {"Sec-Fetch-Site": "same-origin", "Origin": EVIL},
    "sandbox, that calls itself ours": {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    "evil, as if typed": {"Sec-Fetch-Site": "none", "Origin": EVIL},
    "what is to come": {"Sec-Fetch-Site": "same-planet"},
    "evil, old browser": {"Origin": EVIL},
    "evil sandbox, old browser": {"Origin": "null"},
    "evil, with our referer, old browser": {"Origin": EVIL, "Referer": f"{OURS}/"},
    "our host, another port": {"Origin": "http://localhost"},
    "our host, another scheme": {"Origin": "https://localhost:8080"},
    "our host by address": {"Origin": "http://127.0.0.1:8080"},
    "origin that begins as ours": {"Origin": f"{OURS}.evil.example"},
    "origin with more than ours": {"Origin": f"{OURS}/"},
    "origin in capitals": {"Origin": OURS.upper()},
    "two origins": {"Origin": f"{OURS} {EVIL}"},
    "no origin": {"Origin": ""},
    "friend's neighbour": {"Origin": "https://x.app.example"},
    "evil, only a referer": {"Referer": f"{EVIL}/{OURS}/"},
    "referer that begins as ours": {"Referer": f"{OURS}.evil.example/"},
    "referer with our name in it": {"Referer": f"{OURS}@evil.example/"},
    "referer that is none": {"Referer": "about:blank"},
    "referer that cannot be read": {"Referer": "http://[evil"},
    "no referer": {"Referer": ""},
}
"""Callers who may change nothing, with cookies or without."""


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings with one configured origin, or those that the test names."""
    given = getattr(request, "param", {"cors_origins": FRIEND})
    return hashing_cheaply(Settings(data_dir=tmp_path, **given), request)


def is_refused(response: httpx2.Response) -> bool:
    """Say whether the answer refuses a request of another site."""
    return response.status_code == 403 and response.json()["code"] == "cross_site_request"


async def refused(
    client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> bool:
    """Say whether a request is refused as one of another site. Check that it then sets nothing."""
    response = await client.request(method, path, headers=headers, content=body)
    if is_refused(response):
        assert not {"set-cookie", "clear-site-data"} & set(response.headers)
        return True
    return False


@pytest.mark.parametrize("cookies", COOKIES)
async def test_pages_that_we_know_may_ask_for_changes(
    client: httpx2.AsyncClient, cookies: str
) -> None:
    """These are our own pages, the user's navigation, and configured origins."""
    for (method, path), caller in itertools.product(ROUTES, CALLERS):
        headers = CALLERS[caller] | COOKIES[cookies]
        assert not await refused(client, method, path, headers), (method, path, caller)


@pytest.mark.parametrize("cookies", COOKIES)
async def test_strangers_may_not_ask_for_changes(client: httpx2.AsyncClient, cookies: str) -> None:
    """At routes without sign-in, strangers are refused even without cookies.

    Otherwise they could sign a victim in as another user.
    """
    routes = OPEN_ROUTES if cookies in {"without cookies", "another's cookie"} else ROUTES
    for (method, path), caller in itertools.product(routes, STRANGERS):
        headers = STRANGERS[caller] | COOKIES[cookies]
        assert await refused(client, method, path, headers), (method, path, caller)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_who_says_nothing_of_its_origin_passes_only_without_our_cookies(
    client: httpx2.AsyncClient, method: str, path: str
) -> None:
    """Programs send no origin. A browser that sends our cookies always sends one."""
    expected = {name: "gatelodge" in headers.get("Cookie", "") for name, headers in COOKIES.items()}
    for cookies, headers in COOKIES.items():
        assert await refused(client, method, path, headers) is expected[cookies], cookies


@pytest.mark.parametrize("body", BODIES)
async def test_no_kind_of_body_gets_a_stranger_in(client: httpx2.AsyncClient, body: str) -> None:
    """The types that a form can send need no preflight (Fetch, section 2.2.2)."""
    headers, content = BODIES[body]
    for (method, path), caller in itertools.product(ROUTES, ("evil", "evil neighbour")):
        headers = BODIES[body][0] | STRANGERS[caller] | REFRESH_COOKIE
        assert await refused(client, method, path, headers, content), (path, caller)


@pytest.mark.parametrize("body", ["text", "form", "multipart"])
async def test_json_routes_read_json_only(client: httpx2.AsyncClient, body: str) -> None:
    """This holds for every caller (ASVS 3.5.2).

    Sign-out accepts any body, since the check of the origin protects it.
    """
    headers, content = BODIES[body]
    for _, path in OPEN_ROUTES:
        response = await client.post(path, headers=headers, content=content)
        expected = 200 if path.endswith("signout") else 415
        assert response.status_code == expected, path


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", OURS), ("Origin", EVIL)],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [("Referer", f"{OURS}/"), ("Referer", f"{OURS}/")],
        [("Sec-Fetch-Site", "same-origin, cross-site")],
    ],
)
async def test_a_header_that_comes_twice_is_not_believed(
    client: httpx2.AsyncClient, headers: list[tuple[str, str]]
) -> None:
    """A proxy in between could read the other one of the two."""
    response = await client.post("/api/auth/signout", headers=[*headers, *REFRESH_COOKIE.items()])
    assert is_refused(response)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("caller", ["evil", "evil, without origin", "evil sandbox"])
async def test_reading_is_not_refused(
    client: httpx2.AsyncClient, house: House, method: str, caller: str
) -> None:
    """A link on another site may open a page. Scripts of that site cannot read the answer."""
    await signed_in(client, house, "ann")
    await sign_in_by_cookie(client)
    response = await client.request(method, "/api/test/user", headers=STRANGERS[caller])
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_header_token_needs_no_origin(client: httpx2.AsyncClient, house: House) -> None:
    """No page can make a browser send this header without a preflight.

    Cookies in the same request are ignored.
    """
    ann = await signed_in(client, house, "ann")
    for caller in ({}, STRANGERS["evil"]):
        headers = ann.headers | REFRESH_COOKIE | caller
        response = await client.delete("/api/auth/sessions/ses_other", headers=headers)
        assert response.json()["code"] == "session_not_found"


async def test_a_stranger_changes_nothing(client: httpx2.AsyncClient, house: House) -> None:
    """A stranger has real cookies. The session, the password and the devices stay as they were."""
    await signed_in(client, house, "ann")
    await sign_in_by_cookie(client)
    change = {"currentPassword": PASSWORD, "newPassword": "an even better horse"}
    session = (await client.get("/api/auth/me")).json()["session"]["id"]
    jar = dict(client.cookies)
    for caller in STRANGERS.values():
        for method, path, body in (
            ("POST", "/api/auth/signout", {"everywhere": True}),
            ("POST", "/api/auth/refresh", {}),
            ("POST", "/api/auth/password", change),
            ("POST", "/api/auth/signin", {"username": "ann", "password": PASSWORD}),
            ("DELETE", f"/api/auth/sessions/{session}", {}),
        ):
            assert is_refused(await client.request(method, path, json=body, headers=caller))
    assert dict(client.cookies) == jar
    assert (await client.get("/api/auth/me")).json()["session"]["id"] == session
    assert len((await client.get("/api/auth/sessions")).json()["items"]) == 2


@pytest.mark.parametrize("settings", [{}], indirect=True)
async def test_other_origins_are_not_let_in_by_default(client: httpx2.AsyncClient) -> None:
    """Without configured origins there are no CORS headers, and OPTIONS is not allowed."""
    for origin in (OURS, FRIEND, EVIL, "null"):
        for path in ("/api/test/all", "/api/test/user"):
            response = await client.get(path, headers={"Origin": origin})
            assert cors_headers(response) == {}
        response = await preflight(client, origin)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert cors_headers(response) == {}


async def test_a_preflight_of_a_configured_origin_passes(client: httpx2.AsyncClient) -> None:
    """It passes for every path, and allows the headers that it asks for."""
    for path in ("/api/auth/signin", "/api/test/user", "/api/nowhere"):
        response = await preflight(client, FRIEND, path)
        assert (response.status_code, response.content) == (204, b"")
        assert cors_headers(response) == {
            "access-control-allow-origin": FRIEND,
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "access-control-allow-headers": "x-access-token,content-type",
            "access-control-expose-headers": "X-Request-Id, Retry-After, WWW-Authenticate",
            "access-control-max-age": "600",
        }
        vary = ", ".join(response.headers.get_list("vary")).split(", ")
        assert set(vary) == {"Origin", "Access-Control-Request-Headers"}
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "origin",
    [
        *(EVIL, OURS, "null", "*", ""),
        *(f"{FRIEND}/", f"{FRIEND}:443", f"{FRIEND} {EVIL}", FRIEND.upper()),
        *("http://app.example", "https://xapp.example", f"{FRIEND}.evil.example"),
    ],
)
async def test_any_other_origin_is_not_let_in(client: httpx2.AsyncClient, origin: str) -> None:
    """Its preflight is refused, and its answers have no CORS headers."""
    response = await preflight(client, origin)
    assert is_refused(response)
    assert cors_headers(response) == {}
    for path in ("/api/test/all", "/api/test/user"):
        response = await client.get(path, headers={"Origin": origin})
        assert cors_headers(response) == {}
        assert response.headers["vary"] == "Origin"


async def test_an_options_that_is_no_preflight_is_a_method_like_others(
    client: httpx2.AsyncClient,
) -> None:
    """A preflight names the method of the request that follows."""
    response = await client.options("/api/auth/signin", headers={"Origin": FRIEND})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/api/test/all", {}, 200),
        ("GET", "/api/test/user", {}, 403),
        ("GET", "/api/auth/me", {}, 401),
        ("GET", "/api/auth/me", {"headers": {"x-access-token": "nonsense"}}, 401),
        ("GET", "/api/nowhere", {}, 404),
        ("GET", "/api/auth/signin", {}, 405),
        ("GET", "/api/test/all?a=1&a=2", {}, 400),
        ("POST", "/api/auth/signin", {"json": {}}, 400),
        ("POST", "/api/auth/signin", {"content": b"x"}, 415),
        ("POST", "/api/auth/signin", {"json": {"username": "x" * 20_000}}, 413),
        ("GET", f"/api/test/all?{'x' * 5000}", {}, 414),
        ("GET", "/api/test/all", {"headers": {"X-Long": "x" * 9000}}, 431),
    ],
)
async def test_a_configured_origin_reads_answers_and_refusals_alike(
    client: httpx2.AsyncClient, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    """Otherwise its scripts could not tell a refusal from a server that is down."""
    headers = {"Origin": FRIEND} | options.get("headers", {})
    response = await client.request(method, path, **(options | {"headers": headers}))
    assert response.status_code == status
    assert cors_headers(response) == {
        "access-control-allow-origin": FRIEND,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Request-Id, Retry-After, WWW-Authenticate",
    }
    assert response.headers["vary"] == "Origin"


async def test_answers_say_that_they_differ_by_origin(
    client: httpx2.AsyncClient, house: House
) -> None:
    """A cache may be in between.

    So answers from memory say it too, and answers to requests without an origin.
    """
    ann = await signed_in(client, house, "ann")
    for path in ("/api/test/all", "/api/test/user", "/api/test/user", "/api/test/mod"):
        assert (await ann.get(path)).headers["vary"] == "Origin", path


@pytest.mark.parametrize(
    "settings", [{"profile": "tutorial", "cors_origins": FRIEND}], indirect=True
)
async def test_the_tutorials_profile_lets_its_front_ends_in(client: httpx2.AsyncClient) -> None:
    """The profile allows its own front ends and the configured origins, and no others."""
    for origin in (*TUTORIAL_ORIGINS, FRIEND):
        response = await preflight(client, origin)
        assert response.headers["access-control-allow-origin"] == origin
        response = await client.post("/api/auth/signout", headers={"Origin": origin})
        assert response.status_code == 200
    for origin in ("http://localhost:8082", "http://127.0.0.1:8081", "https://localhost:8081"):
        assert is_refused(await preflight(client, origin))
    form = {"username": "ann", "password": PASSWORD}
    assert is_refused(await client.post("/api/auth/signin", data=form, headers=STRANGERS["evil"]))


async def preflight(
    client: httpx2.AsyncClient, origin: str, path: str = "/api/auth/signin"
) -> httpx2.Response:
    """Send the preflight that a browser sends before a request that no form could send."""
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-access-token,content-type",
    }
    return await client.options(path, headers=asked)


def cors_headers(response: httpx2.Response) -> dict[str, str]:
    """Return the CORS headers of an answer."""
    return {name: value for name, value in response.headers.items() if "access-control" in name}


async def sign_in_by_cookie(client: httpx2.AsyncClient) -> None:
    """Sign Ann in; the client keeps the cookies."""
    body = {"username": "ann", "password": PASSWORD, "delivery": "cookie"}
    response = await client.post("/api/auth/signin", json=body)
    assert response.status_code == 200
