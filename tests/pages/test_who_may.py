"""Authorization: every page and form is called as every kind of caller."""

from itertools import count
from pathlib import Path

import httpx2
import pytest

from gatelodge.accounts.roles import SEEDED_ROLES
from gatelodge.accounts.store import Rights
from gatelodge.app import DOORS, House
from gatelodge.audit import COMMAND
from gatelodge.pages.door import PageDoor
from gatelodge.web.door import Declared
from gatelodge.web.responses import status_of
from tests.pages.reader import ACCEPT
from tests.support.people import new_user, sign_in_browser

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "pages.md"
OURS = {"Origin": "http://localhost:8080"}
KINDS: dict[str, tuple[str, ...] | None] = {
    "nobody": None,
    "user": (),
    "moderator": ("moderator",),
    "admin": ("admin",),
    "disabled": None,
    "signed out": None,
}
"""The kinds of callers, with the roles besides `user` of those who are signed in."""


_numbers = count()


def routes() -> list[Declared]:
    """Return all routes of all page doors."""
    return [route for door in DOORS if isinstance(door, PageDoor) for route in door.routes]


def expected(route: Declared, kind: str) -> int:
    """Return the status that a program gets by the rule of the route."""
    roles = KINDS[kind]
    if route.rule.public:
        return route.answers
    if roles is None:
        return status_of(route.rule.missing)
    rights = Rights.of(("user", *roles), SEEDED_ROLES)
    may = route.rule.permits(rights.roles, rights.permissions)
    return route.answers if may else status_of(route.rule.lacking)


def is_form(route: Declared) -> bool:
    """Return whether a form is posted here that a page of the same path shows again."""
    pages = {each.path for each in routes() if each.method == "GET"}
    return route.method == "POST" and route.path in pages


def table() -> str:
    """Return the table that the guide must show."""
    rows = [
        [
            f"`{route.method} {route.path}`",
            route.rule.name,
            *(str(expected(route, k)) for k in KINDS),
        ]
        for route in routes()
    ]
    head = [["Route", "Rule", *KINDS], [":--", ":--", *(":-:" for _ in KINDS)]]
    return "\n".join(f"| {' | '.join(row)} |" for row in head + rows)


async def path_of(route: Declared, house: House) -> str:
    """Return a path of the route; what it names is there, and new."""
    if "{user_id}" not in route.path:
        return route.path
    user = await new_user(house, f"asked{next(_numbers)}")
    return route.path.replace("{user_id}", user.id)


async def cookies_of(kind: str, client: httpx2.AsyncClient, house: House) -> dict[str, str]:
    """Return the cookies of a new caller of this kind."""
    client.cookies.clear()
    if kind == "nobody":
        return {}
    name = f"caller{next(_numbers)}"
    user = await sign_in_browser(client, house, name, *(KINDS[kind] or ()))
    cookies = dict(client.cookies)
    if kind == "disabled":
        await house.accounts.disable(user, COMMAND)
    if kind == "signed out":
        await client.post("/sign-out", headers=OURS)
    client.cookies.clear()
    return cookies


@pytest.mark.parametrize("kind", KINDS)
async def test_every_page_answers_this_kind_of_caller_as_its_rule_says(
    client: httpx2.AsyncClient, house: House, kind: str
) -> None:
    """A program gets the status. A browser that must sign in is redirected to the sign-in page.

    A form can end the session or change the user, so each form has a new caller.
    """
    for accept in ("*/*", ACCEPT):
        cookies = await cookies_of(kind, client, house)
        for route in sorted(routes(), key=lambda each: each.method):
            path = await path_of(route, house)
            if route.method == "POST":
                cookies = await cookies_of(kind, client, house)
            client.cookies.clear()
            client.cookies.update(cookies)
            response = await client.request(route.method, path, headers=OURS | {"Accept": accept})
            status = expected(route, kind)
            signed_in = KINDS[kind] is not None
            if (
                route.path in {"/sign-in", "/sign-in/passkey", "/sign-up"}
                and route.method == "GET"
                and signed_in
            ):
                status = 303  # a signed-in caller needs neither page
            if route.path == "/sign-out" and route.method == "GET" and not signed_in:
                status = 303
            if status == 401 and accept == ACCEPT:
                status = 303
                assert response.headers["location"].startswith("/sign-in?next=/")
            elif (
                is_form(route)
                and accept == ACCEPT
                and status == route.answers >= 400
                and kind != "nobody"
            ):
                status = 303  # to the page of the form, which says what is wrong
                assert response.headers["location"] == path
            assert response.status_code == status, (route.method, route.path)


def test_the_table_of_the_guide_is_the_one_the_routes_declare() -> None:
    assert table() in GUIDE.read_text()
