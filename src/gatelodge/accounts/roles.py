"""Roles are named sets of permissions: those that every installation has, and how roles change."""

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gatelodge.accounts.names import is_one_line
from gatelodge.accounts.permissions import ADMINISTERS
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
from gatelodge.accounts.store import Role, RoleStore, UserStore
from gatelodge.audit import NOTHING, SERVER, Actor, AuditLog
from gatelodge.errors import AlreadyExists, StillHeld, after_a_change
from gatelodge.ids import UserId

USER = "user"
MODERATOR = "moderator"
ADMIN = "admin"

SEEDED_ROLES = (
    Role(USER, "Everybody who signs up.", ("account:manage",)),
    Role(MODERATOR, "Keeps the moderator board.", ("account:manage", "boards:moderate")),
    Role(
        ADMIN,
        "Administers users, roles and sessions.",
        ("account:manage", "boards:administer", *ADMINISTERS),
    ),
)

BUILT_IN = frozenset(role.name for role in SEEDED_ROLES)
"""The names of the roles that cannot be deleted."""

MAX_PERMISSIONS = 256
"""How many permissions a role has at most."""

MAX_PERMISSION = 128
"""How many characters a permission has at most."""

MAX_DESCRIPTION = 256
"""How many characters a description has at most."""

HOLDERS_AT_ONCE = 100
"""How many users lose a role at once, when it is taken from all.

MongoDB's driver has as many connections.
"""

_ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PERMISSION = re.compile(r"[a-z][a-z0-9_-]*:[a-z0-9_-]+")


def _nobody_watches(_taken: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class RoleService:
    """Show and change roles. A change takes effect on the next request of each holder."""

    roles: RoleStore
    users: UserStore
    audit: AuditLog

    async def seed(self) -> None:
        """Make the roles that every installation has, and let `admin` have what it cannot lose.

        A database of an older version may lack some of these permissions.
        """
        known = {role.name: role for role in await self.roles.list_roles()}
        missing = [role for role in SEEDED_ROLES if role.name not in known]
        if missing:
            await self.roles.ensure(missing)
        if ADMIN in known:
            await self._complete(known[ADMIN])

    async def _complete(self, admin: Role) -> None:
        """Let `admin` have what it cannot lose, even if it is full."""
        limit = MAX_PERMISSIONS + len(ADMINISTERS)
        for permission in ADMINISTERS:
            if permission not in admin.permissions:
                detail = {"permission": permission}
                event = self.audit.event("role.permitted", SERVER, target=ADMIN, detail=detail)
                change = self.roles.permit(ADMIN, permission, event, limit=limit)
                await self.audit.logged(event, change)

    async def list_roles(self) -> list[Role]:
        """Return every role, in order of name."""
        return await self.roles.list_roles()

    async def get(self, name: str) -> Role:
        """Return the role of this name.

        Raises:
            NoSuchRole: there is none.
        """
        role = await self.roles.find(_possible(name))
        if role is None:
            raise NoSuchRole
        return role

    async def create(
        self, name: str, description: str, permissions: Sequence[str], by: Actor
    ) -> Role:
        """Make a role. Nobody holds it yet.

        Args:
            name: the name of the role.
            description: one line for people; may be empty.
            permissions: what the role permits; duplicates are left out.
            by: who makes the role.

        Raises:
            InvalidRoleName, InvalidDescription, InvalidPermission, RoleFull: the first rule that
                is broken.
            RoleNameTaken: a role of this name exists.
            RoleHeld: a role of this name was deleted, and somebody still holds the name.
        """
        role = _checked(name, description, permissions)
        if await self.roles.find(name) is not None:
            raise RoleNameTaken(field="name")
        if await self.is_held(name):
            raise RoleHeld(
                "A role of this name was deleted, and somebody still holds the name. "
                "Delete the role once more, with --take-from-all."
            )
        event = self.audit.event("role.created", by, target=name, detail=_permissions_of(role))
        try:
            await self.roles.add(role, event)
        except AlreadyExists as taken:
            raise RoleNameTaken(field="name") from taken
        self.audit.log(event)
        return role

    async def describe(
        self, name: str, description: str, by: Actor, *, within: Collection[str] | None = None
    ) -> bool:
        """Change the description of a role. True if it was another one before.

        With `within`, here and in the methods below, nothing changes if the role permits something
        that is not in it.

        Raises:
            InvalidDescription: it is too long, or cannot be printed.
            NoSuchRole: there is no role of this name.
        """
        _check_description(description)
        event = self.audit.event("role.described", by, target=name)
        change = self.roles.describe(_possible(name), description, event, within=within)
        if await self.audit.logged(event, change):
            return True
        await self.get(name)
        return False

    async def permit(
        self, name: str, permission: str, by: Actor, *, within: Collection[str] | None = None
    ) -> bool:
        """Give a permission to a role. True if the role did not have it before.

        Raises:
            InvalidPermission: the text is not a permission.
            NoSuchRole: there is no role of this name.
            RoleFull: the role has the maximum number of permissions.
        """
        check_permission(permission)
        detail = {"permission": permission}
        event = self.audit.event("role.permitted", by, target=name, detail=detail)
        change = self.roles.permit(
            _possible(name), permission, event, limit=MAX_PERMISSIONS, within=within
        )
        if await self.audit.logged(event, change):
            return True
        role = await self.get(name)
        if permission not in role.permissions and len(role.permissions) >= MAX_PERMISSIONS:
            raise RoleFull
        return False

    async def forbid(
        self, name: str, permission: str, by: Actor, *, within: Collection[str] | None = None
    ) -> bool:
        """Take a permission from a role. True if the role had it before.

        Raises:
            InvalidPermission: the text is not a permission.
            NoSuchRole: there is no role of this name.
            AdminNeedsPermission: the role is `admin`, and the permission one of `ADMINISTERS`.
        """
        check_permission(permission)
        if name == ADMIN and permission in ADMINISTERS:
            raise AdminNeedsPermission
        detail = {"permission": permission}
        event = self.audit.event("role.forbidden", by, target=name, detail=detail)
        change = self.roles.forbid(_possible(name), permission, event, within=within)
        if await self.audit.logged(event, change):
            return True
        await self.get(name)
        return False

    async def delete(self, name: str, by: Actor, *, within: Collection[str] | None = None) -> bool:
        """Delete a role that nobody holds.

        True, unless the role permits something that is not in `within`.

        Raises:
            BuiltInRole: every installation has this role.
            NoSuchRole: there is no role of this name.
            RoleHeld: somebody holds the role.
        """
        _refuse_built_in(name)
        try:
            role = await self._remove(_possible(name), by, unless_held=True, within=within)
        except StillHeld as held:
            raise RoleHeld from held
        if role is not None:
            return True
        if within is not None and await self.roles.find(name) is not None:
            return False
        if await self.is_held(name):
            raise RoleHeld
        raise NoSuchRole

    async def delete_and_take(
        self,
        name: str,
        by: Actor,
        watch: Callable[[int], None] = _nobody_watches,
        *,
        at_most: int | None = None,
    ) -> int:
        """Delete a role and take it from everybody; return how many users held it.

        The role itself is deleted first. From then on, users who still hold its name get nothing
        by it, nobody can be granted it, and no new role can have its name until nobody holds it.
        If the call is cut short, another call takes the name from the users who are left. Each
        user's loss has its own event, in its write; the event at the end says how many there were.

        Args:
            name: the name of the role, or of a deleted role that somebody still holds.
            by: who deletes the role.
            watch: is told, after each page of users, how many users have lost the role so far.
            at_most: after how many users to stop, once the page of users is done; None: go on to
                the last one.

        Raises:
            BuiltInRole: every installation has this role.
            NoSuchRole: there is no role of this name, and nobody holds the name.
            OutcomeUnknown: the role is deleted; some users may still hold its name.
        """
        _refuse_built_in(name)
        role = await self._remove(_possible(name), by, unless_held=False)
        with after_a_change():
            taken = await self._take_from_all(name, by, watch, at_most)
        if taken:
            detail = {"users": str(taken)}
            await self.audit.record(
                self.audit.event("role.taken_from_all", by, target=name, detail=detail)
            )
        elif role is None:
            raise NoSuchRole
        return taken

    async def is_held(self, name: str) -> bool:
        """Return whether anybody holds this name of a role, disabled users too."""
        return bool(await self.users.list_holders(name, limit=1))

    async def _take_from_all(
        self, name: str, by: Actor, watch: Callable[[int], None], at_most: int | None
    ) -> int:
        taken = 0
        while holders := await self.users.list_holders(name, limit=HOLDERS_AT_ONCE):
            if at_most is not None and taken >= at_most:
                break
            if await self.roles.find(name) is not None:
                break  # another call was faster, and then somebody made a new role
            takes = (self._take(each, name, by) for each in holders)
            outcomes = await asyncio.gather(*takes, return_exceptions=True)
            taken += outcomes.count(True)
            for each in outcomes:
                if isinstance(each, BaseException):
                    raise each
            watch(taken)
        return taken

    async def _take(self, holder: UserId, name: str, by: Actor) -> bool:
        event = self.audit.event("role.withdrawn", by, target=holder, detail={"role": name})
        return await self.audit.logged(event, self.users.withdraw(holder, name, event))

    async def _remove(
        self, name: str, by: Actor, *, unless_held: bool, within: Collection[str] | None = None
    ) -> Role | None:
        role = await self.roles.find(name)
        detail = _permissions_of(role) if role is not None else NOTHING
        event = self.audit.event("role.deleted", by, target=name, detail=detail)
        change = self.roles.remove(name, event, unless_held=unless_held, within=within)
        return await self.audit.logged(event, change)


def is_role_name(text: str) -> bool:
    """Return whether a role can have this name."""
    return _ROLE_NAME.fullmatch(text) is not None


def check_permission(text: str) -> None:
    """Check that a text is a permission, such as `users:read`.

    Raises:
        InvalidPermission: it is not.
    """
    if len(text) > MAX_PERMISSION or _PERMISSION.fullmatch(text) is None:
        raise InvalidPermission(field="permissions")


def _checked(name: str, description: str, permissions: Sequence[str]) -> Role:
    if not is_role_name(name):
        raise InvalidRoleName(field="name")
    _check_description(description)
    for permission in permissions:
        check_permission(permission)
    role = Role(name, description, tuple(dict.fromkeys(permissions)))
    if len(role.permissions) > MAX_PERMISSIONS:
        raise RoleFull(field="permissions")
    return role


def _check_description(text: str) -> None:
    if len(text) > MAX_DESCRIPTION or not is_one_line(text):
        raise InvalidDescription(field="description")


def _possible(name: str) -> str:
    """Return the name, if a role can have it: no other text reaches a database.

    Raises:
        NoSuchRole: no role can have this name.
    """
    if not is_role_name(name):
        raise NoSuchRole
    return name


def _refuse_built_in(name: str) -> None:
    if name in BUILT_IN:
        raise BuiltInRole


def _permissions_of(role: Role) -> dict[str, str]:
    return {"permissions": " ".join(role.permissions)}
