"""Numbers of events by days in SQLite."""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import tallies
from gatelodge.tallies import TallyStore


class SqlTallies(TallyStore):
    """The numbers in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def add(self, counts: Mapping[tuple[date, str], int]) -> None:
        rows = [
            {"day": day.isoformat(), "name": name, "count": count}
            for (day, name), count in counts.items()
        ]
        if rows:
            await self._database.write(
                lambda connection: connection.execute(_ADD, rows), durable=False
            )

    @override
    async def list_days(self, first: date, last: date) -> dict[date, dict[str, int]]:
        within = tallies.c.day.between(first.isoformat(), last.isoformat())
        query = select(*tallies.columns).where(within)
        rows = await self._database.scan(lambda connection: connection.execute(query).all())
        days: dict[date, dict[str, int]] = {}
        for day, name, count in rows:
            days.setdefault(date.fromisoformat(day), {})[name] = count
        return days

    @override
    async def remove_before(self, first: date) -> None:
        await self._database.change(delete(tallies).where(tallies.c.day < first.isoformat()))


_insert = insert(tallies)
_ADD = _insert.on_conflict_do_update(
    index_elements=[tallies.c.day, tallies.c.name],
    set_={"count": tallies.c.count + _insert.excluded.count},
)
