"""Failed tries in SQLite."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.credentials.store import Attempts, AttemptStore, Limit, after_failure
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import attempts


class SqlAttempts(AttemptStore):
    """The failed tries in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        return await self._database.read(lambda connection: _find(connection, keys))

    @override
    async def count_failure(self, key: str, limit: Limit, at: datetime) -> Attempts:
        # The writer runs one unit at a time, so nothing is written between the read and the write.
        def unit(connection: Connection) -> Attempts:
            before = _find(connection, [key]).get(key)
            now = after_failure(before, key, limit, at)
            connection.execute(_PUT, {name: getattr(now, name) for name in _NAMES})
            return now

        return await self._database.write(unit)

    @override
    async def forget(self, key: str) -> bool:
        return await self._database.write(
            lambda connection: connection.execute(_FORGET, {"forgotten": key}).rowcount == 1
        )

    @override
    async def remove_quiet(self, at: datetime) -> int:
        return await self._database.write(
            lambda connection: connection.execute(_REMOVE_QUIET, {"at": at}).rowcount
        )


def _find(connection: Connection, keys: Collection[str]) -> dict[str, Attempts]:
    rows = connection.execute(_BY_KEYS, {"keys": list(keys)}).all()
    return {row.key: Attempts(*row) for row in rows}


_NAMES = tuple(column.name for column in attempts.c)
_BY_KEYS = select(attempts).where(attempts.c.key.in_(bindparam("keys", expanding=True)))
_insert = insert(attempts)
_PUT = _insert.on_conflict_do_update(
    index_elements=[attempts.c.key],
    set_={name: _insert.excluded[name] for name in _NAMES if name != "key"},
)
_FORGET = delete(attempts).where(attempts.c.key == bindparam("forgotten"))
_REMOVE_QUIET = delete(attempts).where(attempts.c.forget_at <= bindparam("at"))
