"""Administrators and roles: how far they reach, and who is affected by what they do."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gatelodge.accounts.permissions import ROLES_WRITE, USERS_IMPERSONATE, USERS_READ
from gatelodge.accounts.refusals import (
    AdminNeedsPermission,
    BuiltInRole,
    NoSuchRole,
    RoleHeld,
)
from gatelodge.accounts.roles import ADMIN, MODERATOR
from gatelodge.accounts.search import Count
from gatelodge.accounts.store import Rights
from gatelodge.admin import roles as administration
from gatelodge.admin.authority import Administrator
from gatelodge.admin.refusals import PermissionNotGrantable, RoleNotEditable
from gatelodge.admin.roles import Affected, Bound, RoleAdministration, RoleChange
from gatelodge.app import House
from gatelodge.audit import COMMAND, Actor
from gatelodge.errors import Refusal
from tests.support.clock import FakeClock
from tests.support.held import Held
from tests.support.people import new_user

EVERYTHING = frozenset({ROLES_WRITE, USERS_READ, "pages:edit"})
ANN = Administrator(Actor("usr_ann"), Rights((ADMIN,), EVERYTHING))
HELPER = Administrator(Actor("usr_helper"), Rights(("helper",), EVERYTHING))
BLIND = Administrator(
    Actor("usr_blind"), Rights(("blind",), frozenset({ROLES_WRITE, "pages:edit"}))
)


@pytest.fixture
def roles(house: House) -> RoleAdministration:
    """Return the administration of the roles of a house."""
    return house.role_administration


async def permissions_of(house: House, name: str) -> tuple[str, ...]:
    """Return what a role permits."""
    return (await house.roles.get(name)).permissions


def gives(role: str, permission: str) -> RoleChange:
    """Return the change that gives a permission."""
    return RoleChange(role, permission, permits=True)


def takes(role: str, permission: str) -> RoleChange:
    """Return the change that takes a permission."""
    return RoleChange(role, permission, permits=False)


def told(affected: Affected) -> tuple[int, Bound, list[str]]:
    """Return whom a preview counts and names."""
    return affected.number, affected.bound, sorted(user.username for user in affected.users)


async def test_roles_are_seen_with_their_holders_and_ones_own_reach(
    house: House, roles: RoleAdministration
) -> None:
    await house.roles.create("editor", "Edits pages.", ["pages:edit"], COMMAND)
    await house.roles.create("vip", "Means something to an application.", [], COMMAND)
    ben = await new_user(house, "ben", "editor")
    await new_user(house, "carol", "editor")
    await house.accounts.disable(ben, COMMAND)

    seen = {each.role.name: each for each in await roles.list_roles(HELPER, limit=50)}

    assert list(seen) == ["admin", "editor", "moderator", "user", "vip"]
    assert seen["editor"].holders == Count(2)
    assert [each for each in seen if seen[each].editable] == ["editor"]
    assert [each for each in seen if seen[each].grantable] == ["editor"]
    assert [each for each in seen if seen[each].built_in] == ["admin", "moderator", "user"]
    assert all(each.editable for each in await roles.list_roles(ANN, limit=50))
    assert await roles.get("editor", HELPER) == seen["editor"]
    assert [each.role.name for each in await roles.list_roles(ANN, after="editor", limit=2)] == [
        "moderator",
        "user",
    ]


async def test_permissions_are_known_from_gatelodge_and_from_roles(
    house: House, roles: RoleAdministration
) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)

    known = {each.name: each for each in await roles.list_permissions(HELPER, limit=100)}

    assert list(known) == sorted(known)
    assert known["pages:edit"].roles == ("editor",)
    assert known["pages:edit"].meaning == ""
    assert known["pages:edit"].permittable
    assert known["users:delete"].roles == ("admin",)
    assert known["users:delete"].meaning == "Delete users"
    assert not known["users:delete"].permittable
    assert known[USERS_IMPERSONATE].roles == ()
    assert [
        each.name for each in await roles.list_permissions(ANN, after="pages:edit", limit=1)
    ] == ["roles:write"]


async def test_a_helper_makes_and_changes_roles_within_their_reach(
    house: House, roles: RoleAdministration
) -> None:
    await roles.create("editor", "", ["pages:edit"], HELPER)
    await roles.describe("editor", "Edits pages.", HELPER)
    await roles.change(gives("editor", USERS_READ), HELPER)
    seen = await roles.change(takes("editor", "pages:edit"), HELPER)

    assert seen.role == await house.roles.get("editor")
    assert seen.role.permissions == (USERS_READ,)
    assert seen.role.description == "Edits pages."
    await roles.delete("editor", HELPER)
    with pytest.raises(NoSuchRole):
        await house.roles.get("editor")


async def test_a_change_that_is_so_already_is_no_refusal(
    house: House, roles: RoleAdministration
) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)

    await roles.change(gives("editor", "pages:edit"), HELPER)
    await roles.change(takes("editor", USERS_READ), HELPER)
    await roles.describe("editor", "", HELPER)

    assert await permissions_of(house, "editor") == ("pages:edit",)


@pytest.mark.parametrize("by", [HELPER, BLIND])
async def test_a_helper_changes_nothing_beyond_their_reach(
    house: House, roles: RoleAdministration, by: Administrator
) -> None:
    """Not a role that permits more, nor one that permits nothing and that is not theirs."""
    await house.roles.create("auditor", "", ["pages:edit", "events:read"], COMMAND)
    await house.roles.create("vip", "", [], COMMAND)
    before = await house.roles.list_roles()

    for name in ("auditor", "vip", ADMIN):
        for change in (gives(name, "pages:edit"), takes(name, "pages:edit")):
            with pytest.raises(RoleNotEditable):
                await roles.change(change, by)
        with pytest.raises(RoleNotEditable):
            await roles.describe(name, "Mine.", by)
        with pytest.raises(RoleNotEditable):
            await roles.delete(name, by)
        with pytest.raises(RoleNotEditable):
            await roles.delete_and_take(name, by)
    with pytest.raises(RoleNotEditable):
        await roles.create("nothing", "", [], by)
    with pytest.raises(PermissionNotGrantable):
        await roles.create("more", "", ["pages:edit", "events:read"], by)

    assert await house.roles.list_roles() == before


async def test_nobody_gives_what_lets_one_see_as_another_but_an_administrator_takes_it(
    house: House, roles: RoleAdministration
) -> None:
    await house.roles.create("viewer", "", ["pages:edit", USERS_IMPERSONATE], COMMAND)
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)

    with pytest.raises(PermissionNotGrantable):
        await roles.change(gives("editor", USERS_IMPERSONATE), ANN)
    with pytest.raises(PermissionNotGrantable):
        await roles.create("other", "", [USERS_IMPERSONATE], ANN)
    await roles.change(takes("viewer", USERS_IMPERSONATE), ANN)

    assert await permissions_of(house, "viewer") == ("pages:edit",)


@pytest.mark.parametrize("act", ["describe", "give", "take", "delete"])
async def test_a_role_that_gets_more_between_look_and_change_stays_as_it_is(
    house: House, act: str
) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    held = Held(house.stores.roles, "find")
    slow = RoleAdministration(
        replace(house.roles, roles=held),  # type: ignore[arg-type]
        house.stores.users,
    )
    acts = {
        "describe": lambda: slow.describe("editor", "Mine.", HELPER),
        "give": lambda: slow.change(gives("editor", USERS_READ), HELPER),
        "take": lambda: slow.change(takes("editor", "pages:edit"), HELPER),
        "delete": lambda: slow.delete("editor", HELPER),
    }

    acting = asyncio.create_task(acts[act]())  # type: ignore[arg-type]
    await held.arrived.wait()  # the role was read, and is within reach
    await house.roles.permit("editor", "events:read", COMMAND)
    held.let_go.set()

    with pytest.raises(RoleNotEditable):
        await acting
    role = await house.roles.get("editor")
    assert role.permissions == ("pages:edit", "events:read")
    assert role.description == ""


async def test_the_last_word_on_built_in_roles_is_that_of_the_commands(
    house: House, roles: RoleAdministration
) -> None:
    with pytest.raises(AdminNeedsPermission):
        await roles.change(takes(ADMIN, ROLES_WRITE), ANN)
    with pytest.raises(BuiltInRole):
        await roles.delete(MODERATOR, ANN)
    with pytest.raises(BuiltInRole):
        await roles.delete_and_take(MODERATOR, ANN)
    assert ROLES_WRITE in await permissions_of(house, ADMIN)


async def test_a_role_that_is_held_is_deleted_by_taking_it(
    house: House, roles: RoleAdministration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From some of many holders at once: the next call goes on."""
    monkeypatch.setattr(administration, "TAKEN_AT_ONCE", 2)
    monkeypatch.setattr("gatelodge.accounts.roles.HOLDERS_AT_ONCE", 2)
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    for name in ("ben", "carol", "dora"):
        await new_user(house, name, "editor")

    with pytest.raises(RoleHeld):
        await roles.delete("editor", ANN)
    first = await roles.delete_and_take("editor", ANN)
    with pytest.raises(NoSuchRole):
        await house.roles.get("editor")
    second = await roles.delete_and_take("editor", ANN)

    assert (first.taken, first.complete) == (2, False)
    assert (second.taken, second.complete) == (1, True)
    with pytest.raises(NoSuchRole):
        await roles.delete_and_take("editor", ANN)


# Previews


async def test_a_preview_counts_only_those_who_gain_or_lose(
    house: House, roles: RoleAdministration
) -> None:
    """Who has the permission through another role does neither. Nothing is changed."""
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    await house.roles.create("chief", "", ["pages:edit", "pages:print"], COMMAND)
    await new_user(house, "ben", "editor")
    await new_user(house, "carol", "editor", "chief")

    lost, gained, so_already = await roles.preview(
        [
            takes("editor", "pages:edit"),
            gives("editor", "pages:print"),
            gives("chief", "pages:edit"),
        ],
        Administrator(Actor("usr_ann"), Rights((ADMIN,), EVERYTHING)),
    )

    assert told(lost) == (1, "exactly", ["ben"])
    assert told(gained) == (1, "exactly", ["ben"])
    assert told(so_already) == (0, "exactly", [])
    assert await permissions_of(house, "editor") == ("pages:edit",)


async def test_a_preview_sees_changes_of_several_roles_together(
    house: House, roles: RoleAdministration
) -> None:
    """Who loses by one role what another one gives keeps it; who loses it by both loses it."""
    for name in ("editor", "chief", "guest"):
        permissions = [] if name == "guest" else ["pages:edit"]
        await house.roles.create(name, "", permissions, COMMAND)
    await new_user(house, "ben", "editor", "chief")
    await new_user(house, "carol", "editor", "guest")

    by_editor, by_chief = await roles.preview(
        [takes("editor", "pages:edit"), takes("chief", "pages:edit")], ANN
    )
    moved, gained = await roles.preview(
        [takes("editor", "pages:edit"), gives("guest", "pages:edit")], ANN
    )

    assert told(by_editor) == (2, "exactly", ["ben", "carol"])
    assert told(by_chief) == (1, "exactly", ["ben"])
    assert told(moved) == (0, "exactly", [])
    assert told(gained) == (0, "exactly", [])


async def test_who_may_not_see_users_gets_numbers_only(
    house: House, roles: RoleAdministration
) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    await new_user(house, "ben", "editor")

    [lost] = await roles.preview([takes("editor", "pages:edit")], BLIND)

    assert told(lost) == (1, "exactly", [])


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (takes("auditor", "events:read"), RoleNotEditable),
        (gives("editor", "events:read"), PermissionNotGrantable),
        (gives("nobody", "pages:edit"), NoSuchRole),
    ],
)
async def test_a_preview_refuses_what_the_change_would_be_refused(
    house: House, roles: RoleAdministration, change: RoleChange, refusal: type[Refusal]
) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    await house.roles.create("auditor", "", ["events:read"], COMMAND)

    with pytest.raises(refusal):
        await roles.preview([takes("editor", "pages:edit"), change], HELPER)


@pytest.mark.parametrize(
    ("counted", "expected"),
    [(8, ((6, "exactly"), (6, "at_most"))), (5, ((5, "at_least"), (3, "at_least")))],
)
async def test_of_many_holders_a_preview_says_what_it_can_tell(
    house: House,
    roles: RoleAdministration,
    monkeypatch: pytest.MonkeyPatch,
    counted: int,
    expected: tuple[tuple[int, Bound], tuple[int, Bound]],
) -> None:
    """It looks at four of six: one of these has the second permission by another role."""
    monkeypatch.setattr(administration, "HOLDERS_LOOKED_AT", 4)
    monkeypatch.setattr(administration, "HOLDERS_COUNTED_IN_PREVIEW", counted)
    await house.roles.create("editor", "", ["pages:edit", "pages:print"], COMMAND)
    await house.roles.create("printer", "", ["pages:print"], COMMAND)
    for name in ("ben", "carol", "dora", "emil", "fay"):
        await new_user(house, name, "editor")
    assert isinstance(house.clock, FakeClock)
    house.clock.advance(timedelta(seconds=1))  # the newest is looked at first
    await new_user(house, "gus", "editor", "printer")

    edit, prints = await roles.preview(
        [takes("editor", "pages:edit"), takes("editor", "pages:print")], ANN
    )

    assert ((edit.number, edit.bound), (prints.number, prints.bound)) == expected
