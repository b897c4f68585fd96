"""The rules for roles: what they may be called, what they permit, what operators cannot do."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.refusals import (
    AdminNeedsPermission,
    BuiltInRole,
    InvalidDescription,
    InvalidPermission,
    InvalidRoleName,
    NoSuchRole,
    RoleFull,
    RoleNameTaken,
)
from gatelodge.accounts.roles import (
    ADMIN,
    ADMINISTERS,
    BUILT_IN,
    MAX_DESCRIPTION,
    MAX_PERMISSION,
    MAX_PERMISSIONS,
    SEEDED_ROLES,
    check_permission,
)
from gatelodge.accounts.store import Role
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.errors import Refusal
from gatelodge.gate.identity import rule_asked_for, rule_of
from gatelodge.gate.rules import ANYBODY, SIGNED_IN, Rule
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD, signed_in

LONGEST_NAME = "a" * 64
LONGEST_PERMISSION = "a:" + "b" * (MAX_PERMISSION - 2)

NO_NAMES = [
    *("", " ", "Editor", "editor ", " editor", "edi tor", "1editor", "-editor", "_editor"),
    *("editor\n", "\neditor", "éditor", "ｅditor", "edit*", "*", "a:b", "a.b", "a/b", "a,b"),
    *(LONGEST_NAME + "a", "a" * 10_000, "\x00", "a\x00", "\udcff", "\u202e", "$ne", "'; --"),
]

NO_PERMISSIONS = [
    *("", ":", "a", "a:", ":a", "a::b", "a:b:c", "A:b", "a:B", "1a:b", "a b:c", "a:b c", " a:b"),
    *("a:b ", "a:b\n", "*", "*:*", "a:*", "a*:b", "a:b*", "a.b:c", "a:b,c:d", "é:a", "a:é"),
    *(LONGEST_PERMISSION + "b", "a:" + "b" * 10_000, "a:\x00", "a:\udcff", "$a:b", "a:$ne"),
]

NO_DESCRIPTIONS = ["a" * (MAX_DESCRIPTION + 1), "a\nb", "a\tb", "a\x00", "\udcff", "a\u202eb"]


async def states_of(house: House) -> tuple[list[Role], int]:
    """Return every role, and how many events there are."""
    events = await newest(house.stores.events, 1000)
    return await house.roles.list_roles(), len(events)


async def refusal_of(asked: Coroutine[Any, Any, object]) -> type[Refusal] | None:
    """Return what is refused, or None where nothing is."""
    try:
        await asked
    except Refusal as refusal:
        return type(refusal)
    return None


async def test_every_installation_has_three_roles(house: House) -> None:
    """Whatever starts on it once more."""
    await house.roles.seed()

    roles = await house.roles.list_roles()

    assert roles == sorted(SEEDED_ROLES, key=lambda role: role.name)
    assert {role.name for role in roles} == BUILT_IN
    admin = await house.roles.get(ADMIN)
    assert set(ADMINISTERS) < set(admin.permissions)
    for role in roles:
        for permission in role.permissions:
            check_permission(permission)


async def test_a_start_leaves_a_role_as_an_operator_made_it(house: House) -> None:
    await house.roles.forbid("moderator", "boards:moderate", COMMAND)
    await house.roles.describe("moderator", "In other words.", COMMAND)

    await house.roles.seed()

    assert await house.roles.get("moderator") == Role(
        "moderator", "In other words.", ("account:manage",)
    )


async def test_a_name_of_the_allowed_letters_is_taken(house: House) -> None:
    for name in ("a", "editor", "e-d_1", LONGEST_NAME, "usr_1", "key_1", "none"):
        made = await house.roles.create(name, "Écrit – 書く.", ["a:b", "c:d", "a:b"], COMMAND)

        assert made == Role(name, "Écrit – 書く.", ("a:b", "c:d"))
        assert await house.roles.get(name) == made


async def test_a_name_that_breaks_the_rules_changes_nothing(house: House) -> None:
    """It is refused by everything that takes one; no text gets as far as a database."""
    before = await states_of(house)
    for name in NO_NAMES:
        assert await refusal_of(house.roles.create(name, "", [], COMMAND)) is InvalidRoleName, name
        for asked in (
            house.roles.get(name),
            house.roles.describe(name, "x", COMMAND),
            house.roles.permit(name, "a:b", COMMAND),
            house.roles.forbid(name, "a:b", COMMAND),
            house.roles.delete(name, COMMAND),
            house.roles.delete_and_take(name, COMMAND),
        ):
            assert await refusal_of(asked) is NoSuchRole, name

    assert await states_of(house) == before


async def test_a_permission_of_two_words_is_given_and_taken(house: House) -> None:
    for permission in ("a:b", "users:read", "a-_1:2-_", LONGEST_PERMISSION):
        assert await house.roles.permit("user", permission, COMMAND)
        assert not await house.roles.permit("user", permission, COMMAND)
        assert permission in (await house.roles.get("user")).permissions

        assert await house.roles.forbid("user", permission, COMMAND)
        assert not await house.roles.forbid("user", permission, COMMAND)
        assert permission not in (await house.roles.get("user")).permissions


async def test_what_is_no_permission_changes_nothing(house: House) -> None:
    """There are no wildcards."""
    before = await states_of(house)
    for permission in NO_PERMISSIONS:
        for asked in (
            house.roles.create("editor", "", ["a:b", permission], COMMAND),
            house.roles.permit("user", permission, COMMAND),
            house.roles.forbid("user", permission, COMMAND),
        ):
            assert await refusal_of(asked) is InvalidPermission, permission

    assert await states_of(house) == before


async def test_a_description_is_one_line_that_can_be_printed(house: House) -> None:
    before = await states_of(house)
    for description in NO_DESCRIPTIONS:
        for asked in (
            house.roles.create("editor", description, [], COMMAND),
            house.roles.describe("user", description, COMMAND),
        ):
            assert await refusal_of(asked) is InvalidDescription, description

    assert await states_of(house) == before
    assert await house.roles.describe("user", "a" * MAX_DESCRIPTION, COMMAND)


async def test_a_role_has_only_so_many_permissions(house: House) -> None:
    most = [f"a:{number}" for number in range(MAX_PERMISSIONS)]
    with pytest.raises(RoleFull):
        await house.roles.create("editor", "", [*most, "b:c"], COMMAND)
    await house.roles.create("editor", "", [*most, *most], COMMAND)

    with pytest.raises(RoleFull):
        await house.roles.permit("editor", "b:c", COMMAND)
    assert not await house.roles.permit("editor", most[-1], COMMAND)

    assert await house.roles.forbid("editor", most[0], COMMAND)
    assert await house.roles.permit("editor", "b:c", COMMAND)
    assert len((await house.roles.get("editor")).permissions) == MAX_PERMISSIONS


async def test_a_role_is_made_once(house: House) -> None:
    await house.roles.create("editor", "", ["a:b"], COMMAND)

    for name in ("editor", *BUILT_IN):
        with pytest.raises(RoleNameTaken):
            await house.roles.create(name, "Another one.", [], COMMAND)

    assert (await house.roles.get("editor")).permissions == ("a:b",)


async def test_the_three_roles_cannot_be_deleted(house: House) -> None:
    before = await states_of(house)

    for name in BUILT_IN:
        for delete in (house.roles.delete, house.roles.delete_and_take):
            assert await refusal_of(delete(name, COMMAND)) is BuiltInRole

    assert await states_of(house) == before


@pytest.mark.parametrize("permission", ADMINISTERS)
async def test_admin_keeps_what_administers(house: House, permission: str) -> None:
    """Of other roles the same permission can be taken, and of `admin` every other one."""
    before = await states_of(house)
    with pytest.raises(AdminNeedsPermission):
        await house.roles.forbid(ADMIN, permission, COMMAND)
    assert await states_of(house) == before

    assert await house.roles.permit("moderator", permission, COMMAND)
    assert await house.roles.forbid("moderator", permission, COMMAND)
    for other in set((await house.roles.get(ADMIN)).permissions) - set(ADMINISTERS):
        assert await house.roles.forbid(ADMIN, other, COMMAND)
    assert set((await house.roles.get(ADMIN)).permissions) == set(ADMINISTERS)


async def test_every_change_is_recorded_once(house: House) -> None:
    """What was so already is no change."""
    roles = house.roles
    await roles.create("editor", "Edits.", ["a:b", "c:d"], COMMAND)
    await roles.describe("editor", "Corrects.", COMMAND)
    assert not await roles.describe("editor", "Corrects.", COMMAND)
    await roles.permit("editor", "e:f", COMMAND)
    await roles.permit("editor", "e:f", COMMAND)
    await roles.forbid("editor", "a:b", COMMAND)
    await roles.forbid("editor", "a:b", COMMAND)
    await roles.delete("editor", COMMAND)

    events = await newest(house.stores.events, 1000)
    events = [event for event in events if event.name.startswith("role.")]
    assert len(events) == 5
    assert {(event.actor, event.target) for event in events} == {("command", "editor")}
    assert {event.name: dict(event.detail) for event in events} == {
        "role.created": {"permissions": "a:b c:d"},
        "role.described": {},
        "role.permitted": {"permission": "e:f"},
        "role.forbidden": {"permission": "a:b"},
        "role.deleted": {"permissions": "c:d e:f"},
    }


async def test_a_role_may_be_called_like_a_users_id(
    client: httpx2.AsyncClient, house: House
) -> None:
    """A change of it is a change of the role, and makes its holders' rights be read again."""
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    await house.roles.create(user.id, "", [], COMMAND)
    await house.accounts.grant(user, user.id, COMMAND)
    path = "/api/auth/verify?permission=a:b"
    assert (await ann.get(path)).status_code == 403

    await house.roles.permit(user.id, "a:b", COMMAND)

    assert (await ann.get(path)).status_code == 200


async def test_a_session_that_renews_itself_brings_its_permissions_along(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Only the refresh cookie is left, and the very request that trades it asks for one."""
    for name, roles, status in (("ann", ("moderator",), 200), ("bob", (), 403)):
        await signed_in(client, house, name, *roles)
        body = {"username": name, "password": PASSWORD, "delivery": "cookie"}
        await client.post("/api/auth/signin", json=body)
        clock.advance(house.settings.access_token_life)
        del client.cookies["gatelodge-access"]

        response = await client.get("/boards/mod")

        assert response.status_code == status
        assert "gatelodge-access" in response.cookies
        client.cookies.clear()


async def test_permissions_are_given_beside_each_other(house: House) -> None:
    given = [f"a:{number}" for number in range(50)]

    await asyncio.gather(*(house.roles.permit("user", each, COMMAND) for each in given))

    assert set(given) <= set((await house.roles.get("user")).permissions)


# Rules


@pytest.mark.parametrize(
    ("rule", "roles", "permissions", "may"),
    [
        (SIGNED_IN, (), (), True),
        (Rule("x", any_of=("a", "b")), ("b",), (), True),
        (Rule("x", any_of=("a", "b")), ("c",), ("a",), False),
        (Rule("x", permissions=("p:q", "r:s")), (), ("r:s",), True),
        (Rule("x", permissions=("p:q", "r:s")), ("p:q",), ("t:u",), False),
        (Rule("x", permissions=("p:q",)), ("admin",), (), False),
        (Rule("x", any_of=("a",), permissions=("p:q",)), ("a",), ("p:q",), True),
        (Rule("x", any_of=("a",), permissions=("p:q",)), ("a",), (), False),
        (Rule("x", any_of=("a",), permissions=("p:q",)), (), ("p:q",), False),
    ],
)
def test_a_rule_asks_for_what_it_names(
    rule: Rule, roles: tuple[str, ...], permissions: tuple[str, ...], may: bool
) -> None:
    """One of its roles, and one of its permissions."""
    assert rule.permits(roles, permissions) is may
    assert rule.permits(frozenset(roles), frozenset(permissions)) is may
    assert rule.can_lack is (rule is not SIGNED_IN)
    assert not ANYBODY.can_lack


@pytest.mark.parametrize(
    ("query", "roles", "permissions"),
    [
        (b"role=a", ["a"], []),
        (b"permission=p:q", [], ["p:q"]),
        (b"permission=p%3Aq&role=a&role=b&role=a", ["a", "b"], ["p:q"]),
    ],
)
def test_a_query_says_which_rule_it_asks_for(
    query: bytes, roles: list[str], permissions: list[str]
) -> None:
    assert rule_asked_for(query) == rule_of(roles, permissions)


@pytest.mark.parametrize(
    "query",
    [b"role=", b"permission=", b"permissions=a:b", b"role=a&x=1", b"Permission=a:b", b"role"],
)
def test_a_query_that_says_anything_else_is_not_for_the_fast_door(query: bytes) -> None:
    assert rule_asked_for(query) is None
