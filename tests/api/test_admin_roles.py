"""The API for roles: what administrators and their helpers see and change."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND, Event
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import Person, new_user, signed_in

ROLES = "/api/admin/roles"
EDITOR = {"name": "editor", "description": "Edits pages.", "permissions": ["pages:edit"]}


@pytest.fixture
async def adele(client: httpx2.AsyncClient, house: House) -> Person:
    """Return an administrator who has just signed in."""
    return await signed_in(client, house, "adele", "admin")


@pytest.fixture
async def helper(client: httpx2.AsyncClient, house: House) -> Person:
    """Return somebody who may write roles and edit pages."""
    await house.roles.create("helper", "", ["roles:write", "pages:edit"], COMMAND)
    return await signed_in(client, house, "henry", "helper")


async def names_of(house: House) -> list[str]:
    """Return the names of all roles."""
    return [role.name for role in await house.roles.list_roles()]


async def event_of(house: House, name: str) -> Event:
    """Return the event of this name; there is one."""
    events = await newest(house.stores.events, 100)
    [event] = [each for each in events if each.name == name]
    return event


async def test_an_administrator_makes_a_role_and_its_holder_has_it_at_once(
    house: House, adele: Person
) -> None:
    ben = await signed_in(adele.client, house, "ben")
    made = await adele.send("POST", ROLES, EDITOR)
    await house.accounts.grant(await house.accounts.get_by_username("ben"), "editor", COMMAND)

    assert made.status_code == 200
    assert made.json() == EDITOR | {
        "holders": {"number": 0, "exact": True},
        "builtIn": False,
        "editable": True,
        "grantable": True,
    }
    event = await event_of(house, "role.created")
    assert (event.actor, event.target) == (adele.answer["id"], "editor")
    assert (await ben.get("/api/auth/me")).json()["permissions"] == ["account:manage", "pages:edit"]

    permitted = await adele.send("POST", f"{ROLES}/editor/permissions", {"permission": "a:b"})
    assert permitted.json()["permissions"] == ["a:b", "pages:edit"]
    assert (await ben.get("/api/auth/me")).json()["permissions"] == [
        "a:b",
        "account:manage",
        "pages:edit",
    ]
    event = await event_of(house, "role.permitted")
    assert (event.actor, event.target) == (adele.answer["id"], "editor")
    assert (event.address, event.request_id) == (
        "127.0.0.1",
        permitted.headers["x-request-id"],
    )

    taken = await adele.send("DELETE", f"{ROLES}/editor/permissions/pages:edit")
    described = await adele.send("PATCH", f"{ROLES}/editor", {"description": " Edits. "})
    assert taken.json()["permissions"] == ["a:b"]
    assert described.json()["description"] == "Edits."
    assert described.json()["holders"] == {"number": 1, "exact": True}
    assert (await adele.get(f"{ROLES}/editor")).json() == described.json()


async def test_whoever_may_see_users_sees_roles_and_changes_none(
    client: httpx2.AsyncClient, house: House
) -> None:
    await house.roles.create("reader", "", ["users:read"], COMMAND)
    rita = await signed_in(client, house, "rita", "reader")
    body = {"permission": "users:read"}

    listed = await rita.get(ROLES)
    refused = await rita.send("POST", f"{ROLES}/reader/permissions", body)

    assert [each["name"] for each in listed.json()["items"]] == [
        "admin",
        "moderator",
        "reader",
        "user",
    ]
    assert [each["name"] for each in listed.json()["items"] if each["editable"]] == [
        "reader",
        "user",
    ]
    assert (await rita.get(f"{ROLES}/admin")).json()["editable"] is False
    assert (await rita.get("/api/admin/permissions")).status_code == 200
    assert refused.status_code == 403
    assert refused.json()["code"] == "forbidden"
    assert (await rita.get(f"{ROLES}/reader/preview?permit=a:b")).status_code == 403


async def test_pages_of_roles_and_permissions_lead_from_one_to_the_next(
    house: House, adele: Person
) -> None:
    for number in range(5):
        await house.roles.create(f"role-{number}", "", [f"a:b{number}"], COMMAND)

    for path in (ROLES, "/api/admin/permissions"):
        whole = (await adele.get(f"{path}?limit=200")).json()
        seen, cursor = [], ""
        while True:
            page = (await adele.get(f"{path}?limit=3{cursor}")).json()
            seen += page["items"]
            if page["next"] is None:
                break
            assert len(page["items"]) == 3
            cursor = f"&cursor={page['next']}"
        assert seen == whole["items"]
        assert whole["next"] is None
        assert (await adele.get(f"{path}?cursor=%21")).json()["code"] == "invalid_request"


async def test_permissions_are_listed_with_their_meaning(house: House, helper: Person) -> None:
    items = (await helper.get("/api/admin/permissions")).json()["items"]

    known = {each["name"]: each for each in items}
    assert known["users:delete"] == {
        "name": "users:delete",
        "meaning": "Delete users",
        "roles": ["admin"],
        "permittable": False,
    }
    assert known["pages:edit"] == {
        "name": "pages:edit",
        "meaning": None,
        "roles": ["helper"],
        "permittable": True,
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", ROLES, EDITOR | {"permissions": ["a:b"]}, 403, "permission_not_grantable"),
        ("POST", ROLES, EDITOR | {"permissions": []}, 403, "role_not_editable"),
        (
            "POST",
            f"{ROLES}/admin/permissions",
            {"permission": "pages:edit"},
            403,
            "role_not_editable",
        ),
        (
            "POST",
            f"{ROLES}/vip/permissions",
            {"permission": "pages:edit"},
            403,
            "role_not_editable",
        ),
        (
            "POST",
            f"{ROLES}/moderator/permissions",
            {"permission": "pages:edit"},
            403,
            "role_not_editable",
        ),
        (
            "POST",
            f"{ROLES}/helper/permissions",
            {"permission": "a:b"},
            403,
            "permission_not_grantable",
        ),
        (
            "POST",
            f"{ROLES}/helper/permissions",
            {"permission": "users:impersonate"},
            403,
            "permission_not_grantable",
        ),
        ("PATCH", f"{ROLES}/admin", {"description": "Mine."}, 403, "role_not_editable"),
        ("DELETE", f"{ROLES}/admin/permissions/users:read", None, 403, "role_not_editable"),
        ("DELETE", f"{ROLES}/vip", None, 403, "role_not_editable"),
        ("DELETE", f"{ROLES}/helper?takeFromAll=true", None, 403, "role_not_editable"),
        ("DELETE", f"{ROLES}/helper", None, 409, "role_held"),
    ],
)
async def test_a_helper_is_refused_what_is_beyond_their_reach(
    house: House, helper: Person, method: str, path: str, body: Any, status: int, code: str
) -> None:
    """Their own role is within it; but it is held, and only administrators take it from all."""
    await house.roles.create("vip", "Means something to an application.", [], COMMAND)
    before = await house.roles.list_roles()

    answer = await helper.send(method, path, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await house.roles.list_roles() == before


async def test_a_helper_makes_changes_and_deletes_a_role_within_their_reach(
    house: House, helper: Person
) -> None:
    assert (await helper.send("POST", ROLES, EDITOR)).json()["editable"] is True
    body = {"permission": "roles:write"}
    assert (await helper.send("POST", f"{ROLES}/editor/permissions", body)).status_code == 200
    removed = await helper.send("DELETE", f"{ROLES}/editor")

    assert removed.json() == {"taken": 0, "complete": True}
    assert "editor" not in await names_of(house)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("DELETE", f"{ROLES}/admin/permissions/users:read", None, 409, "admin_needs_permission"),
        ("DELETE", f"{ROLES}/moderator", None, 409, "role_built_in"),
        ("DELETE", f"{ROLES}/moderator?takeFromAll=true", None, 409, "role_built_in"),
        ("DELETE", f"{ROLES}/nobody", None, 404, "role_not_found"),
        ("DELETE", f"{ROLES}/nobody?takeFromAll=true", None, 404, "role_not_found"),
        ("POST", ROLES, EDITOR | {"name": "user"}, 409, "role_name_taken"),
        ("POST", ROLES, EDITOR | {"name": "No name"}, 400, "role_name_invalid"),
        ("POST", ROLES, EDITOR | {"permissions": ["pages"]}, 400, "permission_invalid"),
        ("POST", ROLES, EDITOR | {"description": "a\nb"}, 400, "role_description_invalid"),
        ("POST", ROLES, EDITOR | {"editable": True}, 400, "invalid_request"),
        ("POST", f"{ROLES}/user/permissions", {"permission": "*:*"}, 400, "permission_invalid"),
        ("POST", f"{ROLES}/user/permissions", {"permission": ["a:b"]}, 400, "invalid_request"),
        ("DELETE", f"{ROLES}/user/permissions/%00", None, 400, "permission_invalid"),
        ("GET", f"{ROLES}/%ff", None, 404, "role_not_found"),
        ("GET", f"{ROLES}/%F0%9F%94%91", None, 404, "role_not_found"),
        ("GET", f"{ROLES}/{'a' * 3000}", None, 404, "role_not_found"),
        ("GET", f"{ROLES}/user/preview?permit=a:b&forbid=a:b", None, 400, "invalid_request"),
        ("GET", f"{ROLES}/user/preview?permit=*", None, 400, "permission_invalid"),
        ("GET", f"{ROLES}/admin/preview?forbid=users:read", None, 409, "admin_needs_permission"),
    ],
)
async def test_even_an_administrator_is_told_what_is_wrong(
    house: House, adele: Person, method: str, path: str, body: Any, status: int, code: str
) -> None:
    before = await house.roles.list_roles()

    answer = await adele.send(method, path, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await house.roles.list_roles() == before


async def test_every_change_needs_a_proof_of_the_last_five_minutes(
    house: House, adele: Person, clock: FakeClock
) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    before = await house.roles.list_roles()
    clock.advance(timedelta(minutes=5, seconds=1))

    for method, path, body in (
        ("POST", ROLES, EDITOR | {"name": "other"}),
        ("PATCH", f"{ROLES}/editor", {"description": "Mine."}),
        ("POST", f"{ROLES}/editor/permissions", {"permission": "a:b"}),
        ("DELETE", f"{ROLES}/editor/permissions/pages:edit", None),
        ("DELETE", f"{ROLES}/editor", None),
        ("DELETE", f"{ROLES}/editor?takeFromAll=true", None),
    ):
        answer = await adele.send(method, path, body)
        assert answer.status_code == 401
        assert answer.json()["code"] == "insufficient_user_authentication"

    assert await house.roles.list_roles() == before
    assert (await adele.get(f"{ROLES}/editor/preview?permit=a:b")).status_code == 200


async def test_a_role_that_is_held_is_taken_from_all_by_an_administrator(
    house: House, adele: Person
) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    ben = await signed_in(adele.client, house, "ben", "editor")

    held = await adele.send("DELETE", f"{ROLES}/editor")
    taken = await adele.send("DELETE", f"{ROLES}/editor?takeFromAll=true")

    assert held.json()["code"] == "role_held"
    assert taken.json() == {"taken": 1, "complete": True}
    assert (await ben.get("/api/auth/me")).json()["roles"] == ["user"]
    for name in ("role.deleted", "role.withdrawn", "role.taken_from_all"):
        assert (await event_of(house, name)).actor == adele.answer["id"]


async def test_a_preview_says_who_gains_and_who_loses(house: House, adele: Person) -> None:
    """With names for whoever may see users, and without for others."""
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    await house.roles.create("chief", "", ["pages:edit"], COMMAND)
    await house.roles.create("shaper", "", ["roles:write", "pages:edit"], COMMAND)
    ben = await new_user(house, "ben", "editor")
    await new_user(house, "carol", "editor", "chief")
    shaper = await signed_in(adele.client, house, "shaun", "shaper")
    path = f"{ROLES}/editor/preview?forbid=pages:edit&permit=roles:write"

    seen = (await adele.get(path)).json()
    blind = (await shaper.get(path)).json()

    gained, lost = seen["effects"]
    assert lost == {
        "permission": "pages:edit",
        "gained": False,
        "number": 1,
        "bound": "exactly",
        "users": [{"id": ben.id, "username": "ben"}],
    }
    assert (gained["permission"], gained["gained"], gained["number"]) == ("roles:write", True, 2)
    assert sorted(each["username"] for each in gained["users"]) == ["ben", "carol"]
    assert [each | {"users": []} for each in seen["effects"]] == blind["effects"]
