"""Pages that an administrator walks through while users come and go."""

import http.client
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench import ROOT
from bench.measures.lists import admin_of, server_over
from bench.mongod import Mongod
from bench.people import PASSWORD
from bench.report import Row
from bench.server import Gatelodge
from bench.sizes import Sizes
from bench.town import Town, build_file, build_mongodb
from gatelodge.clock import SystemClock
from gatelodge.data_folder import DATABASE

LISTS: tuple[dict[str, str], ...] = (
    {"order": "created"},
    {"order": "created", "descending": "false"},
    {"order": "username"},
    {"order": "last_sign_in"},
    {"text": "a"},
    {"role": "support", "order": "username"},
    {"enabled": "true", "order": "last_sign_in"},
)
"""The lists that are walked, each from its first page to its last."""


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how many users a walk missed or met twice on each database, and what went on."""
    town = Town(*sizes.walked_town, SystemClock().now())
    file = folder / "sqlite" / DATABASE
    build_file(file, town)
    rows = _rows(folder / "server", str(file), "SQLite", sizes.passers_rate)
    with Mongod(folder / "mongod") as mongod:
        build_mongodb(mongod.url, town)
        return rows + _rows(folder / "mongodb", mongod.url, "MongoDB", sizes.passers_rate)


def _rows(folder: Path, address: str, store: str, rate: int) -> list[Row]:
    admin = admin_of(address)
    with server_over(folder, address) as server, closing(_Walker(server, admin)) as walker:
        calm = [walker.walk(each) for each in LISTS]
        walker.pages = 0
        with _passers(address, rate) as passed:
            busy = [walker.walk(each) for each in LISTS]
    wrong = sum(differences(*pair) for pair in zip(calm, busy, strict=True))
    changes, seconds = passed["changes"], passed["seconds"]
    met = sum(len(set(b) - set(c)) for c, b in zip(calm, busy, strict=True))
    return [
        Row(f"users who came or went, {store}", changes / seconds, "1/s"),
        Row(f"pages walked meanwhile, {store}", walker.pages, "", f"in {seconds:.0f} seconds"),
        Row(f"users in these lists who stayed, {store}", sum(map(len, calm)), ""),
        Row(
            f"of them missed, met twice or in another order, {store}",
            wrong,
            "",
            f"{met} who passed by were met",
        ),
    ]


def differences(calm: list[str], busy: list[str]) -> int:
    """Return how many who stayed were not met exactly once, or not in the order of before."""
    stayed = set(calm)
    met = [each for each in busy if each in stayed]
    times = Counter(met)
    wrong = sum(times[each] != 1 for each in calm)
    return wrong or sum(a != b for a, b in zip(calm, met, strict=True))


class _Walker:
    """An administrator who follows lists by the API."""

    def __init__(self, server: Gatelodge, username: str) -> None:
        session = server.post("/api/auth/signin", {"username": username, "password": PASSWORD})
        self._headers = {"Authorization": f"Bearer {session['accessToken']}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.pages = 0

    def close(self) -> None:
        self._connection.close()

    def walk(self, wanted: dict[str, str]) -> list[str]:
        """Return the ids of everybody in a list."""
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = self._get(f"/api/admin/users?{urlencode(wanted | cursor)}")
            found += [each["id"] for each in page["items"]]
            self.pages += 1
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    def _get(self, path: str) -> dict[str, Any]:
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {answer!r}")
        return answer


@contextmanager
def _passers(address: str, rate: int) -> Iterator[dict[str, float]]:
    """Let users come and go until the context ends; it yields what is known then."""
    command = [sys.executable, "-m", "bench.passers", address, str(rate)]
    passed: dict[str, float] = {}
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        time.sleep(1)  # they are at work before the first page
        yield passed
        said, _ = process.communicate(timeout=60)
        if process.returncode:
            raise RuntimeError("nobody came or went")
        passed |= json.loads(said)
