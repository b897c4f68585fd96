"""Signing keys in SQL."""

from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from gatelodge.errors import AlreadyExists
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import signing_keys
from gatelodge.tokens.store import SigningKey


class SqlSigningKeys:
    """The `SigningKeyStore` over one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Work over this database."""
        self._database = database

    async def add(self, key: SigningKey) -> None:
        """Keep a new key."""
        values = {name: getattr(key, name) for name in _COLUMNS}

        def unit(connection: Connection) -> None:
            try:
                connection.execute(insert(signing_keys), values)
            except IntegrityError as error:
                raise AlreadyExists("number") from error

        await self._database.write(unit)

    async def list_keys(self) -> list[SigningKey]:
        """Return every key, in order of number."""
        query = select(signing_keys).order_by(signing_keys.c.number)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [SigningKey(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    async def retire(self, kid: str, *, retires_at: datetime, gone_at: datetime) -> bool:
        """Set when a key stops signing and verifying, where that is earlier than before."""
        stays = or_(signing_keys.c.gone_at.is_(None), signing_keys.c.gone_at > gone_at)
        change = (
            update(signing_keys)
            .where(signing_keys.c.kid == kid, stays)
            .values(retires_at=retires_at, gone_at=gone_at)
        )
        return await self._database.write(
            lambda connection: connection.execute(change).rowcount == 1
        )


_COLUMNS = [column.name for column in signing_keys.columns]
