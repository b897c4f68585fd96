"""The connection of all MongoDB stores, and the collections and indexes of the database."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit

from pymongo import AsyncMongoClient, MongoClient, timeout
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid, ConnectionFailure, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.collection import Collection
from pymongo.synchronous.database import Database as SyncDatabase
from pymongo.topology_description import TopologyDescription
from pymongo.uri_parser import split_options
from typing_extensions import override

from gatelodge.errors import ConfigurationError, StoreUnavailable
from gatelodge.stores import Copies, Database, DatabaseState, Schema, event_search, ignore
from gatelodge.stores.mongo.failures import RETRY_AFTER, is_of_name_servers, reading, reason_of
from gatelodge.stores.mongo.records import Document
from gatelodge.stores.mongo.unnamed import WITHOUT_KEY, complete_all
from gatelodge.tasks import Work, end, repeat
from gatelodge.verdicts import MAX_NAME

DEFAULT_NAME = "gatelodge"

# Options that the address cannot change. With them, an acknowledged write survives the loss of a
# node, and every later read sees it.
_SAFETY: dict[str, Any] = {
    "w": "majority",
    "journal": True,
    "readConcernLevel": "majority",
    "readPreference": "primary",
    "retryWrites": True,
    "retryReads": True,
    "tz_aware": True,
    "tzinfo": UTC,
}

# Options that the address may change. The driver asks each node twice a second whether it is there.
# After `heartbeatFrequencyMS` and `connectTimeoutMS` without an answer it gives up the node, and
# repeats what it had asked there. For that it looks for a primary for `serverSelectionTimeoutMS`.
# So if there is no primary, the refusal comes within six seconds.
_PATIENCE: dict[str, Any] = {
    "appname": "gatelodge",
    "heartbeatFrequencyMS": 500,
    "connectTimeoutMS": 1_500,
    "serverSelectionTimeoutMS": 3_750,
    "waitQueueTimeoutMS": 3_750,
    "wTimeoutMS": 3_000,
    "socketTimeoutMS": 6_000,
}

_CLOCK_SKEW = timedelta(seconds=30)
"""Servers run on several machines; the same leeway as for tokens (security.md, section 3)."""

_LINEARIZABLE_MILLISECONDS = 3_000
_ELECTION_SECONDS = 30
_UNREACHABLE_SECONDS = 6
"""How long a migration waits for any node to answer; the process takes a while to start, too."""

_LONGEST_BUILD = timedelta(hours=6)
_MANY = 10_000
"""Documents of a collection; an index of fewer is made in a moment."""

_CHORES_EVERY = timedelta(minutes=5)
_NAMESPACE_EXISTS = 48

T = TypeVar("T")

Term: TypeAlias = frozenset[tuple[object, object]]
"""The nodes that take writes, each with the election that made it the primary."""


@dataclass(frozen=True, slots=True)
class _Index:
    """An index.

    Attributes:
        collection: its collection.
        keys: the fields, from the lowest value to the highest.
        sparse: whether documents without these fields are left out.
        only: what documents match that are in it; None: all.
    """

    collection: str
    keys: tuple[str, ...]
    sparse: bool = False
    only: Document | None = None

    @property
    def name(self) -> str:
        return "_".join(self.keys)


_COLLECTIONS = (
    "users",
    "names",
    "roles",
    "sessions",
    "signing_keys",
    "events",
    "one_time_tokens",
    "attempts",
    "queues",
    "subscriptions",
    "messages",
    "letters",
    "tallies",
)

WITH_EVENTS = (
    "users",
    "sessions",
    "roles",
    "signing_keys",
    "one_time_tokens",
    "attempts",
    "subscriptions",
    "messages",
    "letters",
)
"""The collections whose documents carry the events of their changes; see `outbox.py`."""

# No index is unique: on a sharded cluster, a unique index must contain the shard key. So every
# value that must be unique is an `_id`.
_INDEXES = (
    _Index("users", ("roles", "disabled_at")),
    _Index("users", ("leaving",), sparse=True),
    _Index("users", ("created_at", "_id")),
    _Index("users", ("last_sign_in_at", "_id")),
    _Index("users", ("username_key", "_id")),
    _Index("users", ("email_key", "_id")),
    _Index("users", ("name_key", "_id"), only={"name_key": {"$exists": True}}),
    _Index("users", ("name", "_id"), only=WITHOUT_KEY),
    _Index("users", ("factors.kind", "created_at", "_id")),
    _Index("users", ("email_verified_at", "created_at", "_id")),
    _Index("users", ("created_at", "_id", "disabled_at"), only={"disabled_at": {"$exists": True}}),
    *(_Index(name, ("outbox._id",), sparse=True) for name in WITH_EVENTS),
    _Index("names", ("unsettled_at",), sparse=True),
    _Index("sessions", ("user_id", "_id")),
    _Index("sessions", ("address", "_id")),
    _Index("sessions", ("expires_at",)),
    _Index("sessions", ("revoked_at",), sparse=True),
    *(
        _Index("events", (field, "_id"), only={field: {"$exists": True}})
        for field in event_search.FIELDS
    ),
    _Index("attempts", ("forget_at",)),
    _Index("subscriptions", ("events",)),
    _Index("subscriptions", ("removed",), sparse=True),
    _Index("messages", ("subscription", "due_at")),
    _Index("one_time_tokens", ("expires_at",)),
    _Index("letters", ("state", "due_at", "_id")),
    _Index("letters", ("state", "_id")),
    _Index("letters", ("to_key", "created_at")),
    _Index("letters", ("ended_at",), sparse=True),
)


class MongoDatabase(Database):
    """One database of a MongoDB deployment."""

    def __init__(self, address: str) -> None:
        """Use the database at this address; nothing is opened yet."""
        self._address = address
        self._client: AsyncMongoClient[Document] | None = None
        self._chores: list[Work] = []
        self._working: list[asyncio.Task[None]] = []
        self._listener: Callable[[str], None] = _nobody_listens
        self._settled: Term | None = None
        self._described: TopologyDescription | None = None
        self._described_term: Term = frozenset()

    @property
    def client(self) -> AsyncMongoClient[Document]:
        """The client of this process and event loop; `start` makes it."""
        if self._client is None:
            raise RuntimeError("the database was not started")
        return self._client

    @property
    def database(self) -> AsyncDatabase[Document]:
        """The database that the address names, for use after `start`."""
        return self.client.get_default_database(DEFAULT_NAME)

    def collection(self, name: str) -> AsyncCollection[Document]:
        """Return a collection, for use after `start`."""
        return self.database[name]

    async def settled(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what a read finds that sees every acknowledged change.

        A node that has just become the primary has all these changes, and does not know yet that a
        majority has them: majority reads may return what was there before. It knows from its first
        confirmed write on. One linearizable read waits until then. So there is one for each primary
        that has confirmed no write of ours yet, and the read is repeated after it.
        Source: MongoDB Manual, "Read Concern linearizable".

        Args:
            read: reads from the primary, by a majority.

        Raises:
            StoreUnavailable: there is no primary, or it does not answer.
        """
        found = await read()
        while self._settled != (term := self._term()):
            with reading():
                await (
                    self.collection("sessions")
                    .with_options(read_concern=ReadConcern("linearizable"))
                    .find_one({"_id": ""}, max_time_ms=_LINEARIZABLE_MILLISECONDS)
                )
            self._settled = term
            found = await read()
        return found

    @contextmanager
    def confirming(self) -> Iterator[None]:
        """Note that a majority has confirmed a write; then `settled` has nothing to wait for."""
        before = self._term()
        yield
        if before and before == self._term():
            self._settled = before

    def _term(self) -> Term:
        """Return which node is the primary, and by which election.

        The driver makes a new description whenever it hears of a node, twice a second.
        """
        described = self.client.topology_description
        if described is not self._described:
            nodes = described.server_descriptions().values()
            self._described_term = frozenset(
                (node.address, node.election_id) for node in nodes if node.is_writable
            )
            self._described = described
        return self._described_term

    def repeat(self, chore: Work) -> None:
        """Run a chore about every five minutes, between `start` and `stop`."""
        self._chores.append(chore)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call the listener for each change by this process, before the change is acknowledged."""
        self._listener = listener

    @contextmanager
    def announcing(self, changed: str) -> Iterator[None]:
        """Call the listener after a change that affects token checks, even if the change fails.

        Args:
            changed: the id of the user, session or role.
        """
        try:
            yield
        finally:
            self._listener(changed)

    async def is_replica_set(self) -> bool:
        """Return whether this is a replica set: not a standalone `mongod`, and not a `mongos`."""
        return "setName" in await self.client.admin.command("hello")

    @property
    @override
    def clock_skew(self) -> timedelta:
        return _CLOCK_SKEW

    @property
    @override
    def copies(self) -> Copies:
        raise ConfigurationError(
            "Gatelodge copies SQLite files only: for MongoDB, use mongodump and mongorestore."
        )

    @override
    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()

    @override
    def exists(self) -> bool:
        return bool(self._ask(_is_ours))

    @override
    def migrate(self, watch: Callable[[str], None] = ignore) -> list[str]:
        """Create the missing collections and indexes; return a line for each.

        MongoDB builds indexes while others read and write. Names without keys get them in pages.

        While a replica set elects its primary, this waits up to 30 seconds. If no node answers at
        all, it gives up within ten: then an election is not what it waits for.

        Raises:
            StoreUnavailable: no node answered, or no primary was found in time.
            ConfigurationError: the address is wrong, the server refuses the user, or the database
                belongs to another program. Then nothing in it is changed.
        """
        return self._ask(lambda database: _migrate_patiently(database, watch))

    def _ask(self, work: Callable[[SyncDatabase[Document]], T]) -> T:
        """Run synchronous work in the database, before the event loop starts."""
        try:
            with MongoClient[Document](self._address, **_options(self._address)) as client:
                return work(client.get_default_database(DEFAULT_NAME))
        except ConnectionFailure as error:
            message = f"MongoDB cannot be reached: {reason_of(error)}"
            raise StoreUnavailable(message, retry_after=RETRY_AFTER) from error
        except (PyMongoError, ValueError) as error:  # ValueError: the address is malformed
            if is_of_name_servers(error):
                message = "MongoDB cannot be reached: no name server knows GATELODGE_DATABASE."
                raise StoreUnavailable(message, retry_after=RETRY_AFTER) from error
            raise ConfigurationError(f"MongoDB cannot be used: {reason_of(error)}") from None

    @override
    async def start(self) -> None:
        """Make the client of this event loop, which connects at its first use; start the chores."""
        self._client = AsyncMongoClient[Document](self._address, **_options(self._address))
        self._working = [asyncio.create_task(repeat(chore, _chore_pause)) for chore in self._chores]

    @override
    async def stop(self) -> None:
        """Stop the chores, and close the client."""
        await end(*self._working)
        self._working = []
        if self._client is not None:
            await self._client.close()
        self._client = None

    @override
    async def examine(self, now: Callable[[], datetime]) -> DatabaseState:
        before = now()
        with reading():
            hello = await self.client.admin.command("hello")
        behind = hello["localTime"].replace(tzinfo=UTC) - (before + (now() - before) / 2)
        if "setName" not in hello:  # `mongos` says `isdbgrid` in `msg`
            return DatabaseState("sharded" if "msg" in hello else "standalone", behind)
        members = len(hello.get("hosts", ())) + len(hello.get("passives", ()))
        return DatabaseState(
            "replica_set", behind, members=members, arbiters=len(hello.get("arbiters", ()))
        )

    @override
    async def schema(self) -> Schema:
        """Return whether something is missing. Documents of all versions can be read."""
        with reading():
            there = await self.database.list_collection_names()
            if not set(_COLLECTIONS) <= set(there):
                return "unfinished"
            for name in {index.collection for index in _INDEXES}:
                made = await self.collection(name).index_information()
                if not {each.name for each in _INDEXES if each.collection == name} <= made.keys():
                    return "unfinished"
            unnamed = await self.collection("users").find_one(WITHOUT_KEY, projection=["_id"])
        return "current" if unnamed is None else "unfinished"

    @override
    async def ping(self) -> None:
        """Return when the primary answers a read."""
        with reading():
            await self.collection("roles").find_one({}, projection=["_id"])


def _nobody_listens(_changed: str) -> None:
    """Do nothing: before `listen`, nobody remembers anything."""


def _options(address: str) -> dict[str, Any]:
    """Return the options beside those of the address.

    Raises:
        ConfigurationError: the address has an option that MongoDB's driver does not know, or with a
            value that it would ignore.
        ValueError: the address is malformed.
    """
    parts = urlsplit(address)
    if "@" in parts.query and not parts.path:
        raise ValueError("a password with a question mark")
    _check_options(parts.query)
    given = {name.lower() for name in parse_qs(parts.query, keep_blank_values=True)}
    patience = {name: value for name, value in _PATIENCE.items() if name.lower() not in given}
    return _SAFETY | patience


def _check_options(query: str) -> None:
    """Refuse a wrong option. The driver only warns, in words for programmers, and goes on without.

    Raises:
        ConfigurationError: an option is wrong; its value is not shown.
    """
    for option in filter(None, re.split("[&;]", query)):
        try:
            split_options(option, validate=True, warn=False)
        except (PyMongoError, ValueError, TypeError):
            name = ascii(option.partition("=")[0])[1:-1][:MAX_NAME]
            raise ConfigurationError(
                f"GATELODGE_DATABASE: MongoDB knows no option {name}, or not with this value. "
                "Correct it, or remove it."
            ) from None


def _migrate_patiently(database: SyncDatabase[Document], watch: Callable[[str], None]) -> list[str]:
    began = time.monotonic()
    while True:
        try:
            _is_ours(database)
            steps = _make_collections(database) + _make_indexes(database, watch)
            return steps + complete_all(database, watch)
        except ConnectionFailure as error:
            if not _any_node_answers(database, began + _UNREACHABLE_SECONDS):
                raise
            if time.monotonic() > began + _ELECTION_SECONDS:
                raise StoreUnavailable(
                    f"MongoDB answers, but had no primary for {_ELECTION_SECONDS} seconds.",
                    retry_after=RETRY_AFTER,
                ) from error
            time.sleep(0.2)


def _any_node_answers(database: SyncDatabase[Document], deadline: float) -> bool:
    """Return whether the driver's monitors reach a node, at the latest at the deadline."""
    while True:
        nodes = database.client.topology_description.server_descriptions().values()
        if any(node.server_type_name != "Unknown" for node in nodes):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def _is_ours(database: SyncDatabase[Document]) -> bool:
    """Return whether the database has collections of Gatelodge.

    Raises:
        ConfigurationError: it has users or roles of another program, such as the tutorial's.
    """
    names = set(database.list_collection_names())
    foreign = [
        name
        for name in ("users", "roles")
        if name in names and database[name].find_one(_OF_ANOTHER_PROGRAM, projection=["_id"])
    ]
    if foreign:
        raise ConfigurationError(
            f"The MongoDB database {database.name} belongs to another program: it has "
            f"{' and '.join(foreign)} of its own. Nothing in it was changed. Name another database "
            "in GATELODGE_DATABASE."
        )
    return "signing_keys" in names


_OF_ANOTHER_PROGRAM: Document = {"_id": {"$not": {"$type": "string"}}}
"""Matches documents of other programs, whose ids usually are `ObjectId`s; ours are strings."""


def _make_collections(database: SyncDatabase[Document]) -> list[str]:
    missing = set(_COLLECTIONS) - set(database.list_collection_names())
    return [
        f"created collection {name}"
        for name in _COLLECTIONS
        if name in missing and _make_collection(database, name)
    ]


def _make_collection(database: SyncDatabase[Document], name: str) -> bool:
    try:
        database.create_collection(name)
    except CollectionInvalid:  # another server created it before the driver checked
        return False
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:  # another server created it after the check
            raise
        return False
    return True


def _make_indexes(database: SyncDatabase[Document], watch: Callable[[str], None]) -> list[str]:
    steps = []
    for index in _INDEXES:
        collection = database[index.collection]
        if index.name not in collection.index_information():
            if collection.estimated_document_count() > _MANY:
                watch(f"making index {index.collection}.{index.name}")
            _make_index(collection, index)
            steps.append(f"created index {index.collection}.{index.name}")
    return steps


def _make_index(collection: Collection[Document], index: _Index) -> None:
    keys = [(key, 1) for key in index.keys]
    with timeout(_LONGEST_BUILD.total_seconds()):  # in place of those of the client
        if index.only is None:
            collection.create_index(keys, name=index.name, sparse=index.sparse)
        else:
            collection.create_index(keys, name=index.name, partialFilterExpression=index.only)


def _chore_pause() -> timedelta:
    """Return a random pause, so that servers started together do not sweep at the same time."""
    return _CHORES_EVERY * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
