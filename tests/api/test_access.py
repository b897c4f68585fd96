"""Authorization: every route is called as every kind of caller."""

from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from gatelodge.app import DOORS, House, create_api, create_app
from gatelodge.audit import COMMAND
from gatelodge.errors import ConfigurationError
from gatelodge.gate.rules import Rule
from gatelodge.ids import new_id
from gatelodge.web.described import Description
from gatelodge.web.door import Door, GuardedRoute
from gatelodge.web.openapi import document_of
from tests.support.access_table import (
    DISABLED,
    KINDS,
    NOBODY,
    OTHER_KIND,
    ROLES,
    SIGNED_OUT,
    declared_routes,
    expected_status,
    parse_access_table,
    path_of_trial,
)
from tests.support.clock import NOON
from tests.support.people import Person, signed_in

API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"


async def token_of_a(kind: str, client: httpx2.AsyncClient, house: House) -> str | None:
    """Return what a caller of this kind sends as the access token."""
    if kind == NOBODY:
        return None
    name = f"caller-{new_id('x', NOON)[-8:]}"
    person = await signed_in(client, house, name, *ROLES.get(kind, ("moderator", "admin")))
    if kind == DISABLED:
        await house.accounts.disable(await house.accounts.get_by_username(name), COMMAND)
    if kind == SIGNED_OUT:
        await client.post("/api/auth/signout", headers=person.headers)
    if kind == OTHER_KIND:
        return str(person.answer["refreshToken"])
    return person.token


@pytest.fixture
async def keeper(client: httpx2.AsyncClient, house: House) -> Person:
    """Return an admin whom no test changes, so that no caller is the last admin."""
    return await signed_in(client, house, "keeper", "admin")


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("kind", KINDS)
async def test_every_route_answers_this_kind_of_caller_as_the_documentation_says(
    client: httpx2.AsyncClient, house: House, kind: str
) -> None:
    """The table in docs/api.md, the rules of the routes and the answers agree, for both headers."""
    table = parse_access_table(API_PAGE.read_text())
    assert set(table) == {(route.method, route.path) for route in declared_routes()}
    for carrier in ("authorization", "x-access-token"):
        for route in declared_routes():
            token = await token_of_a(kind, client, house)
            value = f"Bearer {token}" if carrier == "authorization" else str(token)
            response = await client.request(
                route.method,
                path_of_trial(route.path),
                headers={} if token is None else {carrier: value},
                json={} if route.method in {"POST", "PATCH"} else None,
            )
            expected = table[route.method, route.path][kind]
            assert expected == expected_status(route, kind)
            assert response.status_code == expected, (route.method, route.path, response.text)


def test_a_route_that_does_not_say_who_may_call_cannot_be_made() -> None:
    """The server does not start with such a route."""

    async def forgotten() -> None:
        """Answer."""

    with pytest.raises(ConfigurationError, match="does not say who may call"):
        FastAPI().router.add_api_route("/x", forgotten, route_class_override=GuardedRoute)


def test_no_route_goes_around_the_doors() -> None:
    """Every route that answers was declared at a door."""
    for door in DOORS:
        assert len(door.routes) == len(door.router.routes) > 0
        if isinstance(door, Door):
            assert all(isinstance(route, GuardedRoute) for route in door.router.routes)


# A route that requires a permission

LEND = Rule("things:lend", permissions=("things:lend", "things:give"))


@pytest.fixture
def lending(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Return a house with one more door, whose route requires a permission."""
    door = Door("/api/things", tag="things")

    @door.get("/lend", rule=LEND, told=Description("Lend a thing"))
    async def lend() -> dict[str, str]:
        """Lend a thing."""
        return {"message": "Lent."}

    monkeypatch.setattr("gatelodge.app.DOORS", (*DOORS, door))
    return house


async def test_a_route_that_requires_a_permission_admits_whoever_has_one_of_them(
    lending: House,
) -> None:
    """The change takes effect on the next request, with the same token."""
    transport = httpx2.ASGITransport(app=create_app(lending), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        assert (await client.get("/api/things/lend")).status_code == 401
        ann = await signed_in(client, lending, "ann", "admin")
        for permission in LEND.permissions:
            refused = await ann.get("/api/things/lend")
            assert refused.status_code == 403
            assert refused.json()["code"] == "forbidden"
            assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]

            await lending.roles.permit("user", permission, COMMAND)
            assert (await ann.get("/api/things/lend")).json() == {"message": "Lent."}

            await lending.roles.forbid("user", permission, COMMAND)
        assert (await ann.get("/api/things/lend")).status_code == 403


def test_the_document_says_what_such_a_route_requires(lending: House) -> None:
    operation = document_of(create_api(lending))["paths"]["/api/things/lend"]["get"]

    assert operation["x-gatelodge-rule"] == "things:lend"
    assert "`forbidden`" in operation["responses"]["403"]["description"]
