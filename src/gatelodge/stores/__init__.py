"""The stores: one adapter for each database, `sql/` (SQLite) and `mongo/` (MongoDB).

A room below defines a port: a `Protocol` in its `store.py` that says what each method promises.
Both adapters implement all ports, and the same contract tests run against both. A service calls a
port; the adapter turns the call into statements for its database, waits until the change is
durable, and turns driver errors into `AlreadyExists`, `StoreUnavailable` or `OutcomeUnknown`.
`open_stores` chooses the adapter by the address of the database, and imports only that one. The
adapters do not import each other.

Above: `app.py`, which passes the ports to the services; `health/` and `cli/`, for the state of
the database and its migration.
Below: the rooms that define the ports: `accounts/`, `sessions/`, `credentials/`, `tokens/`,
`gate/` and `audit.py`.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from gatelodge.accounts.store import RoleStore, UserStore
from gatelodge.audit import EventStore
from gatelodge.credentials.one_time_tokens import OneTimeTokenStore
from gatelodge.credentials.store import AttemptStore
from gatelodge.errors import ConfigurationError
from gatelodge.gate.feed import ChangeFeed
from gatelodge.sessions.store import SessionStore
from gatelodge.tokens.store import SigningKeyStore


class Database(Protocol):
    """The connection under all stores of one adapter."""

    @property
    def clock_skew(self) -> timedelta:
        """How far the clocks of the servers that use this database may differ."""

    def migrate(self) -> list[str]:
        """Bring the database to the schema of this version; return a line for each step.

        Several processes may call this at the same time. It is synchronous, because it runs before
        the event loop starts.

        Raises:
            ConfigurationError: the database cannot be used, or belongs to another program. Then
                nothing in it is changed.
            StoreUnavailable: MongoDB cannot be reached.
        """

    def exists(self) -> bool:
        """Return whether the address has a database of Gatelodge. Nothing is created or changed.

        It is synchronous, for commands that need an existing database.

        Raises:
            ConfigurationError: the database cannot be read, or belongs to another program.
            StoreUnavailable: MongoDB cannot be reached.
        """

    async def start(self) -> None:
        """Open what the stores need in this process and this event loop.

        Raises:
            StoreUnavailable: the SQLite file cannot be opened now.
        """

    async def stop(self) -> None:
        """Finish the running work, and close."""

    async def ping(self) -> None:
        """Return when the database answers a read.

        Raises:
            StoreUnavailable: the database does not answer.
        """


@dataclass(frozen=True, slots=True)
class Stores:
    """All ports of one database."""

    database: Database
    users: UserStore
    roles: RoleStore
    sessions: SessionStore
    signing_keys: SigningKeyStore
    events: EventStore
    one_time_tokens: OneTimeTokenStore
    attempts: AttemptStore
    feed: ChangeFeed


def open_stores(database: str) -> Stores:
    """Return the stores for a database address; nothing is opened yet.

    Args:
        database: `mongodb://…`, `mongodb+srv://…`, or the path of an SQLite file, with or without
            `sqlite:///` before it.

    Raises:
        ConfigurationError: it is the address of another kind of database.
    """
    if database.startswith(("mongodb://", "mongodb+srv://")):
        from gatelodge.stores.mongo import mongo_stores  # noqa: PLC0415 - only when chosen

        return mongo_stores(database)
    from gatelodge.stores.sql import sql_stores  # noqa: PLC0415 - only when chosen

    path = database.removeprefix("sqlite:///")
    if scheme := _SCHEME.match(path):
        raise ConfigurationError(
            f"GATELODGE_DATABASE: {scheme[0]}… is no database that Gatelodge knows. Write "
            "mongodb://…, or the path of an SQLite file."
        )
    return sql_stores(path)


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


__all__ = ["Database", "Stores", "open_stores"]
