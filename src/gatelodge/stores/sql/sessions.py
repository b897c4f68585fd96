"""Sessions in SQLite."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update
from typing_extensions import override

from gatelodge.accounts.store import Rights, User
from gatelodge.ids import SessionId
from gatelodge.sessions.store import Session, SessionStore
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.roles import RIGHTS, rights_of
from gatelodge.stores.sql.tables import sessions, users
from gatelodge.stores.sql.users import USER_COLUMNS, user_of


class SqlSessions(SessionStore):
    """The sessions in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def add(self, session: Session) -> None:
        values = {name: getattr(session, name) for name in _COLUMNS}
        await self._database.write(lambda connection: connection.execute(_ADD, values).rowcount)

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
    async def rotate(self, session_id: SessionId, generation: int, at: datetime) -> bool:
        return await self._change(
            _ROTATE, {"session_id": session_id, "current": generation, "at": at}
        )

    @override
    async def revoke(self, session_id: SessionId, at: datetime, why: str) -> bool:
        return await self._change(_REVOKE, {"session_id": session_id, "at": at, "why": why})

    @override
    async def touch(self, session_id: SessionId, at: datetime) -> bool:
        return await self._change(_TOUCH, {"session_id": session_id, "at": at})

    @override
    async def adopt(self, session_id: SessionId, epoch: int) -> bool:
        return await self._change(_ADOPT, {"session_id": session_id, "new_epoch": epoch})

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
        values = {"user": user.id, "user_epoch": user.epoch, "at": at, "limit": limit}
        values |= {"used_after": used_after, "before": before or _AFTER_ALL}
        rows = await self._database.scan(
            lambda connection: connection.execute(_LIVE_OF_USER, values).all()
        )
        return [_session(row) for row in rows]

    @override
    async def remove_ended(self, before: datetime) -> int:
        return await self._database.write(
            lambda connection: connection.execute(_REMOVE_ENDED, {"before": before}).rowcount
        )

    async def _change(self, statement: Any, values: dict[str, Any]) -> bool:
        return await self._database.write(
            lambda connection: connection.execute(statement, values).rowcount == 1
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
        sessions.c.epoch == bindparam("user_epoch"),
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
_ADOPT = update(sessions).where(*_live).values(epoch=bindparam("new_epoch"))
_REMOVE_ENDED = delete(sessions).where(
    or_(
        sessions.c.expires_at < bindparam("before"),
        sessions.c.revoked_at < bindparam("before"),
    )
)
