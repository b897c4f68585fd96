"""The JSON routes for roles and permissions."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from gatelodge.accounts.refusals import (
    AdminNeedsPermission,
    BuiltInRole,
    InvalidDescription,
    InvalidPermission,
    InvalidRoleName,
    NoSuchRole,
    RoleFull,
    RoleHeld,
    RoleNameTaken,
)
from gatelodge.accounts.roles import MAX_PERMISSIONS
from gatelodge.admin.doors import By, ByProved, Number, number_of
from gatelodge.admin.refusals import PermissionNotGrantable, RoleNotEditable
from gatelodge.admin.roles import (
    Affected,
    Bound,
    Deleted,
    KnownPermission,
    RoleAdministration,
    RoleChange,
    RoleSeen,
)
from gatelodge.admin.rules import READ_ROLES, WRITE_ROLES
from gatelodge.credentials.refusals import ReauthenticationRequired
from gatelodge.errors import InvalidRequest
from gatelodge.web.bodies import Answer, Identifier, Request
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.paging import Cursor, Limit, from_cursor, to_cursor
from gatelodge.web.refusals import UriTooLong
from gatelodge.web.services import Provided

door = Door("/api/admin", tag="admin")

Service = Annotated[RoleAdministration, Provided(RoleAdministration)]

_OF_CHANGES = (ReauthenticationRequired, NoSuchRole, RoleNotEditable)
_MOST_IN_PREVIEW = 32


class RoleShown(Answer):
    """A role."""

    name: str
    description: str
    permissions: list[str] = Field(description="In alphabetical order.")
    holders: Number = Field(description="Users who hold it, disabled ones too.")
    built_in: bool = Field(description="Every installation has the role: nobody can delete it.")
    editable: bool = Field(description="Whether the caller may change and delete it.")
    grantable: bool = Field(description="Whether the caller may give it to users.")


class RolesAnswer(Answer):
    """A page of roles, in order of name."""

    items: list[RoleShown]
    next: str | None = None


class PermissionShown(Answer):
    """A permission that Gatelodge asks for, or that a role has."""

    name: str
    meaning: str | None = Field(
        default=None, description="What its holder may do; null: an application knows."
    )
    roles: list[str] = Field(description="The roles that have it.")
    permittable: bool = Field(description="Whether the caller may give it to roles.")


class PermissionsAnswer(Answer):
    """A page of permissions, in alphabetical order."""

    items: list[PermissionShown]
    next: str | None = None


class NewRoleRequest(Request):
    """The values for a new role."""

    name: Identifier = Field(max_length=256, examples=["editor"])
    description: Identifier = Field(default="", max_length=1024, examples=["Edits pages."])
    permissions: list[str] = Field(
        default_factory=list, max_length=MAX_PERMISSIONS, examples=[["pages:edit"]]
    )


class DescriptionRequest(Request):
    """Another description of a role."""

    description: Identifier = Field(max_length=1024, examples=["Edits pages."])


class PermissionRequest(Request):
    """The permission to give."""

    permission: Identifier = Field(max_length=256, examples=["pages:edit"])


class RoleDeletedAnswer(Answer):
    """What became of a role that was deleted."""

    taken: int = Field(description="From how many users it was taken.")
    complete: bool = Field(
        description="False: some users still hold its name, which gives them nothing. Repeat the "
        "request."
    )


class UserNamed(Answer):
    """A user, in a few words."""

    id: str
    username: str


class EffectShown(Answer):
    """Who gains or loses a permission."""

    permission: str
    gained: bool = Field(description="Whether it is gained; otherwise it is lost.")
    number: int = Field(
        description="How many users gain or lose it. Who has it by another role does neither."
    )
    bound: Bound = Field(description="How `number` is meant.")
    users: list[UserNamed] = Field(
        description="Up to ten of them; none for callers without `users:read`."
    )


class PreviewAnswer(Answer):
    """Who would be affected by a change of a role."""

    effects: list[EffectShown]


_ROLE = {
    "name": "editor",
    "description": "Edits pages.",
    "permissions": ["pages:edit"],
    "holders": {"number": 2, "exact": True},
    "builtIn": False,
    "editable": True,
    "grantable": True,
}
_EFFECT = {
    "permission": "pages:edit",
    "gained": True,
    "number": 2,
    "bound": "exactly",
    "users": [{"id": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gg", "username": "ann"}],
}


@door.get(
    "/roles",
    rule=READ_ROLES,
    told=Description("List roles", gives={"items": [_ROLE], "next": None}),
)
async def list_roles(
    by: By, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> RolesAnswer:
    """List roles, in order of name, with how many users hold them: up to 1,000 are counted."""
    found = await service.list_roles(by, after=from_cursor(cursor), limit=limit + 1)
    shown = found[:limit]
    return RolesAnswer(
        items=[_shown(each) for each in shown],
        next=to_cursor(shown[-1].role.name) if len(found) > limit else None,
    )


@door.get(
    "/permissions",
    rule=READ_ROLES,
    told=Description(
        "List permissions",
        gives={
            "items": [
                {
                    "name": "users:read",
                    "meaning": "See users, their roles, factors and sessions",
                    "roles": ["admin"],
                    "permittable": True,
                }
            ],
            "next": None,
        },
    ),
)
async def list_permissions(
    by: By, service: Service, limit: Limit = 200, cursor: Cursor = None
) -> PermissionsAnswer:
    """List the permissions that Gatelodge asks for, and those of your applications that roles have.

    A role can get a permission that nobody has yet: applications choose their own.
    """
    found = await service.list_permissions(by, after=from_cursor(cursor), limit=limit + 1)
    shown = found[:limit]
    return PermissionsAnswer(
        items=[_permission(each) for each in shown],
        next=to_cursor(shown[-1].name) if len(found) > limit else None,
    )


@door.post(
    "/roles",
    rule=WRITE_ROLES,
    told=Description(
        "Make a role",
        takes={"name": "editor", "description": "Edits pages.", "permissions": ["pages:edit"]},
        gives=_ROLE,
    ),
    refuses=(
        ReauthenticationRequired,
        InvalidRoleName,
        InvalidDescription,
        InvalidPermission,
        PermissionNotGrantable,
        RoleNotEditable,
        RoleNameTaken,
        RoleHeld,
        RoleFull,
    ),
)
async def create_role(body: NewRoleRequest, by: ByProved, service: Service) -> RoleShown:
    """Make a role. Nobody holds it yet.

    Callers who do not hold `admin` give it one permission at least, and only such as they have.
    """
    made = await service.create(body.name, body.description, body.permissions, by)
    return _shown(made)


@door.get(
    "/roles/{name}",
    rule=READ_ROLES,
    told=Description("See a role", gives=_ROLE),
    refuses=(NoSuchRole,),
)
async def get_role(name: str, by: By, service: Service) -> RoleShown:
    """Return a role, with how many users hold it: up to 1,000 are counted."""
    return _shown(await service.get(name, by))


@door.patch(
    "/roles/{name}",
    rule=WRITE_ROLES,
    told=Description("Describe a role", takes={"description": "Edits pages."}, gives=_ROLE),
    refuses=(*_OF_CHANGES, InvalidDescription),
)
async def describe_role(
    name: str, body: DescriptionRequest, by: ByProved, service: Service
) -> RoleShown:
    """Change the description of a role, and return the role."""
    return _shown(await service.describe(name, body.description, by))


@door.delete(
    "/roles/{name}",
    rule=WRITE_ROLES,
    told=Description("Delete a role", gives={"taken": 0, "complete": True}),
    refuses=(*_OF_CHANGES, BuiltInRole, RoleHeld),
)
async def delete_role(
    name: str,
    by: ByProved,
    service: Service,
    take_from_all: Annotated[
        bool,
        Query(
            alias="takeFromAll",
            description="Take it from everybody who holds it. Only holders of `admin` may.",
        ),
    ] = False,
) -> RoleDeletedAnswer:
    """Delete a role: one that nobody holds, or, with `takeFromAll`, any but the built-in ones.

    With `takeFromAll` the role itself is deleted first: from then on nobody may do anything by it.
    Then its name is taken from about 1,000 users. If `complete` is false, repeat the request.
    """
    if take_from_all:
        deleted = await service.delete_and_take(name, by)
    else:
        await service.delete(name, by)
        deleted = Deleted(taken=0, complete=True)
    return RoleDeletedAnswer(taken=deleted.taken, complete=deleted.complete)


@door.post(
    "/roles/{name}/permissions",
    rule=WRITE_ROLES,
    told=Description(
        "Give a permission to a role", takes={"permission": "pages:edit"}, gives=_ROLE
    ),
    refuses=(*_OF_CHANGES, InvalidPermission, PermissionNotGrantable, RoleFull),
)
async def permit(name: str, body: PermissionRequest, by: ByProved, service: Service) -> RoleShown:
    """Give a permission to a role, and return the role. It may have it already.

    It takes effect on the next request of each holder.
    """
    return _shown(await service.change(RoleChange(name, body.permission, permits=True), by))


@door.delete(
    "/roles/{name}/permissions/{permission}",
    rule=WRITE_ROLES,
    told=Description("Take a permission from a role", gives=_ROLE | {"permissions": []}),
    refuses=(*_OF_CHANGES, InvalidPermission, AdminNeedsPermission),
)
async def forbid(name: str, permission: str, by: ByProved, service: Service) -> RoleShown:
    """Take a permission from a role, and return the role. It may lack it already.

    It takes effect on the next request of each holder.
    """
    return _shown(await service.change(RoleChange(name, permission, permits=False), by))


@door.get(
    "/roles/{name}/preview",
    rule=WRITE_ROLES,
    told=Description("See whom a change affects", gives={"effects": [_EFFECT]}),
    repeatable=("permit", "forbid"),
    refuses=(
        NoSuchRole,
        RoleNotEditable,
        InvalidPermission,
        PermissionNotGrantable,
        AdminNeedsPermission,
        UriTooLong,
    ),
)
async def preview(
    name: str,
    by: By,
    service: Service,
    permit: Annotated[
        list[str] | None,
        Query(max_length=_MOST_IN_PREVIEW, description="Permissions that the role would get."),
    ] = None,
    forbid: Annotated[
        list[str] | None,
        Query(max_length=_MOST_IN_PREVIEW, description="Permissions that it would lose."),
    ] = None,
) -> PreviewAnswer:
    """Say how many users would gain or lose permissions if a role changed; nothing is changed.

    The answer refuses what the change itself would be refused. Up to 500 holders are looked at.
    If there are more, `bound` says whether `number` is at least or at most right.
    """
    gained, lost = dict.fromkeys(permit or ()), dict.fromkeys(forbid or ())
    if both := gained.keys() & lost.keys():
        raise InvalidRequest(f'"{both.pop()}" is in "permit" and in "forbid".', field="forbid")
    await service.get(name, by)
    changes = [
        *(RoleChange(name, each, permits=True) for each in gained),
        *(RoleChange(name, each, permits=False) for each in lost),
    ]
    return PreviewAnswer(effects=[_effect(each) for each in await service.preview(changes, by)])


def _shown(seen: RoleSeen) -> RoleShown:
    return RoleShown(
        name=seen.role.name,
        description=seen.role.description,
        permissions=sorted(seen.role.permissions),
        holders=number_of(seen.holders),
        built_in=seen.built_in,
        editable=seen.editable,
        grantable=seen.grantable,
    )


def _permission(known: KnownPermission) -> PermissionShown:
    return PermissionShown(
        name=known.name,
        meaning=known.meaning or None,
        roles=list(known.roles),
        permittable=known.permittable,
    )


def _effect(affected: Affected) -> EffectShown:
    return EffectShown(
        permission=affected.change.permission,
        gained=affected.change.permits,
        number=affected.number,
        bound=affected.bound,
        users=[UserNamed(id=each.id, username=each.username) for each in affected.users],
    )
