"""One-time tokens in SQLite."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, or_, select, update
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore, Purpose, key_of
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import make
from gatelodge.stores.sql.tables import one_time_tokens


class SqlOneTimeTokens(OneTimeTokenStore):
    """The one-time tokens in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def put(
        self,
        token: OneTimeToken,
        *,
        unless_after: datetime | None = None,
        event: Event | None = None,
    ) -> bool:
        change, values = _PUT, _values(token)
        if unless_after is not None:
            change, values = _PUT_UNLESS_AFTER, values | {"latest": unless_after}
        return await self._database.write(lambda each: make(each, change, event, values))

    @override
    async def put_newer(self, token: OneTimeToken, at: datetime) -> bool:
        return await self._database.change(_PUT_NEWER, _values(token) | {"latest": at}) == 1

    @override
    async def find(self, purpose: Purpose, subject: str) -> OneTimeToken | None:
        def query(connection: Connection) -> OneTimeToken | None:
            row = connection.execute(_BY_KEY, {"token_key": key_of(purpose, subject)}).first()
            return None if row is None else OneTimeToken(*row)

        return await self._database.read(query)

    @override
    async def consume(
        self,
        purpose: Purpose,
        subject: str,
        digest: bytes,
        at: datetime,
        event: Event | None = None,
    ) -> bool:
        values = {"token_key": key_of(purpose, subject), "token_digest": digest, "at": at}
        return await self._database.write(lambda each: make(each, _CONSUME, event, values))

    @override
    async def change_facts(
        self, token: OneTimeToken, facts: Mapping[str, str], at: datetime
    ) -> bool:
        change = (
            update(one_time_tokens)
            .where(
                _columns.key == token.key,
                _columns.digest == token.digest,
                _columns.facts == dict(token.facts),
                _columns.expires_at > at,
            )
            .values(facts=dict(facts))
        )
        return await self._database.change(change) == 1

    @override
    async def begin(self, token: OneTimeToken, at: datetime) -> bool:
        if token.life is None:
            return False
        change = (
            update(one_time_tokens)
            .where(
                _columns.key == token.key,
                _columns.digest == token.digest,
                _columns.life.is_not(None),
            )
            .values(expires_at=at + timedelta(seconds=token.life), life=None)
        )
        return await self._database.change(change) == 1

    @override
    async def list_alive(self, purpose: Purpose, at: datetime, *, limit: int) -> list[OneTimeToken]:
        query = (
            select(*_RECORD)
            .where(_columns.key.between(f"{purpose}:", f"{purpose};"), _columns.expires_at > at)
            .order_by(_columns.key)
            .limit(limit)
        )

        def read(connection: Connection) -> list[OneTimeToken]:
            return [OneTimeToken(*row) for row in connection.execute(query)]

        return await self._database.read(read)

    @override
    async def sweep(self, expired_before: datetime, *, limit: int) -> int:
        old = select(_columns.key).where(_columns.expires_at < expired_before).limit(limit)
        change = delete(one_time_tokens).where(_columns.key.in_(old))
        return await self._database.change(change)


def _values(token: OneTimeToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in _STORED} | {"facts": dict(token.facts)}


_columns = one_time_tokens.c
_insert = insert(one_time_tokens)
_STORED = [column.name for column in _columns]
_KEY = ("key", "purpose", "subject")
_NEW = {name: _insert.excluded[name] for name in _STORED if name not in _KEY}
_PUT = _insert.on_conflict_do_update(index_elements=[_columns.key], set_=_NEW)
_EXPIRED = _columns.expires_at <= bindparam("latest", type_=_columns.expires_at.type)
_OLDER = or_(_columns.letter.is_(None), _columns.letter <= _insert.excluded.letter)
_PUT_UNLESS_AFTER = _insert.on_conflict_do_update(
    index_elements=[_columns.key], set_=_NEW, where=_EXPIRED
)
_PUT_NEWER = _insert.on_conflict_do_update(
    index_elements=[_columns.key], set_=_NEW, where=or_(_OLDER, _EXPIRED)
)
_RECORD = [_columns[name] for name in _STORED if name != "key"]
_BY_KEY = select(*_RECORD).where(_columns.key == bindparam("token_key"))
_CONSUME = delete(one_time_tokens).where(
    _columns.key == bindparam("token_key"),
    _columns.digest == bindparam("token_digest"),
    _columns.expires_at > bindparam("at"),
)
