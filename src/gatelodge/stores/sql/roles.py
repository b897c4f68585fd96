"""Roles in SQL."""

from collections.abc import Collection

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from gatelodge.accounts.store import Role
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import roles


class SqlRoles:
    """The `RoleStore` over one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Work over this database."""
        self._database = database

    async def ensure(self, wanted: Collection[Role]) -> None:
        """Keep each of these roles unless one of its name exists."""

        def unit(connection: Connection) -> None:
            for role in wanted:
                values = {
                    "name": role.name,
                    "description": role.description,
                    "permissions": list(role.permissions),
                }
                connection.execute(insert(roles).on_conflict_do_nothing(), values)

        await self._database.write(unit)

    async def list_roles(self) -> list[Role]:
        """Return every role, in order of name."""
        rows = await self._database.read(
            lambda connection: connection.execute(select(roles).order_by(roles.c.name)).all()
        )
        return [Role(row.name, row.description, tuple(row.permissions)) for row in rows]
