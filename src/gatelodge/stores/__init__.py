"""The stores: one adapter for each database, `sql/` (SQLite) and `mongo/` (MongoDB).

A room below defines a port: a `Protocol` in its `store.py` that says what each method promises.
Both adapters implement all ports, and the same contract tests run against both. A service calls a
port; the adapter turns the call into statements for its database, waits until the change is
durable, and turns driver errors into `AlreadyExists`, `StoreUnavailable` or `OutcomeUnknown`.
`open_stores` chooses the adapter by the address of the database, and imports only that one. The
adapters do not import each other.

Above: `foundation.py`, which passes the ports to the services; `health/` and `cli/`, for the state
of the database and its migration.
Below: the rooms that define the ports: `accounts/`, `sessions/`, `credentials/`, `tokens/`,
`subscriptions/`, `letters/`, `gate/`, `audit.py` and `tallies.py`.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from gatelodge.accounts.store import RoleStore, UserStore
from gatelodge.audit import Event, EventStore
from gatelodge.credentials.factors import FactorStore
from gatelodge.credentials.one_time_tokens import OneTimeTokenStore
from gatelodge.credentials.store import AttemptStore
from gatelodge.errors import ConfigurationError
from gatelodge.gate.feed import ChangeFeed
from gatelodge.letters.store import LetterStore
from gatelodge.sessions.store import SessionStore
from gatelodge.subscriptions.store import SubscriptionStore
from gatelodge.tallies import TallyStore
from gatelodge.tokens.store import SigningKeyStore


def ignore(_line: str) -> None:
    """Do nothing with a line about a step."""


Schema: TypeAlias = Literal["current", "unfinished", "older"]
"""`older`: the stores cannot use the database before it is migrated. `unfinished`: they can, but
`migrate` has still to make what keeps searches and sweeps fast."""


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a database says of itself.

    Attributes:
        kind: an SQLite file, a replica set, a single MongoDB server, or a sharded cluster.
        clock_behind: how far this machine's clock is behind the database's; negative: ahead. An
            SQLite file has no clock: how far its newest event lies in the future.
        members: the members of the replica set that hold data.
        arbiters: the members that only vote.
    """

    kind: Literal["file", "replica_set", "standalone", "sharded"]
    clock_behind: timedelta
    members: int = 1
    arbiters: int = 0


@dataclass(slots=True)
class Replacement:
    """A checked copy that takes the place of a database.

    Attributes:
        sealed_keys: the signing keys in the copy by their ids, still encrypted.
        set_aside: where the files of the database are now; known when the context has ended.
    """

    sealed_keys: dict[str, bytes]
    set_aside: list[Path] = field(default_factory=list)


class Copies(Protocol):
    """Copies of one database. The methods are synchronous."""

    def write(self, file: Path) -> None:
        """Fill an empty file with a complete copy in the state of one moment, and check it.

        Servers may go on writing meanwhile.

        Raises:
            ConfigurationError: the database cannot be read, or the file cannot be written.
            NotABackup: the database is damaged.
        """

    def record(self, event: Event) -> None:
        """Store an event in the database, of whatever version it is; it is durable then.

        Raises:
            StoreUnavailable: it could not be stored.
        """

    def replacing(self, file: Path, event: Event) -> AbstractContextManager[Replacement]:
        """Check a copy, and put it in place of the database when the context ends.

        Until then, and if the context ends with an exception, the database stays as it is.
        Its files are moved aside, under names with the time; nothing is deleted.

        Args:
            file: the copy; it stays where it is.
            event: what happens; it is stored in the new database before that takes its place.

        Raises:
            NotABackup: the file is no sound copy of a database of this or an older version.
            DatabaseInUse: a server, a command or another program uses the database.
            ConfigurationError: the database belongs to another program, or cannot be replaced.
        """


class Database(Protocol):
    """The connection under all stores of one adapter."""

    @property
    def clock_skew(self) -> timedelta:
        """How far the clocks of the servers that use this database may differ."""

    @property
    def copies(self) -> Copies:
        """What copies the database, and replaces it by a copy.

        Raises:
            ConfigurationError: the tools of the database do that.
        """

    def hold(self) -> AbstractContextManager[None]:
        """Keep the database from being replaced until the context ends.

        A server holds it for its life, and its forked workers share that. A command holds it while
        it runs. Any number of processes may hold it.

        Raises:
            ConfigurationError: it is being replaced now, or belongs to another program.
        """

    def migrate(self, watch: Callable[[str], None] = ignore) -> list[str]:
        """Bring the database to the schema of this version; return a line for each step.

        Several processes may call this at the same time. It is synchronous, because it runs before
        the event loop starts. A step that takes long in a large database is made of short ones, so
        that servers that use the database go on meanwhile.

        Args:
            watch: called with a line about such a step, again and again while it runs.

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

    async def examine(self, now: Callable[[], datetime]) -> DatabaseState:
        """Return what the database says of itself, for use after `start`.

        Args:
            now: tells the time of this machine.

        Raises:
            StoreUnavailable: the database does not answer.
        """

    async def schema(self) -> Schema:
        """Return whether `migrate` has something to do, for use after `start`. It changes nothing.

        Raises:
            ConfigurationError: the database was made by a newer version; `migrate` refuses it too.
            StoreUnavailable: the database does not answer.
        """

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
    factors: FactorStore
    roles: RoleStore
    sessions: SessionStore
    signing_keys: SigningKeyStore
    events: EventStore
    one_time_tokens: OneTimeTokenStore
    attempts: AttemptStore
    subscriptions: SubscriptionStore
    letters: LetterStore
    tallies: TallyStore
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
            "mongodb://…, or the path of an SQLite file (as ./… if it has a colon)."
        )
    return sql_stores(path)


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://)?|:[a-z]*")
"""How an address begins, such as `postgresql://` and `file:`, and the `:memory:` of SQLite."""


__all__ = ["Copies", "Database", "DatabaseState", "Replacement", "Stores", "open_stores"]
