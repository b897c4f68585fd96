"""What it costs to trade a refresh token."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.load import Generator, Load
from bench.mongod import Mongod
from bench.people import let_in, open_session, refresh
from bench.process import LOAD_CORE, SERVER_CORE, Cpu, pin
from bench.report import Row, cost_row, spread
from bench.server import Gatelodge, Server
from bench.sizes import Sizes

AT_A_TIME = 32
_BLOCK = b"\0" * 4096
_SYNCS = 50


@dataclass(frozen=True, slots=True)
class _Round:
    """The result of one round of trades.

    Attributes:
        cpu: CPU seconds of the server for one trade.
        rate: trades per second.
        database: CPU seconds of the database's own process for one trade.
    """

    cpu: Cpu
    rate: float
    database: float = 0.0


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the cost and the rate of trades on SQLite and on MongoDB."""
    return [*_on_sqlite(sizes, folder / "sqlite"), *_on_mongodb(sizes, folder)]


def _on_sqlite(sizes: Sizes, folder: Path) -> list[Row]:
    with Gatelodge(folder) as server:
        rounds = _rounds(sizes, server, lambda: 0.0)
    return [
        *_rows("rotation", rounds),
        Row("fsync", 1000 * _sync_seconds(folder), "ms", f"one block of 4 KiB; median of {_SYNCS}"),
    ]


def _on_mongodb(sizes: Sizes, folder: Path) -> list[Row]:
    with Mongod(folder / "mongod") as mongod:
        pin([mongod.pid], {LOAD_CORE})
        with Gatelodge(folder / "mongodb", database=mongod.url) as server:
            rounds = _rounds(sizes, server, mongod.cpu)
        version = mongod.version()
    name = "rotation, MongoDB"
    beside = cost_row(f"{name}, mongod", [each.database for each in rounds], f"mongod {version}")
    return [*_rows(name, rounds), beside]


def _rounds(sizes: Sizes, server: Server, database_cpu: Callable[[], float]) -> list[_Round]:
    """Run the rounds. Each connection has its own session, and follows its chain of tokens."""
    let_in(server, 1)
    chains = [refresh(open_session(server, 0)["refreshToken"]) for _ in range(AT_A_TIME)]
    server.pin({SERVER_CORE})
    rounds = []
    with Generator({LOAD_CORE}) as generator:
        for _ in range(1 + sizes.rounds):
            before, database = server.cpu(), database_cpu()
            load = Load(server.port, chains, AT_A_TIME, sizes.rotations, chained=True)
            outcome = generator.run(load)
            spent = (server.cpu() - before) / sizes.rotations
            elsewhere = (database_cpu() - database) / sizes.rotations
            rounds.append(_Round(spent, outcome.rate_after(AT_A_TIME), elsewhere))
            chains = outcome.next_requests
    return rounds[1:]  # the first round is a warm-up


def _rows(name: str, rounds: list[_Round]) -> list[Row]:
    rates = [each.rate for each in rounds]
    note = f"{AT_A_TIME} at a time, each with its own session"
    return [
        cost_row(name, [each.cpu.total for each in rounds], note),
        Row(f"{name}, a second", median(rates), "/s", f"server on one core; {spread(rates)}"),
    ]


def _sync_seconds(folder: Path) -> float:
    """Return how long the disk that holds the data takes to make one block durable."""
    with (folder / "sync").open("wb", buffering=0) as file:
        return median(_one_sync(file.fileno()) for _ in range(_SYNCS))


def _one_sync(file: int) -> float:
    os.write(file, _BLOCK)
    began = time.perf_counter()
    os.fsync(file)
    return time.perf_counter() - began
