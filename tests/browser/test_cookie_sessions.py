"""Cookie sessions in a real browser, with its tabs, its cookies, and its rules for origins."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page

from gatelodge.settings import TUTORIAL_ORIGINS
from tests.browser.sites import BLANK_PAGE, Site
from tests.browser.waiting import until_the_access_token_is_over
from tests.support.people import PASSWORD
from tests.support.server import Server

pytestmark = pytest.mark.browser

ANN = {"username": "ann", "password": PASSWORD}
NEW_ANN = ANN | {"email": "ann@example.com"}
UNREADABLE = {"status": 0, "text": ""}
FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/api/auth/signout", {"everywhere": "true"}),
    ("/api/auth/signin", {'{"username": "ann", "password": "': f'{PASSWORD}"}}'}),
    ("/api/auth/refresh", {}),
)
ENCODINGS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")

ASK = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return {status: answer.status, text: await answer.text()};
  } catch {
    return {status: 0, text: ""};
  }
}"""

ASK_AGAIN_AND_AGAIN = """() => {
  window.statuses = {};
  const count = status => { statuses[status] = (statuses[status] ?? 0) + 1; };
  const ask = () => fetch("/api/test/user").then(answer => count(answer.status), count);
  const run = async () => {
    while (!window.enough) {
      await Promise.all(Array.from({length: 6}, ask));
      await new Promise(resume => setTimeout(resume, 50));
    }
    return statuses;
  };
  window.outcome = run();
}"""

ASKED_ENOUGH = "() => Object.values(statuses).reduce((one, other) => one + other, 0) > 300"
PATIENCE_SECONDS = 90.0

SUBMIT_FORM = """([action, encoding, fields]) => {
  const form = document.createElement("form");
  Object.assign(form, {action, method: "POST", enctype: encoding});
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("input");
    Object.assign(input, {type: "hidden", name, value});
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}"""


@pytest.fixture
def stranger() -> Iterator[Site]:
    """Return a web site that is not a configured origin."""
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def cookie_server(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Server]:
    """Return a server that knows Ann and one other site; its access tokens live one second."""
    folder = tmp_path_factory.mktemp("cookie-server")
    with Server(folder, access_token_life="1s", cors_origins=site.by_name) as server:
        httpx2.post(f"{server.url}/api/auth/signup", json=NEW_ANN).raise_for_status()
        yield server


@pytest.fixture
def tutorial_site() -> Iterator[Site]:
    """Return a web site on a port where the tutorial serves one of its front ends."""
    with _first_free([int(origin.rpartition(":")[2]) for origin in TUTORIAL_ORIGINS]) as site:
        yield site


def test_two_tabs_share_a_session_that_renews_itself(
    context: BrowserContext, cookie_server: Server
) -> None:
    """Parallel requests over a dozen renewals, without one 401."""
    tabs = [_own_page(context, cookie_server) for _ in range(2)]
    _sign_in(tabs[0])
    session = _own_session(tabs[0])
    for tab in tabs:
        tab.evaluate(ASK_AGAIN_AND_AGAIN)
    seen: set[str] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(seen) <= 10 or not all(tab.evaluate(ASKED_ENOUGH) for tab in tabs):
        assert time.monotonic() < deadline, f"{len(seen)} renewals"
        tabs[0].wait_for_timeout(100)
        seen.add(_cookies(context)["gatelodge-refresh"]["value"])
    outcomes = [tab.evaluate("() => { window.enough = true; return outcome; }") for tab in tabs]

    assert [set(outcome) for outcome in outcomes] == [{"200"}, {"200"}]
    assert min(outcome["200"] for outcome in outcomes) > 300
    assert len(seen) > 10
    assert _own_session(tabs[1]) == session


def test_scripts_cannot_see_the_cookies(context: BrowserContext, cookie_server: Server) -> None:
    """This server has no TLS, so its cookies have no `Secure` and no prefix."""
    page = _own_page(context, cookie_server)
    answer = _sign_in(page)
    cookies = _cookies(context)
    assert set(cookies) == {"gatelodge-access", "gatelodge-device", "gatelodge-refresh"}
    for cookie in cookies.values():
        assert cookie["value"] not in answer["text"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Lax", False)
        assert (cookie["domain"], cookie["path"]) == ("localhost", "/")
    assert page.evaluate("() => document.cookie") == ""
    assert _ask(page, "/api/auth/signout", method="POST")["status"] == 200
    assert _cookies(context) == {}


def test_a_configured_site_calls_with_cookies(
    context: BrowserContext, cookie_server: Server, site: Site
) -> None:
    """It can read answers and refusals."""
    api = _origin_of(cookie_server)
    page = context.new_page()
    page.goto(site.by_name)
    assert _sign_in(page, api)["status"] == 200
    until_the_access_token_is_over(page)  # the answer then renews the cookies
    answer = _ask(page, f"{api}/api/test/user", credentials="include")
    assert answer == {"status": 200, "text": "User Content."}
    refused = _ask(page, f"{api}/api/test/mod", credentials="include")
    assert refused["status"] == 403
    assert "Require Moderator Role!" in refused["text"]
    assert "No token provided!" in _ask(page, f"{api}/api/test/user")["text"]
    _ask(page, f"{api}/api/auth/signout", method="POST", credentials="include")
    assert _cookies(context) == {}


@pytest.mark.parametrize("address", ["by_name", "by_address"])
def test_a_stranger_reads_and_changes_nothing(
    context: BrowserContext, cookie_server: Server, stranger: Site, address: str
) -> None:
    """This holds for another port of localhost too: it is the same site, so cookies are sent."""
    api = _origin_of(cookie_server)
    own = _own_page(context, cookie_server)
    _sign_in(own)
    page = context.new_page()
    page.goto(getattr(stranger, address))

    assert _ask(page, f"{api}/api/test/user", credentials="include") == UNREADABLE
    assert _sign_in(page, api) == UNREADABLE
    for encoding in ENCODINGS:
        blind = {"mode": "no-cors", "method": "POST", "headers": {"content-type": encoding}}
        _ask(page, f"{api}/api/auth/signout", credentials="include", **blind)
        assert _ask(own, "/api/test/user")["status"] == 200


@pytest.mark.parametrize("address", ["by_name", "by_address"])
def test_a_strangers_form_does_nothing(
    context: BrowserContext, cookie_server: Server, stranger: Site, address: str
) -> None:
    """It does not sign the user out, does not sign them in as another user, and renews nothing."""
    own = _own_page(context, cookie_server)
    _sign_in(own)
    page = context.new_page()
    for encoding, (path, fields) in itertools.product(ENCODINGS, FORMS):
        page.goto(getattr(stranger, address))
        with page.expect_navigation() as navigation:
            page.evaluate(SUBMIT_FORM, [_origin_of(cookie_server) + path, encoding, fields])
        answer = navigation.value
        assert (answer.status, answer.json()["code"]) == (403, "cross_site_request")
        assert "set-cookie" not in answer.all_headers()
        # SameSite=Lax stops only other sites. From the same site, our own check must refuse.
        assert ("cookie" in answer.request.all_headers()) == (address == "by_name")
    assert _ask(own, "/api/test/user")["status"] == 200


def test_the_tutorials_react_client_runs_unchanged(
    context: BrowserContext, tmp_path: Path, tutorial_site: Site
) -> None:
    """It keeps the answer to its sign-in, and always uses its first refresh token."""
    with Server(tmp_path, profile="tutorial") as server:
        api = _origin_of(server)
        page = context.new_page()
        page.goto(tutorial_site.by_name)
        _ask(page, f"{api}/api/auth/signup", **_json(NEW_ANN))
        signed_in = _ask(page, f"{api}/api/auth/signin", **_json(ANN))
        page.evaluate("answer => localStorage.setItem('user', answer)", signed_in["text"])
        for _ in range(2):
            user = page.evaluate("() => JSON.parse(localStorage.getItem('user'))")
            assert _board(page, api, user["accessToken"]) == (200, "User Content.")
            traded = _ask(
                page,
                f"{api}/api/auth/refreshtoken",
                **_json({"refreshToken": user["refreshToken"]}),
            )
            assert traded["status"] == 200
            page.evaluate(
                """answer => {
                  const {accessToken} = JSON.parse(answer);
                  const user = {...JSON.parse(localStorage.getItem("user")), accessToken};
                  localStorage.setItem("user", JSON.stringify(user));
                }""",
                traded["text"],
            )
        token = page.evaluate("() => JSON.parse(localStorage.getItem('user')).accessToken")
        assert token != user["accessToken"]
        headers = {"x-access-token": token}
        assert (
            _ask(page, f"{api}/api/auth/signout", method="POST", headers=headers)["status"] == 200
        )
        assert _board(page, api, token)[0] == 401
        assert _cookies(context) == {}


def test_the_tutorials_angular_client_runs_unchanged(
    context: BrowserContext, tmp_path: Path, tutorial_site: Site
) -> None:
    """It sends its tokens in cookies, and no header."""
    with Server(tmp_path, profile="tutorial") as server:
        api = _origin_of(server)
        page = context.new_page()
        page.goto(tutorial_site.by_name)
        _ask(page, f"{api}/api/auth/signup", **_json(NEW_ANN))
        cookies = {"credentials": "include"}
        assert _ask(page, f"{api}/api/auth/signin", **cookies, **_json(ANN))["status"] == 200
        assert _ask(page, f"{api}/api/test/user", **cookies)["text"] == "User Content."
        assert _ask(page, f"{api}/api/auth/signout", **cookies, **_json({}))["status"] == 200
        assert _ask(page, f"{api}/api/test/user", **cookies)["status"] == 403


def _origin_of(server: Server) -> str:
    """Return the public origin. For a browser, it differs from the origin by IP address."""
    return f"http://localhost:{server.port}"


def _own_page(context: BrowserContext, server: Server) -> Page:
    """Return a tab with a blank page of the server's origin."""
    page, address = context.new_page(), f"{_origin_of(server)}/blank"
    page.route(address, lambda route: route.fulfill(body=BLANK_PAGE, content_type="text/html"))
    page.goto(address)
    page.unroute_all()
    return page


def _sign_in(page: Page, api: str = "") -> dict[str, Any]:
    options = _json(ANN | {"delivery": "cookie"})
    return _ask(page, f"{api}/api/auth/signin", credentials="include", **options)


def _own_session(page: Page) -> str:
    session: str = json.loads(_ask(page, "/api/auth/me")["text"])["session"]["id"]
    return session


def _board(page: Page, api: str, token: str) -> tuple[int, str]:
    answer = _ask(page, f"{api}/api/test/user", headers={"x-access-token": token})
    return answer["status"], answer["text"]


def _json(body: dict[str, str]) -> dict[str, Any]:
    """Return the options of a `fetch` that posts JSON."""
    headers = {"Content-Type": "application/json"}
    return {"method": "POST", "headers": headers, "body": json.dumps(body)}


def _ask(page: Page, url: str, **options: Any) -> dict[str, Any]:
    """Return what a script of the page gets. Status 0 means that it may not read the answer."""
    answer: dict[str, Any] = page.evaluate(ASK, [url, options])
    return answer


def _cookies(context: BrowserContext) -> dict[str, Any]:
    """Return the cookies by name; the names end in the port of the server, which is left out."""
    return {re.sub(r"-\d+$", "", cookie["name"]): cookie for cookie in context.cookies()}


def _first_free(ports: list[int]) -> Site:
    for port in ports:
        try:
            return Site(port)
        except OSError:
            continue  # a front end runs on this port
    raise AssertionError(f"none of the ports {ports} is free")
