"""Sessions in SQLite."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from typing_extensions import override

from gatelodge.accounts.search import Count
from gatelodge.accounts.store import Rights, User
from gatelodge.audit import Event
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.store import (
    NO_EPOCH,
    Session,
    SessionPage,
    SessionQuery,
    SessionStore,
)
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import make, put_event
from gatelodge.stores.sql.roles import RIGHTS, rights_of
from gatelodge.stores.sql.tables import sessions, users
from gatelodge.stores.sql.users import USER_COLUMNS, user_of

LOOKED_AT = 20_000
"""How many sessions a page looks at, at most."""

COUNTED_EXACTLY = 2_000
"""Up to how many stored sessions the live ones are counted one by one."""


class SqlSessions(SessionStore):
    """The sessions in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def open(self, session: Session, event: Event, *, without_factors: bool = False) -> bool:
        user = {"user": session.user_id, "its_epoch": session.epoch, "at": session.created_at}
        signs_in = _USER_SIGNS_IN_ALONE if without_factors else _USER_SIGNS_IN
        alone = session.impersonator is None

        def unit(connection: Connection) -> bool:
            if alone and connection.execute(signs_in, user).rowcount != 1:
                return False
            if not alone and connection.execute(_USER_IS_AS_READ, user).first() is None:
                return False
            connection.execute(_ADD, _values(session))
            put_event(connection, event)
            return True

        return await self._database.write(unit)

    @override
    async def add(self, session: Session) -> None:
        await self._database.change(_ADD, _values(session))

    @override
    async def find(self, session_id: SessionId) -> Session | None:
        def query(connection: Connection) -> Session | None:
            row = connection.execute(_BY_ID, {"session_id": session_id}).first()
            return None if row is None else _session(row)

        return await self._database.read(query)

    @override
    async def find_with_user(self, session_id: SessionId) -> tuple[Session, User] | None:
        def query(connection: Connection) -> tuple[Session, User] | None:
            row = connection.execute(_WITH_USER, {"session_id": session_id}).first()
            if row is None:
                return None
            return _session(row[: len(_COLUMNS)]), user_of(row[len(_COLUMNS) :])

        return await self._database.read(query)

    @override
    async def find_with_rights(self, session_id: SessionId) -> tuple[Session, User, Rights] | None:
        # One query reads all three at one instant.

        def query(connection: Connection) -> tuple[Session, User, Rights] | None:
            row = connection.execute(_WITH_RIGHTS, {"session_id": session_id}).first()
            if row is None:
                return None
            *values, rights = row
            session, user = values[: len(_COLUMNS)], values[len(_COLUMNS) :]
            return _session(session), user_of(user), rights_of(rights)

        return await self._database.read(query)

    @override
    async def rotate(
        self, session_id: SessionId, generation: int, now: Callable[[], datetime]
    ) -> bool:
        def unit(connection: Connection) -> bool:
            values = {"session_id": session_id, "current": generation, "at": now()}
            return connection.execute(_ROTATE, values).rowcount == 1

        return await self._database.write(unit)

    @override
    async def revoke(self, session_id: SessionId, at: datetime, why: str, event: Event) -> bool:
        values = {"session_id": session_id, "at": at, "why": why}
        return await self._database.write(
            lambda connection: make(connection, _REVOKE, event, values)
        )

    @override
    async def touch(self, session_id: SessionId, at: datetime) -> bool:
        return await self._database.change(_TOUCH, {"session_id": session_id, "at": at}) == 1

    @override
    async def discard(self, session_id: SessionId) -> None:
        await self._database.change(_DISCARD, {"session_id": session_id})

    @override
    async def list_stored(self, user_id: UserId, *, limit: int) -> list[Session]:
        query = (
            select(sessions)
            .where(sessions.c.user_id == user_id)
            .order_by(sessions.c.id.desc())
            .limit(limit)
        )
        rows = await self._database.scan(lambda connection: connection.execute(query).all())
        return [_session(row) for row in rows]

    @override
    async def list_live(
        self,
        user: User,
        at: datetime,
        *,
        used_after: datetime,
        before: SessionId | None,
        limit: int,
    ) -> list[Session]:
        values = {"user": user.id, "user_epoch": user.epoch, "continued": user.continued}
        values |= {"at": at, "used_after": used_after, "before": before or _AFTER_ALL}
        values["limit"] = limit
        rows = await self._database.scan(
            lambda connection: connection.execute(_LIVE_OF_USER, values).all()
        )
        return [_session(row) for row in rows]

    @override
    async def search(
        self,
        query: SessionQuery,
        at: datetime,
        *,
        used_after: datetime,
        before: SessionId | None,
        limit: int,
    ) -> SessionPage:
        looked_at = [sessions.c.id < (before or _AFTER_ALL)]
        wanted = [
            column == value
            for column, value in (
                (sessions.c.user_id, query.user_id),
                (sessions.c.address, query.address),
            )
            if value is not None
        ]
        looked_at += wanted[:1]  # these follow one index
        last = select(sessions.c.id).where(*looked_at).order_by(sessions.c.id.desc())
        last = last.offset(LOOKED_AT - 1).limit(1)
        live = select(sessions, *USER_COLUMNS).join(users, users.c.id == sessions.c.user_id)
        live = live.where(*looked_at, *wanted[1:], *_signs_in(at, used_after))
        live = live.order_by(sessions.c.id.desc()).limit(limit + 1)

        def unit(connection: Connection) -> SessionPage:
            lowest: SessionId | None = connection.execute(last).scalar()
            page = live if lowest is None else live.where(sessions.c.id >= lowest)
            rows = connection.execute(page).all()
            width = len(_COLUMNS)
            found = [(_session(row[:width]), user_of(row[width:])) for row in rows[:limit]]
            return SessionPage(found, found[-1][0].id if len(rows) > limit else lowest)

        return await self._database.scan(unit)

    @override
    async def count_live(self, at: datetime, *, used_after: datetime) -> Count:
        signing_in = (
            select(func.count())
            .select_from(sessions.join(users, users.c.id == sessions.c.user_id))
            .where(*_signs_in(at, used_after))
        )

        def unit(connection: Connection) -> Count | None:
            few = {"limit": COUNTED_EXACTLY + 1}
            if connection.execute(_COUNT_SOME, few).scalar_one() > COUNTED_EXACTLY:
                return None
            return Count(connection.execute(signing_in).scalar_one())

        exactly = await self._database.scan(unit)
        return exactly or Count(await self._estimate_live(at), exact=False)

    async def _estimate_live(self, at: datetime) -> int:
        """Return how many sessions have not ended by themselves.

        They are counted in pieces, so that other lists are read in between.
        """
        bounds = [at + number * _PIECE for number in range(_PIECES)]
        number = 0
        for first, last in pairwise([*bounds, _NO_END]):
            values = {"first": first, "last": last}
            number += await self._database.count(_COUNT_EXPIRING, values)
        return max(0, number - await self._database.count(_COUNT_REVOKED))

    @override
    async def remove_ended(self, before: datetime) -> int:
        return await self._database.change(_REMOVE_ENDED, {"before": before})


def _values(session: Session) -> dict[str, Any]:
    return {name: getattr(session, name) for name in _COLUMNS}


def _signs_in(at: datetime, used_after: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a session signs its user in."""
    return (
        or_(sessions.c.epoch == users.c.epoch, sessions.c.id == users.c.continued),
        users.c.disabled_at.is_(None),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > at,
        sessions.c.last_used_at > used_after,
    )


def _session(row: Sequence[Any]) -> Session:
    return Session(**dict(zip(_COLUMNS, row, strict=True)))


_COLUMNS = [column.name for column in sessions.columns]

_ADD = insert(sessions)
_BY_ID = select(sessions).where(sessions.c.id == bindparam("session_id"))
_WITH_USER = (
    select(sessions, *USER_COLUMNS)
    .join(users, users.c.id == sessions.c.user_id)
    .where(sessions.c.id == bindparam("session_id"))
)
_WITH_RIGHTS = _WITH_USER.add_columns(RIGHTS)
_LIVE_OF_USER = (
    select(sessions)
    .where(
        sessions.c.user_id == bindparam("user"),
        or_(sessions.c.epoch == bindparam("user_epoch"), sessions.c.id == bindparam("continued")),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("at"),
        sessions.c.last_used_at > bindparam("used_after"),
        sessions.c.id < bindparam("before"),
    )
    .order_by(sessions.c.id.desc())
    .limit(bindparam("limit"))
)
_AFTER_ALL = "~"  # sorts after every id
_live = (sessions.c.id == bindparam("session_id"), sessions.c.revoked_at.is_(None))
_ROTATE = (
    update(sessions)
    .where(*_live, sessions.c.generation == bindparam("current"))
    .values(
        generation=sessions.c.generation + 1,
        rotated_at=bindparam("at"),
        last_used_at=bindparam("at"),
    )
)
_REVOKE = (
    update(sessions).where(*_live).values(revoked_at=bindparam("at"), revoked_why=bindparam("why"))
)
_TOUCH = update(sessions).where(*_live).values(last_used_at=bindparam("at"))
_DISCARD = delete(sessions).where(
    sessions.c.id == bindparam("session_id"), sessions.c.epoch == NO_EPOCH
)
_as_read = (
    users.c.id == bindparam("user"),
    users.c.epoch == bindparam("its_epoch"),
    users.c.disabled_at.is_(None),
)
_USER_IS_AS_READ = select(users.c.id).where(*_as_read)
_USER_SIGNS_IN = update(users).where(*_as_read).values(last_sign_in_at=bindparam("at"))
_USER_SIGNS_IN_ALONE = _USER_SIGNS_IN.where(users.c.factors.is_(None))
_COUNT = select(func.count()).select_from(sessions)
_COUNT_SOME = select(func.count()).select_from(
    select(sessions.c.id).limit(bindparam("limit")).subquery()
)
_COUNT_REVOKED = _COUNT.where(sessions.c.revoked_at.is_not(None))
_COUNT_EXPIRING = _COUNT.where(
    sessions.c.expires_at > bindparam("first"), sessions.c.expires_at <= bindparam("last")
)
_PIECE, _PIECES = timedelta(hours=12), 62
"""Sessions last for 30 days at most."""

_NO_END = datetime(9999, 1, 1, tzinfo=UTC)
_REMOVE_ENDED = delete(sessions).where(
    or_(
        sessions.c.expires_at < bindparam("before"),
        sessions.c.revoked_at < bindparam("before"),
    )
)
