"""Events in SQLite."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, delete, select
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.audit import Event, EventPage, EventQuery, EventStore
from gatelodge.ids import UserId
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import events


class SqlEvents(EventStore):
    """The events in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def add(self, event: Event) -> None:
        await self._database.write(lambda connection: put_event(connection, event))

    @override
    async def list_events(self, *, before: str | None, limit: int) -> list[Event]:
        query = select(events).order_by(events.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(events.c.id < before)
        rows = await self._database.scan(lambda connection: connection.execute(query).all())
        return [Event(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    @override
    async def search(self, query: EventQuery, *, before: str | None, limit: int) -> EventPage:
        statement = select(events).order_by(events.c.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(events.c.id < before)
        for column, value in (
            (events.c.actor, query.actor),
            (events.c.target, query.target),
            (events.c.name, query.name),
            (events.c.address, query.address),
        ):
            if value is not None:
                statement = statement.where(column == value)
        if query.about is not None:
            statement = statement.where(
                (events.c.actor == query.about) | (events.c.target == query.about)
            )
        if query.since is not None:
            statement = statement.where(events.c.at >= query.since)
        if query.until is not None:
            statement = statement.where(events.c.at < query.until)
        rows = await self._database.scan(lambda connection: connection.execute(statement).all())
        found = [Event(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]
        return EventPage(found, found[-1].id if len(found) == limit else None)

    @override
    async def list_since(self, after: str | None, *, limit: int) -> list[Event]:
        query = select(events).where(events.c.id > (after or "")).order_by(events.c.id)
        rows = await self._database.scan(
            lambda connection: connection.execute(query.limit(limit)).all()
        )
        return [Event(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    @override
    async def remove_before(self, before: datetime, *, limit: int) -> int:
        old = select(events.c.id).where(events.c.at < before).order_by(events.c.id).limit(limit)
        return await self._database.change(delete(events).where(events.c.id.in_(old)))

    @override
    async def blank(self, user_id: UserId, *, limit: int) -> int:
        raise NotImplementedError


def put_event(connection: Connection, event: Event) -> None:
    """Store an event, in the unit that makes the change."""
    values = {name: getattr(event, name) for name in _COLUMNS}
    values["detail"] = dict(event.detail)
    connection.execute(_ADD, values)


def make(
    connection: Connection,
    change: Executable,
    event: Event | None,
    values: dict[str, Any] | None = None,
) -> bool:
    """Run a statement that changes one row or none, and store the event if it changed one.

    Args:
        connection: the connection of the unit.
        change: the statement.
        event: the event of the change, or None.
        values: the values of the statement's parameters, if it has any.
    """
    changed = connection.execute(change, values).rowcount == 1
    if changed and event is not None:
        put_event(connection, event)
    return changed


_COLUMNS = [column.name for column in events.columns]
_ADD = insert(events).on_conflict_do_nothing()
