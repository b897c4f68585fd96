"""Forward-auth: what a reverse proxy is told about the sender of a request."""

from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.settings import Settings
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD, Person, signed_in
from tests.support.settings import hashing_cheaply

ACCESS, REFRESH = "gatelodge-access", "gatelodge-refresh"
PUBLIC = "http://localhost:8080"
APP = "https://app.example.com"
LATER = timedelta(minutes=11)
"""A time after which the access token is expired and the session is not."""

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings that know one other origin."""
    return hashing_cheaply(Settings(data_dir=tmp_path, cors_origins=(APP,)), request)


@pytest.fixture
async def ann(client: httpx2.AsyncClient, house: House) -> Person:
    """Return Ann, a moderator who is signed in."""
    return await signed_in(client, house, "ann", "moderator")


def forwarded(uri: str, *, host: str = "localhost:8080", proto: str = "http") -> dict[str, str]:
    """Return the headers with which a proxy says what it was asked for."""
    return {"X-Forwarded-Proto": proto, "X-Forwarded-Host": host, "X-Forwarded-Uri": uri}


async def cookies_of(client: httpx2.AsyncClient) -> dict[str, str]:
    """Sign Ann in with cookies, and return the cookies."""
    body = {"username": "ann", "password": PASSWORD, "delivery": "cookie"}
    return taken(client, await client.post("/api/auth/signin", json=body))


def taken(client: httpx2.AsyncClient, response: httpx2.Response) -> dict[str, str]:
    """Return the cookies that an answer sets, and remove them from the client."""
    client.cookies.clear()
    lines = response.headers.get_list("set-cookie")
    return dict(line.split(";")[0].split("=", 1) for line in lines)


def sent(cookies: dict[str, str]) -> dict[str, str]:
    """Return the header that carries cookies."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


# Who the caller is


async def test_the_answer_names_the_caller(ann: Person) -> None:
    response = await ann.get("/api/auth/verify")

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["x-auth-user"] == "ann"
    assert response.headers["x-auth-subject"] == ann.answer["id"]
    assert response.headers["x-auth-roles"] == "user,moderator"
    assert response.headers["x-auth-methods"] == "pwd"
    me = (await ann.get("/api/auth/me")).json()["session"]
    assert me["methods"] == ["pwd"]
    signed_in_at = datetime.fromisoformat(me["authenticatedAt"])
    assert int(response.headers["x-auth-time"]) == int(signed_in_at.timestamp())
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("warm", [False, True])
async def test_names_in_the_request_are_never_believed(ann: Person, warm: bool) -> None:
    """The identity headers of a request are ignored, with a token and without one."""
    spoofed = {"X-Auth-User": "root", "X-Auth-Subject": "usr_root", "X-Auth-Roles": "admin"}
    spoofed |= {"X-Auth-Time": "4102444800", "X-Auth-Methods": "root,mfa"}
    if warm:
        await ann.get("/api/auth/verify")

    response = await ann.client.get("/api/auth/verify", headers=ann.headers | spoofed)
    assert response.headers["x-auth-user"] == "ann"
    assert "root" not in str(response.headers)
    assert "admin" not in response.headers["x-auth-roles"]
    assert int(response.headers["x-auth-time"]) < 4102444800

    response = await ann.client.get("/api/auth/verify?role=admin", headers=ann.headers | spoofed)
    assert response.status_code == 403

    response = await ann.client.get("/api/auth/verify", headers=spoofed)
    assert response.status_code == 401
    assert not any(name.startswith("x-auth-") for name in response.headers)


async def test_a_caller_without_a_good_token_gets_401_and_a_challenge(ann: Person) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"x-access-token": "nonsense"}):
        response = await ann.client.get("/api/auth/verify", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer ")


async def test_two_tokens_that_differ_are_refused(ann: Person) -> None:
    response = await ann.client.get(
        "/api/auth/verify", headers=ann.headers | {"x-access-token": "other"}
    )

    assert response.status_code == 400


# Roles


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("role=user", 200),
        ("role=moderator", 200),
        ("role=admin", 403),
        ("role=admin&role=moderator", 200),
        ("role=admin&role=nobody", 403),
        ("role=", 403),
        ("role=Moderator", 403),
        ("role=user,moderator", 403),
        ("role=moderator%20", 403),
        ("redirect=1&role=admin", 403),
        ("permission=boards:moderate", 200),
        ("permission=boards%3Amoderate", 200),
        ("permission=boards:administer", 403),
        ("permission=boards:administer&permission=boards:moderate", 200),
        ("permission=boards:*", 403),
        ("permission=*", 403),
        ("permission=", 403),
        ("permission=boards:moderate,boards:administer", 403),
        ("permission=Boards:moderate", 403),
        ("permissions=boards:moderate", 400),
        ("permission=boards:moderate&role=moderator", 200),
        ("permission=boards:moderate&role=admin", 403),
        ("permission=boards:administer&role=moderator", 403),
        ("redirect=1&permission=boards:administer", 403),
        ("redirect=1&redirect=0", 400),
        ("roles=user", 400),
        ("Role=user", 400),
        ("role[]=user", 400),
        ("role=user&roles=admin", 400),
        ("&".join(["role=user"] * 100), 200),
        ("&".join(["role=user"] * 1000), 414),
    ],
)
async def test_the_caller_must_hold_a_role_and_have_a_permission_that_are_asked_for(
    ann: Person, query: str, status: int
) -> None:
    """The first request is answered by the route in FastAPI, the second by the fast door."""
    for _ in range(2):
        response = await ann.get(f"/api/auth/verify?{query}")
        await ann.get("/api/auth/verify")
        assert response.status_code == status
        assert ("x-auth-user" in response.headers) == (status == 200)


async def test_a_role_that_is_taken_away_is_missed_at_once(ann: Person, house: House) -> None:
    assert (await ann.get("/api/auth/verify?role=moderator")).status_code == 200

    await house.accounts.withdraw(await house.accounts.get_by_username("ann"), "moderator", COMMAND)

    assert (await ann.get("/api/auth/verify?role=moderator")).status_code == 403


# Redirects to the sign-in page


async def asked_by_a_browser(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> httpx2.Response:
    """Return the answer to a browser's request that asks to be redirected."""
    return await client.get("/api/auth/verify?redirect=1", headers=BROWSER | headers)


@pytest.mark.parametrize(
    ("headers", "back"),
    [
        (forwarded("/reports?year=2026&all=1"), "/reports?year=2026&all=1"),
        (forwarded("/a%2Fb;c=d"), "/a%2Fb;c=d"),
        (forwarded("/", host="LOCALHOST:8080"), "/"),
        (forwarded("/inbox", host="app.example.com", proto="https"), f"{APP}/inbox"),
    ],
)
async def test_a_browser_is_led_to_the_sign_in_page_and_then_back(
    client: httpx2.AsyncClient, headers: dict[str, str], back: str
) -> None:
    response = await asked_by_a_browser(client, headers)

    assert response.status_code == 302
    location = urlsplit(response.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{PUBLIC}/sign-in"
    assert parse_qs(location.query) == {"next": [back]}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        forwarded("/", host="evil.example"),
        forwarded("/", host="localhost:8080.evil.example"),
        forwarded("/", host="localhost:8081"),
        forwarded("/", host="localhost"),
        forwarded("/", host="user@localhost:8080"),
        forwarded("/", host="localhost:8080/"),
        forwarded("/", host="app.example.com"),
        forwarded("/", host="app.example.com", proto="javascript"),
        forwarded("/", proto="https"),
        forwarded("//evil.example/"),
        forwarded("/\\evil.example/"),
        forwarded("\\\\evil.example/"),
        forwarded("https://evil.example/"),
        forwarded("@evil.example/"),
        forwarded(".evil.example/"),
        forwarded("/\tevil"),
        forwarded("/é"),
        forwarded("/" + "a" * 2000),
        forwarded(""),
    ],
    ids=str,
)
async def test_no_other_address_becomes_the_return_address(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    """Among them are other hosts, ports and schemes, and paths that browsers read as a host."""
    encoded = {name: value.encode() for name, value in headers.items()}
    response = await client.get(
        "/api/auth/verify?redirect=1",
        headers={**BROWSER, **encoded},  # type: ignore[dict-item]
    )

    assert response.status_code == 302
    location = urlsplit(response.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{PUBLIC}/sign-in"
    assert parse_qs(location.query).get("next", [""]) == [""]


async def test_a_line_end_in_an_address_splits_no_header(house: House) -> None:
    """HTTP servers refuse it. Here the application is called without a server."""
    started = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: dict[str, object]) -> None:
        started.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/auth/verify",
        "query_string": b"redirect=1",
        "headers": [
            (b"host", b"localhost:8080"),
            (b"accept", b"text/html"),
            (b"x-forwarded-proto", b"http"),
            (b"x-forwarded-host", b"localhost:8080"),
            (b"x-forwarded-uri", b"/a\r\nSet-Cookie: a=b"),
        ],
    }
    await create_app(house)(scope, receive, send)  # type: ignore[arg-type]

    assert started[0]["status"] == 302
    assert b"Set-Cookie" not in repr(started[0]["headers"]).encode()
    assert b"set-cookie" not in dict(started[0]["headers"])  # type: ignore[call-overload]


async def test_only_a_browser_that_the_proxy_asks_for_is_led_anywhere(
    client: httpx2.AsyncClient,
) -> None:
    here = forwarded("/")
    for query, headers in (
        ("", BROWSER),
        ("?redirect=0", BROWSER),
        ("?redirect=true", BROWSER),
        ("?redirect=1", {"Accept": "*/*"}),
        ("?redirect=1", {"Accept": "application/json"}),
    ):
        response = await client.get(f"/api/auth/verify{query}", headers=here | headers)
        assert response.status_code == 401


async def test_who_lacks_a_role_is_not_led_to_the_sign_in_page(ann: Person) -> None:
    """It would not help them to sign in again."""
    response = await asked_by_a_browser(ann.client, ann.headers | forwarded("/"))
    assert response.status_code == 200
    response = await ann.client.get(
        "/api/auth/verify?redirect=1&role=admin", headers=BROWSER | ann.headers | forwarded("/")
    )
    assert response.status_code == 403


# Cookies


async def test_cookies_say_who_it_is(ann: Person) -> None:
    cookies = await cookies_of(ann.client)

    response = await ann.client.get("/api/auth/verify", headers=sent(cookies))

    assert response.status_code == 200
    assert response.headers["x-auth-user"] == "ann"
    assert "set-cookie" not in response.headers


async def test_cookies_are_never_renewed_in_an_answer_that_proxies_keep_to_themselves(
    ann: Person, clock: FakeClock
) -> None:
    """Proxies drop the `Set-Cookie` of this answer.

    So the browser would send the traded token again, long after the grace, and the session would
    end as if the token were stolen.
    """
    cookies = await cookies_of(ann.client)
    clock.advance(LATER)
    for query in ("", "?role=user", "?redirect=1", "?role=admin"):
        response = await ann.client.get(f"/api/auth/verify{query}", headers=sent(cookies))
        assert response.status_code == 401
        assert "set-cookie" not in response.headers
    clock.advance(LATER)

    response = await ann.client.get("/api/auth/me", headers=sent(cookies))

    assert response.status_code == 200
    assert set(taken(ann.client, response)) == {ACCESS, REFRESH}


@pytest.mark.parametrize(
    ("headers", "back"),
    [
        (forwarded("/reports?year=2026"), f"{PUBLIC}/reports?year=2026"),
        (forwarded("/inbox", host="app.example.com", proto="https"), f"{APP}/inbox"),
        (forwarded("/form") | {"X-Forwarded-Method": "POST"}, f"{PUBLIC}/form"),
        (forwarded("/data") | {"Accept": "*/*"}, f"{PUBLIC}/data"),
        (forwarded("/?q=" + "|" * 4092), f"{PUBLIC}/?q=" + "|" * 4092),
    ],
)
async def test_cookies_are_renewed_by_leading_the_browser_back_to_where_it_was(
    ann: Person, clock: FakeClock, headers: dict[str, str], back: str
) -> None:
    """A 307 keeps the method and the body, and every proxy passes its cookies on."""
    cookies = await cookies_of(ann.client)
    clock.advance(LATER)

    response = await ann.client.get(
        "/api/auth/verify?redirect=1&role=user", headers=BROWSER | headers | sent(cookies)
    )

    assert response.status_code == 307
    assert response.headers["location"] == back
    renewed = taken(ann.client, response)
    assert set(renewed) == {ACCESS, REFRESH}
    response = await ann.client.get("/api/auth/verify?redirect=1", headers=sent(renewed))
    assert response.status_code == 200
    assert response.headers["x-auth-user"] == "ann"


async def test_an_address_that_nobody_could_ask_for_renews_nothing(
    ann: Person, clock: FakeClock
) -> None:
    cookies = await cookies_of(ann.client)
    clock.advance(LATER)

    response = await ann.client.get(
        "/api/auth/verify?redirect=1",
        headers=BROWSER | forwarded("/" + "a" * 4096) | sent(cookies),
    )

    assert (response.status_code, response.headers["location"]) == (302, f"{PUBLIC}/sign-in")
    assert taken(ann.client, response) == {}


async def test_tabs_that_renew_together_are_all_led_back(ann: Person, clock: FakeClock) -> None:
    cookies = await cookies_of(ann.client)
    clock.advance(LATER)
    answers = [
        await ann.client.get("/api/auth/verify?redirect=1", headers=forwarded("/") | sent(cookies))
        for _ in range(3)
    ]

    assert [answer.status_code for answer in answers] == [307] * 3
    assert len({taken(ann.client, answer)[REFRESH] for answer in answers}) == 1


async def test_cookies_of_a_session_that_has_ended_lead_to_the_sign_in_page(
    ann: Person, house: House, clock: FakeClock
) -> None:
    cookies = await cookies_of(ann.client)
    user = await house.accounts.get_by_username("ann")
    await house.sessions.sign_out_everywhere(user.id, COMMAND)
    for _ in range(2):
        response = await asked_by_a_browser(ann.client, forwarded("/x") | sent(cookies))
        assert response.status_code == 302
        assert "set-cookie" not in response.headers
        clock.advance(LATER)
