"""Events in SQL."""

from sqlalchemy import insert, select

from gatelodge.audit import Event
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import events


class SqlEvents:
    """The `EventStore` over one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Work over this database."""
        self._database = database

    async def add(self, event: Event) -> None:
        """Keep an event."""
        values = {name: getattr(event, name) for name in _COLUMNS}
        values["detail"] = dict(event.detail)
        await self._database.write(lambda connection: connection.execute(_ADD, values).rowcount)

    async def list_events(self, *, before: str | None, limit: int) -> list[Event]:
        """Return the events before `before`, the newest first."""
        query = select(events).order_by(events.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(events.c.id < before)
        rows = await self._database.scan(lambda connection: connection.execute(query).all())
        return [Event(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


_COLUMNS = [column.name for column in events.columns]
_ADD = insert(events)
