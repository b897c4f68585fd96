"""Events in SQLite."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Select,
    Text,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.audit import (
    EVENT_PREFIX,
    Blanked,
    Event,
    EventPage,
    EventQuery,
    EventStore,
    blanked,
)
from gatelodge.ids import UserId, first_id
from gatelodge.stores import event_search
from gatelodge.stores.event_search import (
    Lead,
    Reach,
    Span,
    about,
    conditions_of,
    farthest,
    leads_of,
    oldest_of,
    page_of,
)
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import events, messages


class SqlEvents(EventStore):
    """The events in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def add(self, event: Event) -> None:
        await self._database.write(lambda connection: put_event(connection, event))

    @override
    async def find(self, event_id: str) -> Event | None:
        query = select(events).where(events.c.id == event_id)
        found = await self._database.read(lambda connection: _read(connection, query))
        return found[0] if found else None

    @override
    async def search(self, query: EventQuery, *, before: str | None, limit: int) -> EventPage:
        return await self._database.scan(
            lambda connection: _search(connection, query, Span.of(query, before), limit)
        )

    @override
    async def list_since(self, after: str | None, *, limit: int) -> list[Event]:
        query = select(events).where(events.c.id > (after or "")).order_by(events.c.id)
        return await self._database.scan(lambda connection: _read(connection, query.limit(limit)))

    @override
    async def remove_before(self, before: datetime, *, limit: int) -> int:
        values = {"first": first_id(EVENT_PREFIX, before), "limit": limit}
        return await self._database.change(_REMOVE, values)

    @override
    async def blank(self, user_id: UserId, *, after: str | None, limit: int) -> Blanked:
        def read(connection: Connection) -> list[Event]:
            return [
                event
                for field, value in about(user_id)
                for event in _read(
                    connection,
                    select(events)
                    .where(events.c[field] == value, events.c.id > (after or ""))
                    .order_by(events.c.id)
                    .limit(limit + 1),
                )
            ]

        page, rest = oldest_of(await self._database.scan(read), limit)
        changes = [
            {"of": now.id, "address": now.address, "program": now.user_agent, "facts": now.detail}
            for event in page
            if (now := blanked(event, user_id)) != event
        ]
        if changes:
            await self._database.write(lambda connection: connection.execute(_BLANK, changes))
        return Blanked(len(page), len(changes), rest)


def _search(connection: Connection, query: EventQuery, span: Span, limit: int) -> EventPage:
    """Return a page of the events with ids in a range that match."""
    leads = leads_of(query)
    if not leads:
        return page_of(_read(connection, _down(span, limit)), limit, "")
    reach = _reach_of(connection, leads, span)
    others = [_NO_INDEX[field] == value for field, value in conditions_of(query)]
    if query.about is not None:
        others.append(or_(*(_NO_INDEX[each] == query.about for each in ("actor", "target"))))
    within = span.above(reach.floor)
    found = [
        event
        for field, value in reach.lead
        for event in _read(
            connection, _down(within, limit).where(events.c[field] == value, *others)
        )
    ]
    return page_of(found, limit, reach.floor)


def _reach_of(connection: Connection, leads: list[Lead], span: Span) -> Reach:
    """Choose the lead to follow, and return how far it goes."""
    if len(leads) == 1:
        return Reach("", 0, leads[0])  # it meets nothing but what matches
    reaches: list[Reach] = []
    for lead in leads:
        reaches.append(Reach.of(lead, _walked(connection, lead, span)))
        if reaches[-1].is_short:
            break
    return farthest(reaches)


def _down(span: Span, limit: int) -> Select[Any]:
    """Return the query for the newest events of a range, one more than fit into a page."""
    return select(events).where(*_within(span)).order_by(events.c.id.desc()).limit(limit + 1)


def _within(span: Span) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the ids of a range."""
    return events.c.id >= span.first, events.c.id < span.end


def _walked(connection: Connection, lead: Lead, span: Span) -> list[tuple[int, str]]:
    """Return how many events each walk of a lead meets, and the id of the last one."""
    walked = []
    for field, value in lead:
        met = (
            select(events.c.id)
            .where(events.c[field] == value, *_within(span))
            .order_by(events.c.id.desc())
            .limit(event_search.EXAMINED)
            .subquery()
        )
        count, last = connection.execute(select(func.count(), func.min(met.c.id))).one()
        walked.append((count, last or ""))
    return walked


def _read(connection: Connection, query: Select[Any]) -> list[Event]:
    rows = connection.execute(query).all()
    return [Event(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


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

# SQLite has no statistics here, and could follow the index of any condition. It follows that of the
# walk because a `+` keeps it from all others (sqlite.org/optoverview.html, section 5.2).
_NO_INDEX = {field: literal_column(f"+events.{field}", Text) for field in event_search.FIELDS}

_waits = exists().where(messages.c.event_id == events.c.id)
_OLD = (
    select(events.c.id)
    .where(events.c.id < bindparam("first"), ~_waits)  # a message is read with its event
    .order_by(events.c.id)
    .limit(bindparam("limit"))
)
_REMOVE = delete(events).where(events.c.id.in_(_OLD))
_BLANK = (
    update(events)
    .where(events.c.id == bindparam("of"))
    .values(
        address=bindparam("address"),
        user_agent=bindparam("program"),
        detail=bindparam("facts", type_=events.c.detail.type),
    )
)
