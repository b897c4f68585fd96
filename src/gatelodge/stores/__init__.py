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
        """By how much the clocks of servers on this database may differ from one another."""

    def migrate(self) -> list[str]:
        """Bring the database to the shape this version needs; safe to call from many at once.

        Synchronous, since it runs before any event loop. Returns a line for each step taken.
        """

    def exists(self) -> bool:
        """Say whether there is a database of ours at the address; nothing is made or changed.

        Synchronous, for commands that work on what is there.

        Raises:
            ConfigurationError: it cannot be looked at, or is the database of another program.
        """

    async def start(self) -> None:
        """Open what the stores need in this process and this event loop."""

    async def stop(self) -> None:
        """Finish what was begun and close."""

    async def ping(self) -> None:
        """Return when the database answers a read.

        Raises:
            StoreUnavailable: it does not.
        """


@dataclass(frozen=True, slots=True)
class Stores:
    """Every port, over one database."""

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
    """Return the stores for a database, by its address.

    Args:
        database: `mongodb://…` or `mongodb+srv://…`, else the path of an SQLite file, with or
            without `sqlite:///` before it.

    Raises:
        ConfigurationError: it is the address of a database that Gatelodge does not know.
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
