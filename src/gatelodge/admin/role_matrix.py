"""The table of roles and permissions in the console, and what was changed in it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gatelodge.accounts.permissions import ADMINISTERS
from gatelodge.accounts.roles import ADMIN
from gatelodge.admin.authority import Administrator
from gatelodge.admin.refusals import TooManyRoleChanges
from gatelodge.admin.roles import KnownPermission, RoleChange, RoleSeen
from gatelodge.errors import InvalidRequest

COLUMNS = 6
"""How many roles a page shows."""

CELLS = 120
"""How many boxes a page shows: with all that it loads, it stays below 60 KB."""

MOST_CHANGES = 40
"""How many changes are made at once."""

_MOST_CHARACTERS = 1800
"""How long a list of changes is at most in an address."""

_TICKED, _EMPTY, _FIXED = "1", "0", "-"


@dataclass(frozen=True, slots=True)
class Cell:
    """A box of the table.

    Attributes:
        number: its number, row by row.
        ticked: whether the role has the permission, or is to have it.
        fixed: whether the reader cannot change that.
    """

    number: int
    ticked: bool
    fixed: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """The table: a column for each role, a row for each permission.

    Attributes:
        roles: the roles.
        permissions: the permissions.
        rows: the boxes.
        was: what the boxes showed before anything was changed, a character for each.
    """

    roles: Sequence[RoleSeen]
    permissions: Sequence[KnownPermission]
    rows: Sequence[Sequence[Cell]]
    was: str

    @classmethod
    def of(
        cls,
        roles: Sequence[RoleSeen],
        permissions: Sequence[KnownPermission],
        by: Administrator,
        chosen: Collection[tuple[str, str]] | None,
    ) -> "Matrix":
        """Return the table for somebody.

        Args:
            roles: the roles.
            permissions: the permissions.
            by: who sees it.
            chosen: the roles and permissions where a box was ticked; None: nothing was chosen yet.
        """
        rows, was = [], ""
        for permission in permissions:
            row = []
            for seen in roles:
                has = permission.name in seen.role.permissions
                fixed = not _may_change(seen, permission, by, has=has)
                ticked = has if fixed or chosen is None else _pair(seen, permission) in chosen
                row.append(Cell(len(was), ticked, fixed))
                was += _FIXED if fixed else _TICKED if has else _EMPTY
            rows.append(row)
        return cls(roles, permissions, rows, was)


@dataclass(frozen=True, slots=True)
class Sent:
    """The table as it was sent: what it showed, and the boxes that are ticked now.

    So what somebody else has changed meanwhile stays.

    Attributes:
        roles: the names of the roles.
        permissions: the permissions.
        was: see `Matrix.was`.
        on: the numbers of the boxes that are ticked.
    """

    roles: Sequence[str]
    permissions: Sequence[str]
    was: str
    on: frozenset[str]

    @property
    def chosen(self) -> set[tuple[str, str]]:
        """The roles and permissions where a box is ticked."""
        return {pair for number, pair in enumerate(self._pairs) if str(number) in self.on}

    def changes(self) -> list[RoleChange]:
        """Return what was changed in the table.

        Raises:
            InvalidRequest: no page has sent this.
        """
        if len(self.was) != len(self.roles) * len(self.permissions):
            raise InvalidRequest
        changes = []
        for number, (role, permission) in enumerate(self._pairs):
            is_on, before = str(number) in self.on, self.was[number]
            if before not in (_TICKED if is_on else _EMPTY, _FIXED):
                changes.append(RoleChange(role, permission, permits=is_on))
        return changes

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        return [(role, permission) for permission in self.permissions for role in self.roles]


def written(changes: Sequence[RoleChange]) -> dict[str, str]:
    """Return changes as the fields of a form, or as a query; `read` reads it.

    Raises:
        TooManyRoleChanges: there are more than are made at once.
    """
    fields = {
        name: " ".join(
            f"{each.role}/{each.permission}" for each in changes if each.permits is gives
        )
        for name, gives in (("give", True), ("take", False))
    }
    if len(changes) > MOST_CHANGES or any(len(each) > _MOST_CHARACTERS for each in fields.values()):
        raise TooManyRoleChanges
    return {name: text for name, text in fields.items() if text}


def read(give: str, take: str) -> list[RoleChange]:
    """Return the changes that `written` wrote.

    Raises:
        TooManyRoleChanges: there are more than are made at once.
        InvalidRequest: it has not written this.
    """
    changes: dict[tuple[str, str], RoleChange] = {}
    for text, permits in ((give, True), (take, False)):
        for each in text.split():
            role, slash, permission = each.partition("/")
            if not slash or (role, permission) in changes:
                raise InvalidRequest
            changes[role, permission] = RoleChange(role, permission, permits=permits)
    if len(changes) > MOST_CHANGES:
        raise TooManyRoleChanges
    return list(changes.values())


def _may_change(
    seen: RoleSeen, permission: KnownPermission, by: Administrator, *, has: bool
) -> bool:
    if not seen.editable:
        return False
    if has:
        return seen.role.name != ADMIN or permission.name not in ADMINISTERS
    return by.may_permit(permission.name)


def _pair(seen: RoleSeen, permission: KnownPermission) -> tuple[str, str]:
    return seen.role.name, permission.name
