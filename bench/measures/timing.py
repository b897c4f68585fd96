"""What the time of an answer tells about a user.

A is the chance that the answer about the first kind of name is slower than the one about the second
kind. Where it is 0.5, the time tells nothing.
"""

import http.client
import json
import random
import subprocess
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias
from urllib.parse import urlencode

from bench.mongod import Mongod
from bench.people import PASSWORD
from bench.report import Row
from bench.server import GATELODGE, Gatelodge, Server, StandIn
from bench.sizes import Sizes

PEOPLE = 12
"""Names of each kind, at most. They take turns, because failures block a name."""

_WRONG = "not the password at all"
_RAISED = {"hash_memory": str(2 * 19456)}

Request: TypeAlias = Callable[[str], tuple[str, str, str]]
"""Returns path, content type and body of the request about a name."""

Ask: TypeAlias = Callable[[str], tuple[int, float]]
"""Sends one request about a name, and returns the status and the seconds until the answer."""


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return A for each pair of kinds, on each database."""
    rows = Store("SQLite", folder / "sqlite", {}).rows(sizes)
    if "MongoDB" not in sizes.databases:
        return rows
    with Mongod(folder / "mongod") as mongod:
        store = Store("MongoDB", folder / "mongodb", {"database": mongod.url})
        return rows + store.rows(sizes)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds of names that must get the same answer after the same time.

    Attributes:
        name: the name of the row.
        one: the first kind; its names have a number behind it.
        other: the second kind.
        status: the status of every answer.
        names: how many names of each kind take turns.
    """

    name: str
    one: str
    other: str
    status: int = 401
    names: int = PEOPLE


_SIGN_IN = (
    Pair("unknown, wrong password", "nobody-a", "wrong"),
    Pair("unknown, disabled", "nobody-b", "disabled"),
    Pair("unknown and blocked, known and blocked", "nobody-blocked", "blocked", 429, names=1),
)
_SETUP = (
    Pair("setup: nobody, user", "nobody-a", "wrong", 410, names=1),
    Pair("setup: nobody, administrator", "nobody-a", "admin", 410, names=1),
)
_STALE = Pair("unknown, not yet rehashed", "nobody-c", "stale")
_CONTROL = Pair("control without dummy hash and grid", "nobody-d", "control")


@dataclass(frozen=True, slots=True)
class Store:
    """One database, which several servers use one after the other."""

    name: str
    folder: Path
    settings: dict[str, str]

    def rows(self, sizes: Sizes) -> list[Row]:
        """Measure every pair of kinds."""
        pairs = sizes.pairs
        limits = {"sign_in_tries_per_account": str(sizes.failures), "sign_in_tries_in_all": "0"}
        given = self.settings | limits
        with Gatelodge(self.folder, **given) as server:
            _make_users(server, min(PEOPLE, pairs))
            _block(server, sizes.failures)
            rows = [self.row(server, _sign_in, pair, pairs) for pair in _SIGN_IN]
            rows += [self.row(server, _set_up, pair, pairs) for pair in _SETUP]
        with Gatelodge(self.folder, **given, **_RAISED) as server:
            rows.append(self.row(server, _sign_in, _STALE, pairs))
        with StandIn(self.folder, "telling", **given) as server:
            rows.append(self.row(server, _sign_in, _CONTROL, pairs))
        return rows

    def row(self, server: Server, request: Request, pair: Pair, pairs: int) -> Row:
        """Ask about both kinds in turn, in an order that changes from pair to pair."""
        seconds: dict[str, list[float]] = {pair.one: [], pair.other: []}
        chance = random.Random(pair.name)
        with _client(server, request) as ask:
            for number in range(pairs):
                for kind in chance.sample(list(seconds), 2):
                    status, took = ask(f"{kind}-{number % pair.names}")
                    if status != pair.status:
                        raise RuntimeError(f"{pair.name}: {kind} got {status}")
                    seconds[kind].append(took)
        medians = [f"{1000 * median(each):.1f}" for each in seconds.values()]
        a = first_is_slower(*seconds.values())
        note = f"{pairs} pairs; medians {' and '.join(medians)} ms"
        return Row(f"{pair.name}, {self.name}", a, "A", note)


def first_is_slower(first: list[float], second: list[float]) -> float:
    """Return the chance that one of the first is more than one of the second; ties count half."""
    ordered = sorted(second)
    wins = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in first) / 2
    return wins / (len(first) * len(second))


def _make_users(server: Server, people: int) -> None:
    kinds = ("wrong", "disabled", "stale", "control")
    for name in ["blocked-0", *(f"{kind}-{number}" for kind in kinds for number in range(people))]:
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        server.post("/api/auth/signup", body)
    for number in range(people):
        _command(server, "disable", f"disabled-{number}")
    _command(server, "create", "admin-0", "admin-0@example.com", "--admin", "--password-stdin")


def _command(server: Server, *arguments: str) -> None:
    subprocess.run(
        [GATELODGE, "user", *arguments],
        env=server.environment,
        input=PASSWORD,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _block(server: Server, failures: int) -> None:
    """Let two names fail until only an operator unblocks them."""

    def fail(name: str) -> None:
        with _client(server, _sign_in) as ask:
            for _ in range(failures):
                ask(name)

    with ThreadPoolExecutor() as threads:
        list(threads.map(fail, ["nobody-blocked-0", "blocked-0"]))


@contextmanager
def _client(server: Server, request: Request) -> Iterator[Ask]:
    """Yield a function that asks over one connection, which stays open."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def ask(name: str) -> tuple[int, float]:
        path, kind, body = request(name)
        headers = {"Content-Type": kind, "Sec-Fetch-Site": "same-origin"}
        began = time.perf_counter()
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        took = time.perf_counter() - began
        response.read()
        return response.status, took

    try:
        yield ask
    finally:
        connection.close()


def _sign_in(name: str) -> tuple[str, str, str]:
    body = json.dumps({"username": name, "password": _WRONG})
    return "/api/auth/signin", "application/json", body


def _set_up(name: str) -> tuple[str, str, str]:
    form = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    return "/setup", "application/x-www-form-urlencoded", urlencode(form)
