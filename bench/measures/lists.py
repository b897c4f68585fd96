"""How long an administrator waits for lists in a town of very many users and events.

`python -m bench.measures.lists DATABASE` measures one that `bench.town` has made, by the stores.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeVar
from urllib.parse import urlencode

from bench import ROOT
from bench.load import Generator, Load, get, meanwhile
from bench.mongod import Mongod
from bench.people import PASSWORD, board
from bench.process import CORES, pin
from bench.report import Row, table
from bench.server import Gatelodge
from bench.sizes import Sizes
from bench.town import Town, build_file, build_mongodb
from gatelodge.accounts.search import UserQuery
from gatelodge.admin.users import COUNTED
from gatelodge.audit import EventQuery
from gatelodge.clock import SystemClock, instant
from gatelodge.data_folder import DATABASE
from gatelodge.stores import Stores, open_stores

T = TypeVar("T")

LIMIT = 50
ROUND_OF = 6
"""After how many times of asking for each list there is a round of token checks."""

DEEP = 1_000
"""How many pages are before the one that is called the thousandth."""

Ask = Callable[[], Awaitable[object]]


def user_queries() -> dict[str, list[UserQuery]]:
    """Return lists of users by their names in the figures; those of one name take turns."""
    now = SystemClock().now()
    day, month = now - timedelta(days=1), now - timedelta(days=30)
    every = UserQuery()
    by_name, by_sign_in = (
        UserQuery(order="username", descending=False),
        UserQuery(order="last_sign_in"),
    )
    return {
        "newest": [every, replace(every, descending=False)],
        "by username": [by_name, replace(by_name, descending=True)],
        "by last sign-in": [by_sign_in, replace(by_sign_in, descending=False)],
        "one letter": [UserQuery(text=each) for each in "aemskz"],
        "start of a username": [UserQuery(text=each) for each in ("ann", "lars.m", "zoe", "kai-7")],
        "start of an address": [UserQuery(text=each) for each in ("eva.k1", "noah.wolf99", "x@")],
        "start of a name": [UserQuery(text=each) for each in ("Ann M", "björn ", "Zoë Y", "Émile")],
        "nobody": [UserQuery(text=each) for each in ("qqq", "nobody at all")],
        "few hold the role": [UserQuery(role="admin"), replace(by_name, role="moderator")],
        "many hold the role": [UserQuery(role="support"), replace(by_name, role="editor")],
        "disabled": [UserQuery(enabled=False), replace(by_name, enabled=False)],
        "not verified": [UserQuery(verified=False), replace(by_sign_in, verified=False)],
        "with a factor": [UserQuery(factor="any"), replace(by_name, factor="passkey")],
        "without a factor": [UserQuery(factor="none"), replace(by_sign_in, factor="none")],
        "created yesterday": [UserQuery(created_from=day), replace(by_name, created_from=day)],
        "signed in of late": [
            replace(by_sign_in, signed_in_from=month),
            UserQuery(signed_in_from=day),
        ],
        "several at a time": [
            UserQuery(enabled=False, factor="passkey", verified=False),
            UserQuery(text="a", enabled=False, factor="totp"),
            replace(by_name, role="editor", factor="any", enabled=False),
            replace(by_sign_in, role="support", verified=True, created_from=month),
        ],
        "hardly anybody": [
            replace(by_name, role="editor", enabled=False, factor="passkey", verified=False),
            UserQuery(text="e", role="support", enabled=False, factor="passkey"),
        ],
    }


@dataclass(frozen=True, slots=True)
class Waits:
    """How long answers took, in milliseconds.

    Attributes:
        median: half of them took longer.
        p99: one in a hundred took longer.
        cpu: the CPU time of one answer in this process, on average.
    """

    median: float
    p99: float
    cpu: float = 0.0

    @classmethod
    def of(cls, seconds: list[float], cpu: float = 0.0) -> "Waits":
        """Return the figures of these waits, and of the CPU seconds that they took together."""
        millis = [1_000 * each for each in seconds]
        p99 = quantiles(millis, n=100, method="inclusive")[98]
        return cls(median(millis), p99, 1_000 * cpu / len(seconds))


async def timed(asks: list[Ask], times: int) -> Waits:
    """Return how long these questions take, which take turns."""
    seconds = []
    cpu = time.process_time()
    for number in range(times * len(asks)):
        began = time.perf_counter()
        await asks[number % len(asks)]()
        seconds.append(time.perf_counter() - began)
    return Waits.of(seconds, time.process_time() - cpu)


async def deep(stores: Stores, query: UserQuery, pages: int) -> str | None:
    """Return where a list goes on after so many pages."""
    after = None
    for _ in range(pages):
        page = await stores.users.search(query, after=after, limit=LIMIT)
        after = page.after or after
    return after


async def of_stores(stores: Stores, times: int, pages: int) -> dict[str, Waits]:
    """Return how long the questions to the stores take, by their names."""
    users, found = stores.users, {}
    for name, queries in user_queries().items():
        asks: list[Ask] = [
            lambda query=query: users.search(query, after=None, limit=LIMIT)  # type: ignore[misc]
            for query in queries
        ]
        found[name] = await timed(asks, times)
        counts: list[Ask] = [
            lambda query=query: users.count_matching(query, limit=COUNTED)  # type: ignore[misc]
            for query in queries
        ]
        found[f"{name}, counted"] = await timed(counts, times)
    for query in (
        UserQuery(),
        UserQuery(order="username"),
        UserQuery(order="last_sign_in"),
        UserQuery(text="a"),
    ):
        after = await deep(stores, query, pages)
        ask: Ask = lambda query=query, after=after: users.search(query, after=after, limit=LIMIT)  # type: ignore[misc] # noqa: E731
        found[f"page {pages:,} {query.text or query.order}"] = await timed([ask], times)
    found |= await _of_events(stores, times, pages)
    found["how many users"] = await timed([users.count_users], times)
    now = SystemClock().now()
    days = [now - timedelta(days=day) for day in range(30, -1, -1)]
    found["new users of 30 days"] = await timed([lambda: users.count_created(days)], times)
    return found


async def _of_events(stores: Stores, times: int, pages: int) -> dict[str, Waits]:
    events, now = stores.events, SystemClock().now()
    some = (await events.search(EventQuery(), before=None, limit=20)).events
    who = [each.actor for each in some if each.actor is not None]
    periods = [(now - timedelta(days=day), now - timedelta(days=day - 1)) for day in (200, 9)]
    queries = {
        "newest": [EventQuery()],
        "of a user": [EventQuery(about=each) for each in who],
        "from an address": [EventQuery(address=each.address) for each in some],
        "of a kind": [EventQuery(name=each.name) for each in some],
        "on a day": [EventQuery(since=first, until=last) for first, last in periods],
        "of a kind, from an address": [EventQuery(name=a.name, address=a.address) for a in some],
        "of a kind that never happens, by a user": [EventQuery(actor=who[0], name="x.happened")],
    }
    found = {}
    for name, each in queries.items():
        asks: list[Ask] = [
            lambda query=query: events.search(query, before=None, limit=LIMIT)  # type: ignore[misc]
            for query in each
        ]
        found[f"events {name}"] = await timed(asks, times)
    before = None
    for _ in range(pages):
        before = (await events.search(EventQuery(), before=before, limit=LIMIT)).before or before
    deep_one: Ask = lambda: events.search(EventQuery(), before=before, limit=LIMIT)  # noqa: E731
    return found | {f"events, page {pages:,}": await timed([deep_one], times)}


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how long lists take on each database, and token checks beside them."""
    now = SystemClock().now()
    file = folder / "sqlite" / DATABASE
    build_file(file, Town(*sizes.town, now))
    rows = rows_of(str(file), "SQLite", sizes.list_rounds, sizes.list_pages)
    rows += http_rows(folder / "server", str(file), "SQLite", sizes.list_rounds)
    with Mongod(folder / "mongod") as mongod:
        build_mongodb(mongod.url, Town(*sizes.mongodb_town, now))
        rows += rows_of(mongod.url, "MongoDB", sizes.list_rounds, sizes.list_pages)
        return rows + http_rows(
            folder / "mongodb", mongod.url, "MongoDB", sizes.list_rounds, mongod=mongod.pid
        )


def rows_of(address: str, store: str, times: int, pages: int) -> list[Row]:
    """Return the figures of the stores over a database."""

    async def ask(stores: Stores) -> dict[str, Waits]:
        return await of_stores(stores, times, pages)

    return list(_rows(_asked(address, ask), store))


def _asked(address: str, ask: Callable[[Stores], Coroutine[Any, Any, T]]) -> T:
    """Return the answer of the stores over a database."""

    async def run() -> T:
        stores = open_stores(address)
        await stores.database.start()
        try:
            return await ask(stores)
        finally:
            await stores.database.stop()

    return asyncio.run(run())


def _rows(found: dict[str, Waits], store: str) -> Iterator[Row]:
    for name, waits in found.items():
        note = f"p99 {waits.p99:.0f} ms; {waits.cpu:.1f} ms CPU of this process"
        yield Row(f"{name}, {store}", waits.median, "ms", note)
    yield Row(f"slowest list, median, {store}", max(each.median for each in found.values()), "ms")
    yield Row(f"slowest list, p99, {store}", max(each.p99 for each in found.values()), "ms")


def http_rows(
    folder: Path, address: str, store: str, times: int, *, mongod: int | None = None
) -> list[Row]:
    """Return how long the API takes for lists, and how long token checks wait beside them.

    Where the database is a process, the checks are measured once more: they and the server have the
    first core, all others the last one, as if these were on another machine.

    Args:
        folder: keeps the log of the server.
        address: the database, which `bench.town` has made.
        store: what the rows call it.
        times: how many times each list is asked for.
        mongod: the id of the process of the database, or None if the server runs its queries.
    """
    admin = admin_of(address)
    first, last = {CORES[0]}, {CORES[-1]}
    with server_over(folder, address) as server, Generator(last) as generator:
        session = server.post("/api/auth/signin", {"username": admin, "password": PASSWORD})
        token = session["accessToken"]
        lists = [
            get(f"/api/admin/users?{_parameters(query)}", token)
            for queries in user_queries().values()
            for query in queries
        ]
        outcome = generator.run(Load(server.port, lists, count=times * len(lists)))
        waits = Waits.of(outcome.waits)
        rows = [
            Row(f"API, all lists, median, {store}", waits.median, "ms"),
            Row(f"API, all lists, p99, {store}", waits.p99, "ms", "also the number of matches"),
        ]
        boards = Load(server.port, [board(token)], seconds=10, pause=0.005)
        several = max(1, times // ROUND_OF)
        rounds = [_round(generator, boards, lists, address, set(CORES)) for _ in range(several)]
        rows += _check_rows(rounds, store)
        if mongod is not None:
            pin([mongod], last)
            server.pin(first)
            with Generator(first) as beside:
                rounds = [_round(beside, boards, lists, address, last) for _ in range(several)]
            rows += _check_rows(rounds, f"{store} on a core of its own")
    return rows


def _check_rows(rounds: list[tuple[Waits, Waits, Waits]], store: str) -> list[Row]:
    alone, busy, control = (median(each.p99 for each in some) for some in zip(*rounds, strict=True))
    ratio = median(busy.p99 / alone.p99 for alone, busy, _ in rounds)
    return [
        Row(f"token check alone, p99, {store}", alone, "ms", "nobody asks for lists"),
        Row(f"token check beside lists, p99, {store}", busy, "ms", "about ten lists a second"),
        Row(f"token check beside lists, p99 ratio, {store}", ratio, "×", f"{len(rounds)} rounds"),
        Row(
            f"token check beside lists of another process, p99, {store}",
            control,
            "ms",
            "which asks the database for the same lists",
        ),
    ]


def _round(
    generator: Generator, boards: Load, lists: list[str], address: str, cores: set[int]
) -> tuple[Waits, Waits, Waits]:
    """Return how long token checks take alone, beside lists, and beside those of others.

    Args:
        generator: sends the token checks.
        boards: the token checks.
        lists: requests for lists.
        address: the database.
        cores: those of whoever asks for lists.
    """
    alone = generator.run(boards)
    with meanwhile(Load(boards.port, lists, seconds=60, pause=0.1), cores=cores):
        beside = generator.run(boards)
    with _others_asking(address, cores):
        control = generator.run(boards)
    return Waits.of(alone.waits), Waits.of(beside.waits), Waits.of(control.waits)


@contextmanager
def _others_asking(address: str, cores: set[int]) -> Iterator[None]:
    """Let another process ask the database for lists, until the context ends."""
    command = [sys.executable, "-m", "bench.askers", address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None or process.stdout.readline() != b"asking\n":
                raise RuntimeError("nobody asks for lists")
            pin([process.pid], cores)
            yield
        finally:
            process.terminate()


def server_over(folder: Path, address: str) -> Gatelodge:
    """Return a server, not yet started, over a database that `bench.town` has made."""
    if address.startswith("mongodb"):
        return Gatelodge(folder, database=address)
    return Gatelodge(folder, data_dir=str(Path(address).parent))


def admin_of(address: str) -> str:
    """Return the username of somebody who holds `admin`."""

    async def ask(stores: Stores) -> str:
        query = UserQuery(role="admin", enabled=True, factor="none")
        return (await stores.users.search(query, after=None, limit=1)).users[0].username

    return _asked(address, ask)


def _parameters(query: UserQuery) -> str:
    """Return the parameters with which the API is asked for a list."""
    given = {
        "text": query.text or None,
        "role": query.role,
        "factor": query.factor,
        "enabled": query.enabled,
        "verified": query.verified,
        "createdFrom": query.created_from,
        "signedInFrom": query.signed_in_from,
        "order": query.order,
        "descending": query.descending,
    }
    return urlencode({name: _said(value) for name, value in given.items() if value is not None})


def _said(value: object) -> str:
    if isinstance(value, datetime):
        return str(instant(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    print(table("Lists", rows_of(sys.argv[1], "this database", 30, DEEP)))
