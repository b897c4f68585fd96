"""Failed tries and tries in progress in SQLite."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Delete, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.credentials.store import (
    LAPSES_AFTER,
    Attempts,
    AttemptStore,
    Limit,
    Reservation,
    after_failure,
)
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import put_event
from gatelodge.stores.sql.tables import attempts, reservations


class SqlAttempts(AttemptStore):
    """The failed tries in one SQLite file.

    SQLite runs one writing transaction at a time, in all processes. So in a unit, nothing is
    written between the read and the write. Reservations need not outlive a loss of power, after
    which no try is in progress; so they wait for no disk.
    """

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def find(self, keys: Collection[str]) -> dict[str, Attempts]:
        return await self._database.read(lambda connection: _find(connection, keys))

    @override
    async def reserve(self, wanted: Reservation, limit: Limit, at: datetime) -> timedelta | None:
        def unit(connection: Connection) -> timedelta | None:
            before = _find(connection, [wanted.key]).get(wanted.key)
            if before and (wait := before.wait_at(limit, at)):
                return wait
            failures, streak = (before.failures_at(at), before.streak) if before else (0, 0)
            in_progress = connection.execute(_IN_PROGRESS, {"of": wanted.key, "at": at})
            if in_progress.scalar_one() >= limit.tries_left(failures, streak):
                return timedelta(0)
            values = {"key": wanted.key, "id": wanted.id, "lapses_at": at + LAPSES_AFTER}
            connection.execute(_RESERVE, values)
            return None

        return await self._database.write(unit, durable=False)

    @override
    async def give_back(self, reservation: Reservation, *, forget: bool = False) -> None:
        def unit(connection: Connection) -> None:
            connection.execute(_END, {"of": reservation.key, "ended": reservation.id})
            if forget:
                connection.execute(_FORGET, {"forgotten": [reservation.key]})

        await self._database.write(unit, durable=False)

    @override
    async def count_failure(
        self, key: str, limit: Limit, at: datetime, reservation: Reservation | None = None
    ) -> Attempts:
        def unit(connection: Connection) -> Attempts:
            before = _find(connection, [key]).get(key)
            now = after_failure(before, key, limit, at)
            connection.execute(_PUT, {name: getattr(now, name) for name in _NAMES})
            if reservation is not None:
                connection.execute(_END, {"of": key, "ended": reservation.id})
            return now

        return await self._database.write(unit)

    @override
    async def forget(self, keys: Collection[str], event: Event | None = None) -> bool:
        return await self._forget(_FORGET, {"forgotten": list(keys)}, event) > 0

    @override
    async def remove_quiet(self, at: datetime) -> int:
        def unit(connection: Connection) -> int:
            connection.execute(_REMOVE_LAPSED, {"at": at})
            return connection.execute(_REMOVE_QUIET, {"at": at}).rowcount

        return await self._database.write(unit)

    @override
    async def forget_all(self, event: Event) -> int:
        return await self._forget(_FORGET_ALL, {}, event)

    async def _forget(self, change: Delete, values: dict[str, Any], event: Event | None) -> int:
        def unit(connection: Connection) -> int:
            forgotten = connection.execute(change, values).rowcount
            if forgotten and event is not None:
                put_event(connection, event)
            return forgotten

        return await self._database.write(unit)


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
_FORGET = delete(attempts).where(attempts.c.key.in_(bindparam("forgotten", expanding=True)))
_FORGET_ALL = delete(attempts)
_REMOVE_QUIET = delete(attempts).where(attempts.c.forget_at <= bindparam("at"))

_of_key = reservations.c.key == bindparam("of")
_IN_PROGRESS = (
    select(func.count())
    .select_from(reservations)
    .where(_of_key, reservations.c.lapses_at > bindparam("at"))
)
_RESERVE = insert(reservations)
_END = delete(reservations).where(_of_key, reservations.c.id == bindparam("ended"))
_REMOVE_LAPSED = delete(reservations).where(reservations.c.lapses_at <= bindparam("at"))
