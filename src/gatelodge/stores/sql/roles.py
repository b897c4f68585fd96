"""Roles in SQL."""

import functools
import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError

from gatelodge.accounts.store import Rights, Role
from gatelodge.errors import AlreadyExists
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import roles, user_roles, users


class SqlRoles:
    """The `RoleStore` over one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Work over this database."""
        self._database = database

    async def ensure(self, wanted: Collection[Role]) -> None:
        """Keep each of these roles unless one of its name exists."""

        def unit(connection: Connection) -> None:
            for role in wanted:
                connection.execute(insert(roles).on_conflict_do_nothing(), _values(role))

        await self._database.write(unit)

    async def add(self, role: Role) -> None:
        """Keep a new role."""

        def unit(connection: Connection) -> None:
            try:
                connection.execute(insert(roles), _values(role))
            except IntegrityError as error:
                raise AlreadyExists("name") from error

        await self._database.write(unit)

    async def find(self, name: str) -> Role | None:
        """Return the role, or None."""
        return await self._database.read(lambda connection: _find(connection, name))

    async def list_roles(self) -> list[Role]:
        """Return every role, in order of name."""
        rows = await self._database.read(
            lambda connection: connection.execute(select(roles).order_by(roles.c.name)).all()
        )
        return [_role(row) for row in rows]

    async def describe(self, name: str, description: str) -> bool:
        """Put another description in place of the old one."""
        change = update(roles).where(roles.c.name == name).values(description=description)
        return await self._database.write(
            lambda connection: connection.execute(change).rowcount == 1
        )

    async def permit(self, name: str, permission: str, *, limit: int) -> bool:
        """Give a role one more permission."""

        def unit(connection: Connection) -> bool:
            role = _find(connection, name)
            if role is None or permission in role.permissions or len(role.permissions) >= limit:
                return False
            return _put(connection, name, [*role.permissions, permission])

        return await self._database.write(unit)

    async def forbid(self, name: str, permission: str) -> bool:
        """Take a permission from a role."""

        def unit(connection: Connection) -> bool:
            role = _find(connection, name)
            if role is None or permission not in role.permissions:
                return False
            return _put(connection, name, [each for each in role.permissions if each != permission])

        return await self._database.write(unit)

    async def remove(self, name: str) -> Role | None:
        """Forget a role, and return it."""

        def unit(connection: Connection) -> Role | None:
            role = _find(connection, name)
            connection.execute(delete(roles).where(roles.c.name == name))
            return role

        return await self._database.write(unit)


def _find(connection: Connection, name: str) -> Role | None:
    row = connection.execute(select(roles).where(roles.c.name == name)).first()
    return None if row is None else _role(row)


def _put(connection: Connection, name: str, permissions: list[str]) -> bool:
    """Replace the permissions of a role. The unit that read them is the only writer."""
    change = update(roles).where(roles.c.name == name).values(permissions=permissions)
    return connection.execute(change).rowcount == 1


def _role(row: Row[Any]) -> Role:
    return Role(row.name, row.description, tuple(row.permissions))


def _values(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "description": role.description,
        "permissions": list(role.permissions),
    }


@functools.lru_cache(maxsize=1024)
def rights_of(column: str) -> Rights:
    """Return the rights in a column of `RIGHTS`. Equal columns give the same object."""
    held = json.loads(column)
    names = tuple(name for name, _ in held)
    return Rights(names, frozenset(each for _, permissions in held for each in permissions))


_held = (
    select(roles.c.name, roles.c.permissions)
    .join(user_roles, user_roles.c.role == roles.c.name)
    .where(user_roles.c.user_id == users.c.id)
    .order_by(user_roles.c.number)
    .correlate(users)
    .subquery()
)
RIGHTS = (
    select(func.json_group_array(func.json_array(_held.c.name, func.json(_held.c.permissions))))
    .correlate(users)
    .scalar_subquery()
)
"""A column for `rights_of`, beside a user: the roles that the user holds, with permissions."""
