"""Events in SQLite."""

from sqlalchemy import insert, select
from typing_extensions import override

from gatelodge.audit import Event, EventStore
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import events


class SqlEvents(EventStore):
    """The events in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def add(self, event: Event) -> None:
        values = {name: getattr(event, name) for name in _COLUMNS}
        values["detail"] = dict(event.detail)
        await self._database.write(lambda connection: connection.execute(_ADD, values).rowcount)

    @override
    async def list_events(self, *, before: str | None, limit: int) -> list[Event]:
        query = select(events).order_by(events.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(events.c.id < before)
        rows = await self._database.scan(lambda connection: connection.execute(query).all())
        return [Event(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


_COLUMNS = [column.name for column in events.columns]
_ADD = insert(events)
