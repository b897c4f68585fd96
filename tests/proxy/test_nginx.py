"""A real nginx with the configuration of the guide, in front of a site and Gatelodge."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.support.blocks import blocks_of
from tests.support.mongod import wait_until
from tests.support.people import PASSWORD
from tests.support.server import Server, free_port

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "forward-auth.md"
START_SECONDS = 10.0
ACCESS_SECONDS = 3
GRACE_SECONDS = 1
ACCESS_COOKIE = "gatelodge-access"

VISITOR, MADE_UP = "127.0.0.2", "203.0.113.9"
"""The visitor's real address, which is not nginx's, and the address that the visitor claims."""

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
SPOOFED = {
    "X-Auth-User": "root",
    "X-Auth-Subject": "usr_root",
    "X-Auth-Actor": "usr_root",
    "X-Auth-Roles": "admin",
    "X-Auth-Time": "4102444800",
    "X-Auth-Methods": "mfa",
    "X_Auth_User": "root",
    "X.Auth.User": "root",
    "x-auth-user": "root",
}

NAMED = ("user", "subject", "actor", "roles", "time", "methods")
"""What the site is told of a caller, each in a header."""

MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


class Site(BaseHTTPRequestHandler):
    """A site that answers every request with a description of that request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the request as JSON."""
        length = int(self.headers.get("Content-Length", 0))
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(length).decode(),
        }
        answer = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self) -> None:
        """Answer in the same way."""
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A site behind nginx, and the Gatelodge that nginx asks.

    Attributes:
        url: the address for browsers.
        server: the Gatelodge behind nginx.
    """

    url: str
    server: Server

    def browser(self, address: str = "127.0.0.1") -> httpx2.Client:
        """Return a browser at this address. It keeps cookies, and follows no redirect by itself."""
        transport = httpx2.HTTPTransport(local_address=address)
        return httpx2.Client(base_url=self.url, headers=BROWSER, transport=transport)

    @contextlib.contextmanager
    def signed_up(self, name: str, address: str = "127.0.0.1") -> Iterator[httpx2.Client]:
        """Yield a browser in which a new user is signed in."""
        account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        with self.browser(address) as browser:
            assert browser.post("/api/auth/signup", json=account).status_code == 200
            self.sign_in(browser, name)
            yield browser

    def sign_in(self, browser: httpx2.Client, name: str) -> None:
        """Sign in with cookies."""
        wanted = {"username": name, "password": PASSWORD}
        response = browser.post("/api/auth/signin", json=wanted, headers={"Origin": self.url})
        assert response.status_code == 200
        assert len(browser.cookies) == 3  # the tokens, and the device


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """Yield the port of the site behind nginx."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, site: int) -> Iterator[Guarded]:
    """Yield the site behind nginx, and the Gatelodge that nginx asks."""
    nginx = find_nginx()
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    url = f"http://127.0.0.1:{port}"
    with Server(
        tmp_path_factory.mktemp("gatelodge"),
        public_url=url,
        delivery="cookie",
        trusted_proxies="127.0.0.1",
        access_token_life=f"{ACCESS_SECONDS}s",
        refresh_grace=f"{GRACE_SECONDS}s",
    ) as server:
        configuration = write_configuration(folder, port, site, server.port)
        process = subprocess.Popen(
            [nginx, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
        )
        try:
            wait_for_answer(url, folder, process)
            yield Guarded(url, server)
        finally:
            process.terminate()
            process.wait(20)


def find_nginx() -> str:
    """Return the path of nginx. Without it, skip the test, or fail it if `CI` is `true`."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = "no nginx: apt-get install nginx-light"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def write_configuration(folder: Path, port: int, site: int, gatelodge: int) -> Path:
    """Write the guide's configuration with other ports, and return its path."""
    block = next(each.text for each in blocks_of(GUIDE) if "auth_request" in each.text)
    for written, real in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("server 127.0.0.1:8080;", f"server 127.0.0.1:{gatelodge};"),
        ("server 127.0.0.1:9000;", f"server 127.0.0.1:{site};"),
    ):
        assert block.count(written) == 1
        block = block.replace(written, real)
    # If root starts nginx, its workers run as `nobody`, who may not enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(MAIN.format(folder=folder, user=user, site=block))
    return path


def wait_for_answer(url: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until nginx answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "error.log").read_text()
        try:
            httpx2.get(f"{url}/public/")
        except httpx2.TransportError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError((folder / "error.log").read_text())


def until_the_access_token_is_over(browser: httpx2.Client) -> None:
    """Return as soon as the cookie that carries a browser's access token has run out."""
    (over_at,) = [
        each.expires for each in browser.cookies.jar if each.name.startswith(ACCESS_COOKIE)
    ]
    assert over_at is not None
    time.sleep(max(0.0, over_at - time.time()))


def seen_by_the_site(response: httpx2.Response) -> dict[str, Any]:
    """Return the request as the site saw it."""
    assert response.status_code == 200, response.text
    seen: dict[str, Any] = response.json()
    return seen


def identity_in(seen: dict[str, Any]) -> dict[str, str]:
    """Return the headers with the caller's identity that the site got, in any spelling."""
    return {
        name: value for name, value in seen["headers"].items() if re.fullmatch(r"x.auth.\w+", name)
    }


def test_a_browser_is_led_to_the_sign_in_page_and_back_to_where_it_wanted(
    guarded: Guarded,
) -> None:
    with guarded.signed_up("walker"):
        pass
    with guarded.browser() as browser:
        response = browser.get("/reports?year=2026&all=1")
        assert response.status_code == 302
        way = urlsplit(response.headers["location"])
        assert f"{way.scheme}://{way.netloc}{way.path}" == f"{guarded.url}/sign-in"
        wanted = parse_qs(way.query)["next"][0]

        assert "Sign in" in browser.get(response.headers["location"]).text
        form = {"username": "walker", "password": PASSWORD, "next": wanted}
        response = browser.post("/sign-in", data=form, headers={"Origin": guarded.url})
        assert response.status_code == 303

        seen = seen_by_the_site(browser.get(response.headers["location"]))
        assert seen["path"] == "/reports?year=2026&all=1"
        assert identity_in(seen)["x-auth-user"] == "walker"


def test_the_link_for_the_first_administrator_works(guarded: Guarded) -> None:
    """There is no administrator yet: the tests below make some."""
    link = re.search(
        r"^ *(http\S+/setup\?token=\S+)$", guarded.server.log.read_text(), re.MULTILINE
    )
    assert link is not None
    with guarded.browser() as browser:
        response = browser.get(link[1])
        assert (response.status_code, response.headers["location"]) == (303, "/setup")
        response = browser.get("/setup")
        assert (response.status_code, 'action="/setup"' in response.text) == (200, True)


def test_gatelodges_own_pages_and_keys_are_reached(guarded: Guarded) -> None:
    assert "keys" in httpx2.get(f"{guarded.url}/.well-known/jwks.json").json()
    with guarded.signed_up("reader") as reader:
        account = reader.get("/account").text
        linked = set(re.findall(r'(?:href|src|action)="(/[^"#]+)"', account))
        assert {"/boards/user", "/account/password", "/sign-out"} <= linked
        for path in linked:
            assert "x-request-id" in reader.get(path).headers, path


def test_what_is_for_whoever_runs_gatelodge_is_not_reached(guarded: Guarded) -> None:
    with guarded.signed_up("nosy") as nosy, guarded.browser() as nobody:
        for path in ("/metrics", "/healthz", "/readyz", "/api/openapi.json", "/api/test/all"):
            assert nobody.get(path).status_code == 302
            assert seen_by_the_site(nosy.get(path))["path"] == path


def test_a_visitor_is_known_by_their_own_address(guarded: Guarded) -> None:
    """The address that they claim is ignored, on every way on which nginx asks Gatelodge."""
    with guarded.signed_up("traveller", VISITOR) as traveller:
        traveller.headers["X-Forwarded-For"] = MADE_UP
        guarded.sign_in(traveller, "traveller")
        assert traveller.get("/admin/").status_code == 403
        devices = traveller.get("/api/auth/sessions").json()["items"]
        assert {device["address"] for device in devices} == {VISITOR}

        old = dict(traveller.cookies)
        until_the_access_token_is_over(traveller)
        for status in (307, 302):  # renewed; past the grace, reused
            for name, value in old.items():
                traveller.cookies.set(name, value, domain="127.0.0.1")
            assert traveller.get("/").status_code == status
            time.sleep(GRACE_SECONDS if status == 307 else 0)

    def told() -> set[str]:
        lines = [line for line in guarded.server.log.read_text().splitlines() if line[:1] == "{"]
        return {each["event"] for each in map(json.loads, lines) if each.get("ip") == VISITOR}

    # An answer may arrive before the line that tells of it is written.
    wait_until(lambda: "refresh_token.reused" in told(), "the log does not tell of it", 10)
    assert told() == {
        "user.signed_up",
        "session.opened",
        "session.ended",
        "request.refused",
        "session.refreshed",
        "refresh_token.reused",
    }
    assert MADE_UP not in guarded.server.log.read_text()


def test_a_program_is_refused_with_401(guarded: Guarded) -> None:
    response = httpx2.get(f"{guarded.url}/", headers={"Accept": "application/json"})

    assert response.status_code == 401
    assert response.json()["code"] == "token_missing"
    assert response.headers["www-authenticate"].startswith("Bearer ")


def test_the_site_is_told_who_it_is_and_nothing_that_the_client_made_up(guarded: Guarded) -> None:
    with guarded.signed_up("ann") as ann:
        told = identity_in(seen_by_the_site(ann.get("/", headers=SPOOFED)))

        assert set(told) == {f"x-auth-{name}" for name in NAMED}
        assert told["x-auth-user"] == "ann"
        assert told["x-auth-subject"].startswith("usr_")
        assert told["x-auth-actor"] == told["x-auth-subject"]
        assert told["x-auth-roles"] == "user"
        assert 0 <= time.time() - int(told["x-auth-time"]) < 3600
        assert told["x-auth-methods"] == "pwd"


def test_who_has_no_roles_cannot_make_some_up(guarded: Guarded) -> None:
    with guarded.signed_up("bare") as bare:
        bare.follow_redirects = True
        assert guarded.server.command("user", "revoke", "bare", "user").returncode == 0
        told = identity_in(seen_by_the_site(bare.get("/", headers=SPOOFED)))

        assert set(told) == {f"x-auth-{name}" for name in NAMED if name != "roles"}
        assert told["x-auth-user"] == "bare"


def test_where_nothing_is_guarded_nothing_made_up_arrives_either(guarded: Guarded) -> None:
    response = httpx2.get(f"{guarded.url}/public/x", headers=SPOOFED)

    assert identity_in(seen_by_the_site(response)) == {}


def test_what_nginx_asks_cannot_be_asked_from_outside(guarded: Guarded) -> None:
    for path in ("verify", "verify-admin", "sign-in"):
        assert httpx2.get(f"{guarded.url}/_gatelodge/{path}").status_code == 404


def test_a_role_opens_its_part_of_the_site_from_the_next_request_on(guarded: Guarded) -> None:
    """Commands take some time, so cookies may have to be renewed in between."""
    with guarded.signed_up("eve"), guarded.signed_up("ada") as ada:
        ada.follow_redirects = True
        assert ada.get("/admin/users", headers=SPOOFED).status_code == 403

        assert guarded.server.command("user", "grant", "ada", "admin").returncode == 0
        told = identity_in(seen_by_the_site(ada.get("/admin/users")))
        assert told["x-auth-roles"] == "user,admin"

        assert guarded.server.command("user", "grant", "eve", "admin").returncode == 0
        assert guarded.server.command("user", "revoke", "ada", "admin").returncode == 0
        assert ada.get("/admin/users").status_code == 403
        assert ada.get("/").status_code == 200


def test_a_sign_out_counts_on_the_next_request(guarded: Guarded) -> None:
    with guarded.signed_up("leaver") as leaver:
        kept = dict(leaver.cookies)
        assert leaver.get("/").status_code == 200
        response = leaver.post("/api/auth/signout", headers={"Origin": guarded.url})
        assert response.status_code == 200
        for name, value in kept.items():
            leaver.cookies.set(name, value, domain="127.0.0.1")
        assert leaver.get("/").status_code == 302


def test_a_body_reaches_the_site_and_nobody_else(guarded: Guarded) -> None:
    with guarded.signed_up("poster") as poster:
        seen = seen_by_the_site(poster.post("/notes", content=b"a" * 50_000))

        assert (seen["method"], seen["body"]) == ("POST", "a" * 50_000)


def test_cookies_whose_time_is_over_are_renewed_and_reach_the_browser(guarded: Guarded) -> None:
    """The cookies are renewed twice, each time after the grace.

    If the browser did not get one of the new cookies, it would look like a thief.
    """
    with guarded.signed_up("stayer") as stayer:
        for method in ("GET", "POST"):
            before = dict(stayer.cookies)
            until_the_access_token_is_over(stayer)
            body = b"a note" if method == "POST" else b""
            response = stayer.request(method, "/notes?a=1&b=2", content=body)
            assert response.status_code == 307
            assert response.headers["location"] == f"{guarded.url}/notes?a=1&b=2"
            assert dict(stayer.cookies).keys() == before.keys()
            assert all(
                (stayer.cookies[name] == value) == ("-device" in name)
                for name, value in before.items()
            )

            seen = seen_by_the_site(
                stayer.request(method, response.headers["location"], content=body)
            )
            assert (seen["method"], seen["body"]) == (method, body.decode())
            assert identity_in(seen)["x-auth-user"] == "stayer"


def test_renewed_cookies_lead_back_to_a_long_address_too(guarded: Guarded) -> None:
    """The headers have cookies and a `Location` of 4,000 characters.

    That is more than nginx accepts without the guide's settings.
    """
    path = "/search?q=" + "a" * 3980
    with guarded.signed_up("searcher") as searcher:
        until_the_access_token_is_over(searcher)
        response = searcher.get(path)
        assert response.status_code == 307
        assert response.headers["location"] == guarded.url + path
        assert seen_by_the_site(searcher.get(path))["path"] == path


def test_without_gatelodge_nobody_passes(guarded: Guarded, tmp_path: Path) -> None:
    """This test must be the last one, since it stops the server."""
    with guarded.signed_up("unlucky") as unlucky:
        assert unlucky.get("/").status_code == 200
        guarded.server.stop()
        assert unlucky.get("/").status_code == 500
        assert unlucky.get("/public/").status_code == 200
