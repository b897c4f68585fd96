"""Subscriptions and messages in SQLite. A trigger on the events makes the messages."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.errors import AlreadyExists
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import make
from gatelodge.stores.sql.tables import events, messages, subscriptions
from gatelodge.subscriptions.store import Message, Subscription, SubscriptionStore


class SqlSubscriptions(SubscriptionStore):
    """The subscriptions in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def put(self, subscription: Subscription) -> None:
        values = _values_of(subscription)
        await self._database.write(lambda connection: connection.execute(_PUT, values))

    @override
    async def add(self, subscription: Subscription, event: Event) -> None:
        values = _values_of(subscription)
        if not await self._database.write(lambda connection: make(connection, _ADD, event, values)):
            raise AlreadyExists("name")

    @override
    async def find(self, name: str) -> Subscription | None:
        query = select(*subscriptions.columns).where(subscriptions.c.name == name)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return None if row is None else Subscription(*row)

    @override
    async def list_subscriptions(self) -> list[Subscription]:
        rows = await self._database.scan(lambda connection: connection.execute(_ALL).all())
        return [Subscription(*row) for row in rows]

    @override
    async def reseal(self, name: str, before: bytes | None, after: bytes, event: Event) -> bool:
        change = (
            update(subscriptions)
            .where(subscriptions.c.name == name, subscriptions.c.sealed_secret == before)
            .values(sealed_secret=after)
        )
        return await self._database.write(lambda connection: make(connection, change, event))

    @override
    async def remove(
        self, name: str, event: Event, *, unseen_since: datetime | None = None
    ) -> bool:
        change = delete(subscriptions).where(subscriptions.c.name == name)
        if unseen_since is not None:
            change = change.where(subscriptions.c.seen_at < unseen_since)

        def remove(connection: Connection) -> bool:
            removed = make(connection, change, event)
            if removed:
                connection.execute(delete(messages).where(_waiting.subscription == name))
            return removed

        return await self._database.write(remove)

    @override
    async def find_due(
        self, names: Collection[str], now: datetime, *, latest: datetime
    ) -> str | None:
        values = {"names": list(names), "now": now, "latest": latest}
        return await self._database.read(
            lambda connection: connection.execute(_ONE_DUE, values).scalar()
        )

    @override
    async def claim(
        self, names: Collection[str], now: datetime, until: datetime, *, latest: datetime
    ) -> Message | None:
        if await self.find_due(names, now, latest=latest) is None:
            return None  # nobody waits for the writer to hear that
        wanted = {"names": list(names), "now": now, "latest": latest}

        def claim(connection: Connection) -> Message | None:
            row = connection.execute(_FIRST_DUE, wanted).first()
            if row is None:
                return None
            number, subscription, claims, failures, *values = row
            connection.execute(_CLAIM, {"of": number, "until": until})
            event = Event(**dict(zip(_EVENT, values, strict=True)))
            return Message(subscription, event, until, claims + 1, failures)

        return await self._database.write(claim)

    @override
    async def finish(self, message: Message, event: Event | None = None) -> bool:
        ours = _claimed_by(message)
        return await self._database.write(lambda connection: make(connection, _FINISH, event, ours))

    @override
    async def postpone(self, message: Message, until: datetime, *, failed: bool = False) -> bool:
        values = _claimed_by(message) | {"until": until, "failed": int(failed)}
        return await self._database.change(_POSTPONE, values) == 1

    @override
    async def count_waiting(self, name: str) -> int:
        count = select(func.count()).where(messages.c.subscription == name)
        return await self._database.count(count)


def _values_of(subscription: Subscription) -> dict[str, Any]:
    return {name: getattr(subscription, name) for name in _SUBSCRIPTION}


def _claimed_by(message: Message) -> dict[str, Any]:
    return {
        "of_event": message.event.id,
        "of_subscription": message.subscription,
        "claimed": message.due_at,
    }


_waiting = messages.c
_CLAIMED = (_waiting.number, _waiting.subscription, _waiting.claims, _waiting.failures)
_EVENT = [column.name for column in events.columns]
_insert = insert(subscriptions)
_SUBSCRIPTION = [column.name for column in subscriptions.columns]
_PUT = _insert.on_conflict_do_update(
    index_elements=[subscriptions.c.name],
    set_={name: _insert.excluded[name] for name in _SUBSCRIPTION if name != "name"},
)
_ADD = _insert.on_conflict_do_nothing()
_ALL = select(*subscriptions.columns).order_by(subscriptions.c.name)
_UNTIL = bindparam("until", type_=_waiting.due_at.type)
_OURS = (
    _waiting.event_id == bindparam("of_event"),
    _waiting.subscription == bindparam("of_subscription"),
    _waiting.due_at == bindparam("claimed", type_=_waiting.due_at.type),
)
_CLAIM = (
    update(messages)
    .where(_waiting.number == bindparam("of"))
    .values(due_at=_UNTIL, claims=_waiting.claims + 1)
)
_FINISH = delete(messages).where(*_OURS)
_POSTPONE = (
    update(messages)
    .where(*_OURS)
    .values(due_at=_UNTIL, failures=_waiting.failures + bindparam("failed"))
)
_DUE = (
    _waiting.subscription.in_(bindparam("names", expanding=True)),
    or_(
        _waiting.due_at <= bindparam("now", type_=_waiting.due_at.type),
        _waiting.due_at > bindparam("latest", type_=_waiting.due_at.type),
    ),
)
_ONE_DUE = select(_waiting.subscription).where(*_DUE).limit(1)
_FIRST_DUE = (
    select(*_CLAIMED, *events.columns)
    .join(events, events.c.id == _waiting.event_id)
    .where(*_DUE)
    .order_by(_waiting.due_at, _waiting.number)
    .limit(1)
)
