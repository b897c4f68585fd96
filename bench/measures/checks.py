"""What a token check costs, compared with a static answer and with other ways to check."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.load import Generator, Load, run
from bench.people import board, board_by_cookie, let_in, verify
from bench.process import LOAD_CORE, SERVER_CORE
from bench.report import Row, cost_row, spread
from bench.server import Gatelodge, Server, StandIn
from bench.sizes import Sizes
from bench.stand_ins import STATEMENTS

AT_A_TIME = 32
WARM = 1_000
LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of request to one server.

    Attributes:
        share: the factor for the number of requests in a round; below 1 where a request is slow.
    """

    name: str
    note: str
    server: Server
    request: str
    share: float = 1.0


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the CPU time of each kind of check, its ratio to the limit, and its reads."""
    with _kinds(folder) as kinds, Generator({LOAD_CORE}) as generator:
        for kind in kinds:
            _cpu_each(generator, kind, sizes.checks)  # a warm-up, not measured
        rounds = list(_rounds(sizes, generator, kinds))
    costs = {kind: [each[kind.name] for each in rounds] for kind in kinds}
    rows = [cost_row(kind.name, seconds, kind.note) for kind, seconds in costs.items()]
    ratios = [_ratio(kind.name, rounds) for kind in kinds if kind.name != LIMIT]
    return [*rows, *ratios, _reads(folder / "counted")]


@contextmanager
def _kinds(folder: Path) -> Iterator[list[_Kind]]:
    with ExitStack() as stack:
        ours = stack.enter_context(Gatelodge(folder / "gatelodge"))
        others = {
            name: stack.enter_context(StandIn(folder / name, name))
            for name in ("bare", "limit", "fastapi", "database")
        }
        token = let_in(ours, 1)[0]
        for server in (ours, *others.values()):
            server.pin({SERVER_CORE})
        yield [
            _Kind("limit, bare", "static text, two headers", others["bare"], board(token)),
            _Kind(LIMIT, "static, the same bytes as the board", others["limit"], board(token)),
            _Kind("token check", "bearer token, the board", ours, board(token)),
            _Kind(
                "token check, cookie",
                "the same, with the token in a cookie",
                ours,
                board_by_cookie(token, ours.port),
            ),
            _Kind(
                "token check, forward-auth",
                "/api/auth/verify, which also names the caller in headers",
                ours,
                verify(token),
            ),
            *_other_ways(others),
        ]


def _other_ways(servers: Mapping[str, Server]) -> list[_Kind]:
    fastapi, database = servers["fastapi"], servers["database"]
    return [
        _Kind(
            "token check, FastAPI alone",
            "also from memory, without the fast door",
            fastapi,
            board(let_in(fastapi, 1)[0]),
            0.25,
        ),
        _Kind(
            "token check, database read",
            "each time the signature is checked, and user and session are read",
            database,
            board(let_in(database, 1)[0]),
            0.25,
        ),
    ]


def _rounds(sizes: Sizes, generator: Generator, kinds: list[_Kind]) -> Iterator[dict[str, float]]:
    order = random.Random(1)
    for _ in range(sizes.check_rounds):
        costs = defaultdict[str, float](float)
        for kind in order.sample(kinds, len(kinds)):
            costs[kind.name] = _cpu_each(generator, kind, sizes.checks)
        yield costs


def _cpu_each(generator: Generator, kind: _Kind, checks: int) -> float:
    count = max(AT_A_TIME, int(checks * kind.share))
    load = Load(kind.server.port, [kind.request], AT_A_TIME, count)
    return kind.server.cpu_each(generator, load).total


def _ratio(name: str, rounds: list[dict[str, float]]) -> Row:
    ratios = [each[name] / each[LIMIT] for each in rounds]
    return Row(f"{name} / limit", median(ratios), "×", f"ratio within a round; {spread(ratios, 2)}")


def _reads(folder: Path) -> Row:
    """Count how often a server reads its database for callers that it knows from memory."""
    with StandIn(folder, "counted") as server:
        token = let_in(server, 1)[0]
        requests = [board(token), board_by_cookie(token, server.port), verify(token)]
        unknown = int(server.get(STATEMENTS))
        run(Load(server.port, requests, 1, len(requests)))
        known = int(server.get(STATEMENTS))
        if known == unknown:
            raise RuntimeError("the first check read nothing: the counter does not work")
        run(Load(server.port, requests, AT_A_TIME, WARM))
        reads = int(server.get(STATEMENTS)) - known
    note = "statements that read a table; bearer, cookie and forward-auth take turns"
    return Row(f"database reads of {WARM:,} warm checks", reads, "reads", note)
