"""One-time tokens in SQLite."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore, Purpose, key_of
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import one_time_tokens


class SqlOneTimeTokens(OneTimeTokenStore):
    """The one-time tokens in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def put(self, token: OneTimeToken, *, unless_after: datetime | None = None) -> bool:
        values = {
            "key": token.key,
            "purpose": token.purpose,
            "subject": token.subject,
            "digest": token.digest,
            "expires_at": token.expires_at,
        }
        if unless_after is not None:
            values["latest"] = unless_after
        put = _PUT if unless_after is None else _PUT_UNLESS_AFTER
        return await self._database.write(
            lambda connection: connection.execute(put, values).rowcount == 1
        )

    @override
    async def find(self, purpose: Purpose, subject: str) -> OneTimeToken | None:
        def query(connection: Connection) -> OneTimeToken | None:
            row = connection.execute(_BY_KEY, {"token_key": key_of(purpose, subject)}).first()
            return None if row is None else OneTimeToken(*row)

        return await self._database.read(query)

    @override
    async def consume(self, purpose: Purpose, subject: str, digest: bytes, at: datetime) -> bool:
        values = {"token_key": key_of(purpose, subject), "token_digest": digest, "at": at}
        return await self._database.write(
            lambda connection: connection.execute(_CONSUME, values).rowcount == 1
        )


_columns = one_time_tokens.c
_insert = insert(one_time_tokens)
_NEW = {"digest": _insert.excluded.digest, "expires_at": _insert.excluded.expires_at}
_PUT = _insert.on_conflict_do_update(index_elements=[_columns.key], set_=_NEW)
_PUT_UNLESS_AFTER = _insert.on_conflict_do_update(
    index_elements=[_columns.key],
    set_=_NEW,
    where=_columns.expires_at <= bindparam("latest", type_=_columns.expires_at.type),
)
_BY_KEY = select(_columns.purpose, _columns.subject, _columns.digest, _columns.expires_at).where(
    _columns.key == bindparam("token_key")
)
_CONSUME = delete(one_time_tokens).where(
    _columns.key == bindparam("token_key"),
    _columns.digest == bindparam("token_digest"),
    _columns.expires_at > bindparam("at"),
)
