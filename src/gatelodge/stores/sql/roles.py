"""Roles in SQLite."""

import functools
import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError
from typing_extensions import override

from gatelodge.accounts.store import Rights, Role, RoleStore
from gatelodge.audit import Event
from gatelodge.errors import AlreadyExists, StillHeld
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import make, put_event
from gatelodge.stores.sql.tables import roles, user_roles, users


class SqlRoles(RoleStore):
    """The roles in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def ensure(self, wanted: Collection[Role]) -> None:
        def unit(connection: Connection) -> None:
            for role in wanted:
                connection.execute(insert(roles).on_conflict_do_nothing(), _values(role))

        await self._database.write(unit)

    @override
    async def add(self, role: Role, event: Event) -> None:
        def unit(connection: Connection) -> None:
            try:
                connection.execute(insert(roles), _values(role))
            except IntegrityError as error:
                raise AlreadyExists("name") from error
            put_event(connection, event)

        await self._database.write(unit)

    @override
    async def find(self, name: str) -> Role | None:
        return await self._database.read(lambda connection: _find(connection, name))

    @override
    async def list_roles(self) -> list[Role]:
        rows = await self._database.read(
            lambda connection: connection.execute(select(roles).order_by(roles.c.name)).all()
        )
        return [_role(row) for row in rows]

    @override
    async def describe(
        self, name: str, description: str, event: Event, *, within: Collection[str] | None = None
    ) -> bool:
        change = (
            update(roles)
            .where(roles.c.name == name, roles.c.description != description)
            .values(description=description)
        )

        def unit(connection: Connection) -> bool:
            there = _find(connection, name, within)
            return there is not None and make(connection, change, event)

        return await self._database.write(unit)

    @override
    async def permit(
        self,
        name: str,
        permission: str,
        event: Event,
        *,
        limit: int,
        within: Collection[str] | None = None,
    ) -> bool:
        def unit(connection: Connection) -> bool:
            role = _find(connection, name, within)
            if role is None or permission in role.permissions or len(role.permissions) >= limit:
                return False
            _put(connection, name, [*role.permissions, permission])
            put_event(connection, event)
            return True

        return await self._database.write(unit)

    @override
    async def forbid(
        self, name: str, permission: str, event: Event, *, within: Collection[str] | None = None
    ) -> bool:
        def unit(connection: Connection) -> bool:
            role = _find(connection, name, within)
            if role is None or permission not in role.permissions:
                return False
            _put(connection, name, [each for each in role.permissions if each != permission])
            put_event(connection, event)
            return True

        return await self._database.write(unit)

    @override
    async def remove(
        self,
        name: str,
        event: Event,
        *,
        unless_held: bool = False,
        within: Collection[str] | None = None,
    ) -> Role | None:
        holders = select(exists().where(user_roles.c.role == name))

        def unit(connection: Connection) -> Role | None:
            role = _find(connection, name, within)
            if role is not None and unless_held and connection.execute(holders).scalar():
                raise StillHeld
            if role is not None:
                connection.execute(delete(roles).where(roles.c.name == name))
                put_event(connection, event)
            return role

        return await self._database.write(unit)


def _find(connection: Connection, name: str, within: Collection[str] | None = None) -> Role | None:
    """Return the role, unless it has a permission that is not in `within`; None: any."""
    row = connection.execute(select(roles).where(roles.c.name == name)).first()
    if row is None or (within is not None and not set(row.permissions) <= set(within)):
        return None
    return _role(row)


def _put(connection: Connection, name: str, permissions: list[str]) -> None:
    """Replace the permissions of a role, in the unit that read them."""
    connection.execute(update(roles).where(roles.c.name == name).values(permissions=permissions))


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
"""A column for `rights_of`: the roles of the user in the row, with their permissions."""
