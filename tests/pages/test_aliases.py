"""Addresses that people guess lead to the page that is meant."""

import httpx2
import pytest

from gatelodge.app import DOORS
from gatelodge.pages.aliases import ALIASES
from tests.pages.reader import ACCEPT, Reader

BROWSER = {"Accept": ACCEPT}

PAGES = sorted(
    route.path
    for door in DOORS
    for route in door.routes
    if route.method == "GET" and route.path[:5] not in {"/api/", "/.wel"} and "{" not in route.path
)


@pytest.mark.parametrize(("asked", "meant"), ALIASES.items())
async def test_an_address_of_other_sites_leads_to_ours(
    client: httpx2.AsyncClient, asked: str, meant: str
) -> None:
    for path in (asked, f"{asked}/"):
        answer = await client.get(path, headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (302, meant)
        assert answer.headers["cache-control"] == "no-store"
    assert (await client.head(asked, headers=BROWSER)).status_code == 302


async def test_every_alias_leads_to_a_page_that_there_is(reader: Reader) -> None:
    for asked in ALIASES:
        answer = await reader.client.get(asked, headers=BROWSER, follow_redirects=True)
        assert answer.status_code == 200, asked


@pytest.mark.parametrize("page", [page for page in PAGES if page != "/"])
async def test_a_slash_at_the_end_leads_to_the_page(client: httpx2.AsyncClient, page: str) -> None:
    for slashes in ("/", "//"):
        answer = await client.get(f"{page}{slashes}", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (302, page)


async def test_what_follows_the_question_mark_is_kept(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/login?next=/account&a=%0d%0aX:1", headers=BROWSER)

    assert answer.headers["location"] == "/sign-in?next=/account&a=%0d%0aX:1"
    assert "x" not in answer.headers


async def test_nothing_leads_to_another_site(client: httpx2.AsyncClient) -> None:
    for path in ("//evil.example/", "//evil.example/login", "/%2fevil.example/", "/login/../x"):
        answer = await client.get(f"http://localhost:8080{path}", headers=BROWSER)
        assert answer.status_code == 404, path
        assert "location" not in answer.headers


async def test_only_browsers_are_led_on_and_only_by_get(client: httpx2.AsyncClient) -> None:
    for path in ("/login", "/sign-in/", "/register", "/logout", "/docs"):
        assert (await client.get(path)).status_code == 404
        assert (await client.post(path, headers=BROWSER)).status_code in {403, 404}
        assert (await client.delete(path, headers=BROWSER)).status_code == 404
    assert (await client.get("/api/auth/me/", headers=BROWSER)).status_code == 404
    assert (await client.get("/LOGIN", headers=BROWSER)).status_code == 404


async def test_to_be_led_to_the_sign_out_signs_nobody_out(reader: Reader, ann: object) -> None:
    """A picture on another site can make a browser ask for it."""
    for path in ("/logout", "/signout", "/sign-out/"):
        page = await reader.open(path)
        assert (page.path, page.heading) == ("/sign-out", "Sign out?")
    assert (await reader.open("/account")).status == 200


async def test_password_managers_find_where_to_change_a_password(
    client: httpx2.AsyncClient, reader: Reader, ann: object
) -> None:
    """W3C, "A Well-Known URL for Changing Passwords"; programs ask without a page in mind."""
    for headers in ({}, BROWSER, {"Accept": "application/json"}):
        answer = await client.get("/.well-known/change-password", headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (302, "/account/password")
    # They ask for this one too, to see whether the server says 404 at all.
    absent = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200"
    assert (await client.get(absent, headers=BROWSER)).status_code == 404
    assert (await reader.open("/.well-known/change-password")).path == "/account/password"


async def test_who_is_not_signed_in_signs_in_on_the_way_there(reader: Reader) -> None:
    page = await reader.open("/.well-known/change-password")

    assert page.path == "/sign-in"
    assert page.response.url.query == b"next=/account/password"
