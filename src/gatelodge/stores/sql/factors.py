"""Factors in SQLite: a column of their user."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, select, update
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.credentials.factors import Change, Factors, FactorStore, credential_ids_of
from gatelodge.ids import UserId
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import put_event
from gatelodge.stores.sql.tables import passkeys, users
from gatelodge.stores.sql.users import EVERY_SESSION_ENDS, claim_passkeys


class SqlFactors(FactorStore):
    """The factors in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def change(
        self,
        user_id: UserId,
        change: Change,
        event: Event | None = None,
        *,
        epoch: int | None = None,
        ends_sessions: bool = False,
    ) -> Factors | None:
        def unit(connection: Connection) -> Factors | None:
            # The unit has the write lock: nobody changes the factors before it ends.
            before = _find(connection, user_id, epoch)
            after = None if before is None else change(before)
            if before is None or after is None:
                return None
            _change_ids(connection, user_id, credential_ids_of(before), credential_ids_of(after))
            ends = EVERY_SESSION_ENDS if ends_sessions else {}
            stored = update(users).where(users.c.id == user_id).values(factors=after, **ends)
            connection.execute(stored)
            if event is not None:
                put_event(connection, event)
            return after

        return await self._database.write(unit)


def _find(connection: Connection, user_id: UserId, epoch: int | None) -> Factors | None:
    """Return the factors of a user, or None if there is no such user."""
    query = select(users.c.factors).where(users.c.id == user_id)
    if epoch is not None:
        query = query.where(users.c.epoch == epoch, users.c.disabled_at.is_(None))
    row = connection.execute(query).first()
    return None if row is None else row[0]


def _change_ids(
    connection: Connection, user_id: UserId, before: Collection[str], after: Collection[str]
) -> None:
    """Make passkeys this user's, and let others have those that are not any more.

    Raises:
        AlreadyExists: some user has one of them.
    """
    for each in set(before) - set(after):
        connection.execute(delete(passkeys).where(passkeys.c.credential_id == each))
    claim_passkeys(connection, user_id, set(after) - set(before))
