"""Two cookies of one name: the browser gets out by itself, and nobody acts by them."""

from itertools import product

import httpx2
import pytest

from gatelodge.app import House
from tests.support.people import PASSWORD, new_user

TLS = "https://id.apps.example.com"
OURS = {"Host": "id.apps.example.com", "Origin": TLS, "Sec-Fetch-Site": "same-origin"}
ANN = {"username": "ann", "password": PASSWORD, "delivery": "cookie"}
SHARED = pytest.mark.parametrize(
    "settings", [{"public_url": TLS, "cookie_domain": "example.com"}], indirect=True
)


async def both_pairs(client: httpx2.AsyncClient, house: House) -> dict[str, str]:
    """Return the headers of a browser that holds the cookies of two sessions of Ann."""
    await new_user(house, "ann")
    pairs = []
    for _ in range(2):
        answer = await client.post("/api/auth/signin", json=ANN, headers=OURS)
        assert answer.status_code == 200
        pairs += [line.partition(";")[0] for line in answer.headers.get_list("set-cookie")]
        client.cookies.clear()
    return OURS | {"Cookie": "; ".join(pairs)}


def deleted_domains(answer: httpx2.Response) -> set[str]:
    """Return the domains for which an answer deletes a cookie; empty: the host alone."""
    lines = [line for line in answer.headers.get_list("set-cookie") if "Max-Age=0" in line]
    return {line.partition("Domain=")[2].partition(";")[0] for line in lines}


@SHARED
@pytest.mark.parametrize("path", ["/api/auth/signin", "/sign-in"])
async def test_signing_in_works_and_deletes_what_is_kept_for_other_domains(
    client: httpx2.AsyncClient, house: House, path: str
) -> None:
    both = await both_pairs(client, house)
    name = {key: ANN[key] for key in ("username", "password")}
    body = {"json": ANN} if path.startswith("/api") else {"data": name}
    answer = await client.post(path, headers=both, **body)  # type: ignore[arg-type]
    assert answer.status_code in {200, 303}
    assert deleted_domains(answer) == {"", "apps.example.com", "id.apps.example.com"}
    kept = [line for line in answer.headers.get_list("set-cookie") if "Max-Age=0" not in line]
    assert len(kept) == 3  # the tokens, and the device
    assert all("Domain=example.com" in line for line in kept)


@SHARED
async def test_signing_out_ends_both_sessions_and_deletes_every_cookie(
    client: httpx2.AsyncClient, house: House
) -> None:
    both = await both_pairs(client, house)
    answer = await client.post("/api/auth/signout", headers=both)
    assert answer.status_code == 200
    assert deleted_domains(answer) >= {"", "example.com", "id.apps.example.com"}
    user = await house.accounts.get_by_username("ann")
    assert await house.sessions.list_own(user, before=None, limit=9) == []


@SHARED
async def test_a_page_leads_to_the_sign_in_and_a_program_is_told(
    client: httpx2.AsyncClient, house: House
) -> None:
    """What needs a caller has none: nobody can tell which of the two is meant."""
    both = await both_pairs(client, house)
    page = await client.get("/account", headers=both | {"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=/account")
    form = await client.get("/sign-in", headers=both | {"Accept": "text/html"})
    assert form.status_code == 200
    refused = await client.get("/api/auth/me", headers=both)
    assert (refused.status_code, refused.json()["code"]) == (400, "token_conflict")


@SHARED
@pytest.mark.parametrize("path", ["/api/auth/signin", "/api/auth/signup", "/api/auth/signout"])
async def test_another_sites_page_stays_refused(
    client: httpx2.AsyncClient, house: House, path: str
) -> None:
    both = await both_pairs(client, house)
    for headers in (
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "same-site"},
    ):
        answer = await client.post(path, json=ANN, headers=both | headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")


# Programs with a cookie jar


@pytest.mark.parametrize(
    ("settings", "status"),
    [({"profile": "tutorial"}, 200), ({"profile": "standard"}, 403)],
    indirect=["settings"],
)
async def test_a_program_with_a_jar_is_taken_in_the_tutorial_profile_alone(
    client: httpx2.AsyncClient, house: House, status: int
) -> None:
    """It says nothing of where it comes from; every browser would, for another site's page."""
    await new_user(house, "ann")
    jar = {"Cookie": "gatelodge-access=x; gatelodge-refresh=y"}
    for path, body in (
        ("/api/auth/signin", {"username": "ann", "password": PASSWORD}),
        ("/api/auth/signup", {"username": "bob", "email": "b@example.com", "password": PASSWORD}),
        ("/api/auth/signout", {}),
    ):
        assert (await client.post(path, json=body, headers=jar)).status_code == status, path
    for headers, (path, body) in product(
        ({"Origin": "http://evil.example"}, {"Referer": "http://evil.example/"}, {"Origin": ""}),
        (("/api/auth/signout", {}), ("/api/auth/signin", ANN)),
    ):
        answer = await client.post(path, json=body, headers=jar | headers)
        assert answer.status_code == 403, headers
    change = {"currentPassword": PASSWORD, "newPassword": "eight wild geese"}
    assert (await client.post("/api/auth/password", json=change, headers=jar)).status_code == 403


# Several servers on one host


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"port": 8080}, "gatelodge-access"),
        ({"port": 9000}, "gatelodge-access-9000"),
        ({"public_url": "http://localhost:5000"}, "gatelodge-access-5000"),
        ({"public_url": "http://localhost"}, "gatelodge-access"),
        ({"public_url": "https://localhost:9000"}, "__Host-gatelodge-access"),
        ({"cookie_name": "shop", "port": 9000}, "shop-access-9000"),
    ],
    indirect=["settings"],
)
def test_the_names_of_cookies_tell_servers_of_one_host_apart(house: House, name: str) -> None:
    assert house.delivery.access_cookie == name
