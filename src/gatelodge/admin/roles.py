"""Roles for administrators: what they permit and who holds them, and how they change."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from gatelodge.accounts.permissions import ADMINISTERS, MEANINGS, USERS_READ
from gatelodge.accounts.refusals import AdminNeedsPermission, NoSuchRole
from gatelodge.accounts.roles import (
    ADMIN,
    BUILT_IN,
    RoleService,
    check_permission,
    is_role_name,
)
from gatelodge.accounts.search import Count, UserQuery
from gatelodge.accounts.store import Role, User, UserStore
from gatelodge.admin.authority import Administrator
from gatelodge.admin.refusals import RoleNotEditable

HOLDERS_COUNTED = 1000
"""Up to how many holders of a role are counted."""

HOLDERS_LOOKED_AT = 500
"""How many holders of a role a preview looks at, to see what their other roles permit."""

HOLDERS_COUNTED_IN_PREVIEW = 5000
"""The same as `HOLDERS_COUNTED`, for a preview, which counts those of a few roles only."""

NAMED = 10
"""How many users a preview names for each change."""

TAKEN_AT_ONCE = 1000
"""From about how many users one request takes a role that is deleted."""

_PAGES = 3
"""How many pages of holders a preview asks for: a page may end before it is full."""

Bound: TypeAlias = Literal["exactly", "at_least", "at_most"]
"""How a number of users is meant."""


@dataclass(frozen=True, slots=True)
class RoleSeen:
    """A role, as an administrator sees it.

    Attributes:
        role: the role.
        holders: how many users hold it, disabled ones too; at least as many if it is not exact.
        editable: whether the administrator may change and delete it.
        grantable: whether the administrator may give it to somebody.
    """

    role: Role
    holders: Count
    editable: bool
    grantable: bool

    @property
    def built_in(self) -> bool:
        """Whether every installation has the role, so that nobody can delete it."""
        return self.role.name in BUILT_IN


@dataclass(frozen=True, slots=True)
class KnownPermission:
    """A permission that Gatelodge asks for, or that a role has.

    Attributes:
        name: the permission, such as `users:read`.
        meaning: what its holder may do, for translation; empty: only applications know.
        roles: the names of the roles that have it.
        permittable: whether the administrator may give it to a role.
    """

    name: str
    meaning: str
    roles: tuple[str, ...]
    permittable: bool


@dataclass(frozen=True, slots=True)
class RoleChange:
    """A permission that a role gets or loses.

    Attributes:
        role: the name of the role.
        permission: the permission.
        permits: whether the role gets it; otherwise the role loses it.
    """

    role: str
    permission: str
    permits: bool


@dataclass(frozen=True, slots=True)
class Affected:
    """Who gains or loses a permission by a change.

    Attributes:
        change: the change.
        so_already: whether the role has the permission, or lacks it, as the change wants it.
        number: how many users gain or lose the permission, disabled ones too. Who has it through
            another role does neither.
        bound: how `number` is meant.
        users: some of them, the administrator first; nobody, if they may not see users.
    """

    change: RoleChange
    so_already: bool
    number: int
    bound: Bound
    users: tuple[User, ...]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of a role that was deleted and taken from its holders.

    Attributes:
        taken: from how many users it was taken.
        complete: whether nobody holds its name any more; otherwise, repeat the deletion.
    """

    taken: int
    complete: bool


@dataclass(frozen=True, slots=True)
class RoleAdministration:
    """Shows and changes roles for an administrator, as far as they reach.

    Each change holds to the reach at the moment of the write: if a role gets more permissions
    meanwhile, nothing is changed.

    Attributes:
        roles: makes the changes, as for the commands.
        users: who holds the roles.
    """

    roles: RoleService
    users: UserStore

    async def list_roles(
        self, by: Administrator, *, after: str | None = None, limit: int
    ) -> list[RoleSeen]:
        """Return up to `limit` roles whose names follow `after`, in order of name."""
        known = await self.roles.list_roles()
        some = [each for each in known if after is None or each.name > after][:limit]
        return list(await asyncio.gather(*(self._seen(each, by) for each in some)))

    async def get(self, name: str, by: Administrator) -> RoleSeen:
        """Return a role.

        Raises:
            NoSuchRole: there is none of this name.
        """
        return await self._seen(await self.roles.get(name), by)

    async def list_permissions(
        self, by: Administrator, *, after: str | None = None, limit: int, containing: str = ""
    ) -> list[KnownPermission]:
        """Return up to `limit` known permissions that follow `after`, in alphabetical order.

        Args:
            by: who asks.
            after: only permissions behind this one; None: from the first.
            limit: the maximum number of permissions.
            containing: only permissions that contain this text; empty: any.
        """
        holders: dict[str, list[str]] = {each: [] for each in MEANINGS}
        for role in await self.roles.list_roles():
            for each in role.permissions:
                holders.setdefault(each, []).append(role.name)
        found = sorted(each for each in holders if containing in each)
        some = [each for each in found if after is None or each > after][:limit]
        return [
            KnownPermission(each, MEANINGS.get(each, ""), tuple(holders[each]), by.may_permit(each))
            for each in some
        ]

    async def create(
        self, name: str, description: str, permissions: Sequence[str], by: Administrator
    ) -> RoleSeen:
        """Make a role. Nobody holds it yet.

        Raises:
            InvalidRoleName, InvalidDescription, InvalidPermission, RoleFull, RoleNameTaken,
                RoleHeld: as for `RoleService.create`.
            PermissionNotGrantable: the administrator may not give one of the permissions.
            RoleNotEditable: there are none, and the administrator could not change the role.
        """
        for each in permissions:
            check_permission(each)
            by.require_permittable(each)
        by.require_editable(Role(name, description, tuple(permissions)))
        made = await self.roles.create(name, description, permissions, by.actor)
        return await self._seen(made, by)

    async def describe(self, name: str, description: str, by: Administrator) -> RoleSeen:
        """Change the description of a role, and return the role.

        Raises:
            NoSuchRole: there is no role of this name.
            RoleNotEditable: the role is out of reach.
            InvalidDescription: it is too long, or cannot be printed.
        """
        by.require_editable(await self.roles.get(name))
        within = by.edits_within
        changed = await self.roles.describe(name, description, by.actor, within=within)
        return await self._after(name, by, changed=changed)

    async def change(self, change: RoleChange, by: Administrator) -> RoleSeen:
        """Give a permission to a role, or take it; return the role. It may be so already.

        Raises:
            NoSuchRole: there is no role of this name.
            InvalidPermission: the text is not a permission.
            RoleNotEditable: the role is out of reach.
            PermissionNotGrantable: the administrator may not give the permission.
            AdminNeedsPermission: the role `admin` cannot lose it.
            RoleFull: the role has the maximum number of permissions.
        """
        _require_allowed(change, await self.roles.get(change.role), by)
        act = self.roles.permit if change.permits else self.roles.forbid
        within = by.edits_within
        changed = await act(change.role, change.permission, by.actor, within=within)
        return await self._after(change.role, by, changed=changed)

    async def delete(self, name: str, by: Administrator) -> None:
        """Delete a role that nobody holds.

        Raises:
            NoSuchRole: there is no role of this name.
            RoleNotEditable: the role is out of reach.
            BuiltInRole: every installation has this role.
            RoleHeld: somebody holds the role.
        """
        by.require_editable(await self.roles.get(name))
        if not await self.roles.delete(name, by.actor, within=by.edits_within):
            raise RoleNotEditable

    async def is_left(self, name: str) -> bool:
        """Return whether somebody holds this name of a role that was deleted."""
        try:
            await self.roles.get(name)
        except NoSuchRole:
            return is_role_name(name) and await self.roles.is_held(name)
        return False

    async def delete_and_take(self, name: str, by: Administrator) -> Deleted:
        """Delete a role and take it from its holders, from `TAKEN_AT_ONCE` of them or a few more.

        The role itself is deleted first, so nobody may do anything by it any more. If somebody
        still holds its name, another call goes on.

        Raises:
            RoleNotEditable: the administrator does not hold `admin`.
            BuiltInRole: every installation has this role.
            NoSuchRole: there is no role of this name, and nobody holds the name.
            OutcomeUnknown: the role is deleted; some users may still hold its name.
        """
        if not by.holds_admin:
            raise RoleNotEditable("Only administrators can take a role from everybody.")
        taken = await self.roles.delete_and_take(name, by.actor, at_most=TAKEN_AT_ONCE)
        return Deleted(taken, complete=not await self.roles.is_held(name))

    async def preview(self, changes: Sequence[RoleChange], by: Administrator) -> list[Affected]:
        """Say who would gain or lose what by changes that are made together.

        It looks at `HOLDERS_LOOKED_AT` holders of each role that changes.

        Args:
            changes: the changes; those that are so already affect nobody.
            by: who would make them.

        Raises:
            the refusals of `change`: one of the changes would be refused.
        """
        before = {role.name: role for role in await self.roles.list_roles()}
        for change in changes:
            if change.role not in before:
                raise NoSuchRole
            _require_allowed(change, before[change.role], by)
        after = dict(before)
        for change in changes:
            after[change.role] = _changed(after[change.role], change)
        names = dict.fromkeys(change.role for change in changes)
        holders = dict(
            zip(names, await asyncio.gather(*(self._holders(each) for each in names)), strict=True)
        )
        sees_users = USERS_READ in by.rights.permissions
        for each in holders.values():
            each.users.sort(key=lambda user: user.id != by.actor.name)
        found = (_affected(each, holders[each.role], before, after) for each in changes)
        return [each if sees_users else replace(each, users=()) for each in found]

    async def _seen(self, role: Role, by: Administrator) -> RoleSeen:
        holders = await self.users.count_matching(UserQuery(role=role.name), limit=HOLDERS_COUNTED)
        return RoleSeen(role, holders, by.may_edit(role), by.may_grant(role))

    async def _after(self, name: str, by: Administrator, *, changed: bool) -> RoleSeen:
        """Return a role after a change.

        Raises:
            RoleNotEditable: nothing was changed, because the role got more permissions meanwhile.
        """
        role, within = await self.roles.get(name), by.edits_within
        if not changed and within is not None and not within.issuperset(role.permissions):
            raise RoleNotEditable
        return await self._seen(role, by)

    async def _holders(self, name: str) -> "_Holders":
        query, users, after = UserQuery(role=name), list[User](), None
        for _ in range(_PAGES):
            wanted = HOLDERS_LOOKED_AT - len(users)
            page = await self.users.search(query, after=after, limit=wanted)
            users += page.users
            after = page.after
            if after is None:
                return _Holders(users, Count(len(users)), complete=True)
            if len(users) >= HOLDERS_LOOKED_AT:
                break
        number = await self.users.count_matching(query, limit=HOLDERS_COUNTED_IN_PREVIEW)
        return _Holders(users, number, complete=False)


@dataclass(frozen=True, slots=True)
class _Holders:
    """Those who hold a role.

    Attributes:
        users: those who were looked at.
        number: how many there are.
        complete: whether all were looked at.
    """

    users: list[User]
    number: Count
    complete: bool


def _require_allowed(change: RoleChange, role: Role, by: Administrator) -> None:
    """Refuse a change that the administrator may not make, or nobody.

    Whoever may change the role has every permission that can be taken from it.
    """
    check_permission(change.permission)
    by.require_editable(role)
    if change.permits:
        by.require_permittable(change.permission)
    elif role.name == ADMIN and change.permission in ADMINISTERS:
        raise AdminNeedsPermission


def _changed(role: Role, change: RoleChange) -> Role:
    others = tuple(each for each in role.permissions if each != change.permission)
    return replace(role, permissions=(*others, *([change.permission] if change.permits else [])))


def _affected(
    change: RoleChange,
    holders: _Holders,
    before: Mapping[str, Role],
    after: Mapping[str, Role],
) -> Affected:
    if (change.permission in before[change.role].permissions) == change.permits:
        return Affected(change, True, 0, "exactly", ())
    elsewhere = {  # who has it there gains nothing now, or keeps it then
        role.name
        for role in (before if change.permits else after).values()
        if role.name != change.role and change.permission in role.permissions
    }
    users = [each for each in holders.users if elsewhere.isdisjoint(each.roles)]
    number, bound = _number(holders, len(users), elsewhere)
    return Affected(change, False, number, bound, tuple(users[:NAMED]))


def _number(holders: _Holders, among: int, elsewhere: Collection[str]) -> tuple[int, Bound]:
    """Return how many holders are affected: `among` of those who were looked at."""
    if holders.complete:
        return among, "exactly"
    if not elsewhere:
        return holders.number.number, "exactly" if holders.number.exact else "at_least"
    if holders.number.exact:
        return holders.number.number, "at_most"
    return among, "at_least"
