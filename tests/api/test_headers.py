"""The headers of every answer, errors included (security.md, sections 4 and 10)."""

import re
from dataclasses import dataclass, field

import httpx2
import pytest

from gatelodge.app import House, create_app
from tests.support.clock import FakeClock
from tests.support.people import signed_in
from tests.support.server import Server

ON_EVERY_ANSWER = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
TWO_YEARS = "max-age=63072000"
REALM = 'Bearer realm="gatelodge"'


@dataclass(frozen=True)
class Case:
    """A request, with the expected status and challenge of its answer."""

    status: int
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    challenge: str | None = None

    async def ask(self, client: httpx2.AsyncClient) -> httpx2.Response:
        """Return the answer."""
        return await client.request(
            self.method, self.url, headers=self.headers, content=self.content
        )


JSON = {"Content-Type": "application/json"}
BAD_TOKEN = {"Authorization": "Bearer nonsense"}
WRONG_PASSWORD = b'{"username": "nobody", "password": "not the right one"}'

CASES = (
    Case(200, "GET", "/"),
    Case(200, "GET", "/healthz"),
    Case(200, "GET", "/readyz"),
    Case(200, "GET", "/api/test/all"),
    Case(200, "HEAD", "/api/test/all"),
    Case(200, "GET", "/api/openapi.json"),
    Case(400, "GET", "/?a=1&a=2"),
    Case(400, "POST", "/api/auth/signin", JSON, b"{"),
    Case(401, "GET", "/api/auth/me", challenge=REALM),
    Case(401, "GET", "/api/auth/me", BAD_TOKEN, challenge=f'{REALM}, error="invalid_token"'),
    Case(401, "POST", "/api/auth/signin", JSON, WRONG_PASSWORD, challenge=REALM),
    Case(403, "GET", "/api/test/user"),
    Case(401, "GET", "/api/test/user", BAD_TOKEN, challenge=f'{REALM}, error="invalid_token"'),
    Case(
        400,
        "GET",
        "/api/test/user",
        BAD_TOKEN | {"x-access-token": "other"},
        challenge=f'{REALM}, error="invalid_request"',
    ),
    Case(404, "GET", "/nowhere"),
    Case(404, "HEAD", "/nowhere"),
    Case(405, "DELETE", "/api/test/all"),
    Case(405, "OPTIONS", "/api/auth/signin"),
    Case(413, "POST", "/api/auth/signin", JSON, b" " * 20_000),
    Case(414, "GET", "/" + "a" * 5000),
    Case(415, "POST", "/api/auth/signin", {"Content-Type": "text/plain"}, b"{}"),
    Case(421, "GET", "/api/test/all", {"Host": "evil.example"}),
    Case(431, "GET", "/api/test/all", {"X-Large": "a" * 9000}),
)


async def test_every_answer_carries_the_headers(client: httpx2.AsyncClient) -> None:
    """There are no cookies, no CORS headers, and without TLS no HSTS."""
    for case in CASES:
        response = await case.ask(client)

        assert response.status_code == case.status, case
        assert_headers(response)
        assert response.headers.get("www-authenticate") == case.challenge, case
        for absent in (
            *("set-cookie", "access-control-allow-origin", "access-control-allow-credentials"),
            *("strict-transport-security", "x-powered-by"),
        ):
            assert absent not in response.headers, case
        if case.method == "HEAD":
            assert response.content == b""
        elif case.status >= 400:
            assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_an_answer_to_somebody_carries_the_headers(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The answers are a sign-in, the user's own data, a board, and a board of another role."""
    ann = await signed_in(client, house, "ann")
    for response in (
        await ann.sign_in(),
        await ann.get("/api/auth/me"),
        await ann.get("/api/test/user"),
        await ann.get("/api/test/admin"),
    ):
        assert_headers(response)
    assert response.status_code == 403
    assert response.headers["www-authenticate"] == f'{REALM}, error="insufficient_scope"'


@pytest.mark.parametrize(
    ("hsts", "said"),
    [
        ("off", []),
        ("host", [TWO_YEARS]),
        ("subdomains", [f"{TWO_YEARS}; includeSubDomains"]),
        (None, [TWO_YEARS]),  # the default: the hosts below ours may be somebody else's
    ],
)
async def test_over_tls_every_answer_says_to_stay_there(
    house: House, hsts: str | None, said: list[str]
) -> None:
    """HSTS is sent only if the public address has TLS (RFC 6797, section 7.2)."""
    update = {"public_url": "https://id.example"} | ({"hsts": hsts} if hsts else {})
    settings = house.settings.model_copy(update=update)
    app = create_app(house.replaced(settings=settings))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://id.example") as client:
        for case in CASES:
            response = await case.ask(client)
            assert response.status_code == case.status
            assert_headers(response)
            assert response.headers.get_list("strict-transport-security") == said


async def test_public_keys_may_be_kept_and_read_from_anywhere(client: httpx2.AsyncClient) -> None:
    response = await client.get("/.well-known/jwks.json")

    assert response.headers.get_list("cache-control") == ["public, max-age=300"]
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_request_id_is_ours_alone(client: httpx2.AsyncClient) -> None:
    """A caller cannot make two requests look like one in the log, or write into the log."""
    ids = set()
    for _ in range(8):
        response = await client.get("/nowhere", headers={"X-Request-Id": "req_of_the_caller"})
        (request_id,) = response.headers.get_list("x-request-id")
        assert re.fullmatch(r"req_[0-9a-f]{32}", request_id)
        ids.add(request_id)
    assert len(ids) == 8


async def test_what_nobody_foresaw_is_answered_with_a_bare_500(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """The answer has a code, a message and the request's id, and no details (ASVS 16.5.1).

    Here the clock fails.
    """
    ann = await signed_in(client, house, "ann")
    instant = clock.instant
    del clock.instant
    try:
        response = await ann.client.get("/api/auth/me", headers=ann.headers)
    finally:
        clock.instant = instant

    assert response.status_code == 500
    assert_headers(response)
    assert response.json() == {
        "code": "internal_error",
        "message": "Something went wrong here. The log has it under the request id.",
        "request_id": response.headers["x-request-id"],
    }


def test_the_real_server_does_not_tell_its_version(server: Server) -> None:
    for path in ("/", "/nowhere", "/api/auth/me"):
        response = httpx2.get(server.url + path)
        assert_headers(response)
        for name in ("server", "via", "x-powered-by"):
            assert not re.search(r"\d", response.headers.get(name, ""))


def assert_headers(response: httpx2.Response) -> None:
    """Check that each header is there exactly once."""
    for name, value in ON_EVERY_ANSWER.items():
        assert response.headers.get_list(name) == [value], name
    assert len(response.headers.get_list("x-request-id")) == 1
