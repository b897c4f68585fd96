"""Signing keys in SQLite."""

from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.errors import AlreadyExists
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import make, put_event
from gatelodge.stores.sql.tables import signing_keys
from gatelodge.tokens.store import SigningKey, SigningKeyStore


class SqlSigningKeys(SigningKeyStore):
    """The signing keys in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def add(self, key: SigningKey, event: Event) -> None:
        values = {name: getattr(key, name) for name in _COLUMNS}

        def unit(connection: Connection) -> None:
            try:
                connection.execute(insert(signing_keys), values)
            except IntegrityError as error:
                raise AlreadyExists("number") from error
            put_event(connection, event)

        await self._database.write(unit)

    @override
    async def list_keys(self) -> list[SigningKey]:
        query = select(signing_keys).order_by(signing_keys.c.number)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [SigningKey(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    @override
    async def raise_token_life(self, kid: str, seconds: int) -> None:
        change = (
            update(signing_keys)
            .where(signing_keys.c.kid == kid, signing_keys.c.token_life < seconds)
            .values(token_life=seconds)
        )
        await self._database.change(change)

    @override
    async def retire(
        self, kid: str, event: Event, *, retires_at: datetime, gone_at: datetime
    ) -> bool:
        stays = or_(signing_keys.c.gone_at.is_(None), signing_keys.c.gone_at > gone_at)
        change = (
            update(signing_keys)
            .where(signing_keys.c.kid == kid, stays)
            .values(retires_at=retires_at, gone_at=gone_at)
        )
        return await self._database.write(lambda connection: make(connection, change, event))


_COLUMNS = [column.name for column in signing_keys.columns]
