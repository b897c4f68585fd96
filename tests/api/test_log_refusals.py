"""Refusals that are logged for the operator (security.md, section 11)."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.settings import Settings
from tests.support.logs import lines_logged
from tests.support.people import PASSWORD, signed_in, signed_in_by_the_door
from tests.support.settings import hashing_cheaply

OURS = "http://localhost:8080"
FRIEND = "https://app.example"
EVIL = "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings with one friend."""
    return hashing_cheaply(Settings(data_dir=tmp_path, cors_origins=FRIEND), request)


async def noted(client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> Any:
    """Send a request that is refused, and return its log line.

    There is exactly one line, and it has the request's id of the answer.
    """
    with lines_logged() as lines:
        response = await client.request(method, path, **options)
    (line,) = [details for event, details in lines if event == "request.refused"]
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["outcome"], line["ip"], line["target"]) == ("refused", "127.0.0.1", None)
    assert (line["code"], line["path"]) == (response.json()["code"], path.partition("?")[0][:256])
    assert line["user_agent"].startswith("python-httpx2/")
    return line


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/test/mod", "moderator_required"),
        ("/api/test/admin", "admin_required"),
        ("/api/auth/verify?role=admin", "forbidden"),
        ("/boards/mod", "moderator_required"),
    ],
)
async def test_a_missing_role_is_logged_with_the_user_who_lacks_it(
    client: httpx2.AsyncClient, house: House, path: str, code: str
) -> None:
    """The token comes by header or by cookie. The fast door answers, or the route behind it."""
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    cookie = {"Cookie": f"gatelodge-access={ann.token}"}
    carried = [cookie] if path.startswith("/boards") else [ann.headers, cookie]
    for headers in carried * 2:
        line = await noted(client, "GET", path, headers=headers)
        assert (line["code"], line["actor"]) == (code, user.id)
        assert "page" not in line


async def test_a_sign_up_that_asks_for_a_role_is_logged(client: httpx2.AsyncClient) -> None:
    wanted = {"username": "eve", "email": "eve@example.com", "password": PASSWORD}
    line = await noted(client, "POST", "/api/auth/signup", json=wanted | {"roles": ["admin"]})
    assert (line["code"], line["actor"]) == ("role_not_grantable", None)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/api/auth/signin", {"Sec-Fetch-Site": "cross-site"}),
        ("POST", "/api/auth/refresh", {"Sec-Fetch-Site": "cross-site"}),
        ("POST", "/api/auth/signout", {"Cookie": "gatelodge-refresh=rt_x"}),
        ("POST", "/sign-in", {"Sec-Fetch-Site": "cross-site"}),
        ("POST", "/account/delete", {"Cookie": "gatelodge-access=x"}),
        ("DELETE", "/api/auth/sessions/ses_x", {"Cookie": "gatelodge-access=x"}),
        ("OPTIONS", "/api/auth/signin", PREFLIGHT),
        ("OPTIONS", "/nowhere", PREFLIGHT),
    ],
)
async def test_a_request_of_another_site_is_logged_with_its_origin(
    client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    """Preflights are logged too, and so are requests that reach no route."""
    line = await noted(client, method, path, headers=headers | {"Origin": EVIL})
    assert (line["code"], line["actor"], line["page"]) == ("cross_site_request", None, EVIL)


async def test_a_stranger_cannot_fill_the_log(client: httpx2.AsyncClient) -> None:
    origin = "https://" + "e" * 3000
    line = await noted(client, "OPTIONS", "/" + "x" * 3000, headers=PREFLIGHT | {"Origin": origin})
    assert (len(line["page"]), len(line["path"])) == (256, 256)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("OPTIONS", "/api/auth/signin", PREFLIGHT | {"Origin": FRIEND}),
        ("GET", "/api/test/all", {"Origin": EVIL}),
        ("GET", "/api/test/user", {}),
        ("GET", "/api/auth/me", {"x-access-token": "nonsense"}),
        ("POST", "/api/auth/signin", {"Origin": OURS}),
        ("GET", "/api/nowhere", {}),
    ],
)
async def test_a_request_that_is_let_in_or_only_lacks_a_token_is_not_logged(
    client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    with lines_logged() as lines:
        await client.request(method, path, headers=headers)
    assert lines == []


async def test_every_event_says_what_came_of_it(client: httpx2.AsyncClient, house: House) -> None:
    with lines_logged() as lines:
        ann = await signed_in_by_the_door(client, house, "ann")
        first = ann.answer["refreshToken"]
        for _ in range(2):
            body = {"refreshToken": ann.answer["refreshToken"]}
            ann.answer |= (await client.post("/api/auth/refresh", json=body)).json()
        ann.password = "a wrong horse battery"
        await ann.sign_in()
        await client.post("/api/auth/refresh", json={"refreshToken": first})
    assert [(event, details["outcome"]) for event, details in lines] == [
        ("user.signed_up", "success"),
        ("session.opened", "success"),
        ("session.refreshed", "success"),
        ("session.refreshed", "success"),
        ("sign_in.failed", "failure"),
        ("refresh_token.reused", "refused"),
    ]
