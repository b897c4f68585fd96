"""Whether a request costs more in a large database, or when many sessions take turns."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from bench.load import Generator, Load
from bench.people import board, open_session, refresh, sign_in
from bench.process import LOAD_CORE, SERVER_CORE
from bench.report import Row, cost_row, spread
from bench.seed import issue, people, seed
from bench.server import Gatelodge, StandIn
from bench.sizes import Sizes
from gatelodge.app import build
from gatelodge.settings import Settings

SESSIONS = 8
"""How many sessions make requests, in addition to the seeded ones."""

_ROUNDS = 3
"""The factor for the number of rounds. A ratio close to 1 needs more rounds than other figures."""


@dataclass(slots=True)
class _Place:
    """A server with a database of some size.

    Attributes:
        users: how many users the database has.
        tokens: access tokens of sessions that were opened just now.
        chains: requests that trade the refresh tokens of these sessions.
    """

    server: Gatelodge
    users: int
    tokens: list[str]
    chains: list[str]


@dataclass(frozen=True, slots=True)
class _Costs:
    """CPU seconds for one request of each kind."""

    check: float
    rotation: float
    sign_in: float


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the costs in both databases, the costs with many sessions in turn, and the ratios."""
    with ExitStack() as stack, Generator({LOAD_CORE}) as generator:
        places = [
            _place(stack, folder / str(number), *size)
            for number, size in enumerate(zip(sizes.users, sizes.sessions, strict=True))
        ]
        rounds = list(_rounds(sizes, generator, places))
    large = folder / str(len(places) - 1)
    return [*_rows(sizes, rounds[1:]), *_in_turn(sizes, large)]  # the first round is a warm-up


def _place(stack: ExitStack, folder: Path, users: int, sessions: int) -> _Place:
    data = folder / "data"
    seed(Settings(data_dir=data, database=""), users, sessions)
    server = stack.enter_context(Gatelodge(folder))
    opened = [open_session(server, number * users // SESSIONS) for number in range(SESSIONS)]
    server.pin({SERVER_CORE})
    chains = [refresh(each["refreshToken"]) for each in opened]
    return _Place(server, users, [each["accessToken"] for each in opened], chains)


def _rounds(
    sizes: Sizes, generator: Generator, places: list[_Place]
) -> Iterator[tuple[_Costs, _Costs]]:
    for number in range(1 + _ROUNDS * sizes.rounds):
        small, large = places if number % 2 else reversed(places)
        pair = (_costs(sizes, generator, small, number), _costs(sizes, generator, large, number))
        yield pair if number % 2 else (pair[1], pair[0])


def _costs(sizes: Sizes, generator: Generator, place: _Place, number: int) -> _Costs:
    return _Costs(
        check=_check(sizes, generator, place),
        rotation=_rotation(sizes, generator, place),
        sign_in=_sign_in(sizes, generator, place, number),
    )


def _check(sizes: Sizes, generator: Generator, place: _Place) -> float:
    requests = [board(token) for token in place.tokens]
    load = Load(place.server.port, requests, SESSIONS, sizes.boards)
    return place.server.cpu_each(generator, load).total


def _rotation(sizes: Sizes, generator: Generator, place: _Place) -> float:
    count = max(SESSIONS, sizes.rotations // 5)
    before = place.server.cpu()
    load = Load(place.server.port, place.chains, SESSIONS, count, chained=True)
    place.chains = generator.run(load).next_requests
    return (place.server.cpu() - before).total / count


def _sign_in(sizes: Sizes, generator: Generator, place: _Place, number: int) -> float:
    """Return what a sign-in costs without its hash, for people from all parts of the database."""
    count = max(2, sizes.sign_ups // 2)
    first = number * count
    people = [(first + one) * 7919 % place.users for one in range(count)]
    load = Load(place.server.port, [sign_in(one) for one in people], 1, count)
    return place.server.cpu_each(generator, load).rest


def _rows(sizes: Sizes, rounds: list[tuple[_Costs, _Costs]]) -> list[Row]:
    rows = []
    for what, field in _FIELDS.items():
        pairs = [(getattr(small, field), getattr(large, field)) for small, large in rounds]
        ratios = [large / small for small, large in pairs]
        for number, users in enumerate(sizes.users):
            note = f"{sizes.sessions[number]:,} live sessions"
            rows.append(
                cost_row(f"{what}, {users:,} users", [pair[number] for pair in pairs], note)
            )
        rows.append(Row(f"{what}, growth", median(ratios), "×", _within(ratios)))
    return rows


_FIELDS = {
    "token check": "check",
    "rotation": "rotation",
    "sign-in without its hash": "sign_in",
}


def _within(ratios: list[float]) -> str:
    return f"ratio within a round; {spread(ratios, 2)}"


# Many sessions in turn


def _in_turn(sizes: Sizes, folder: Path) -> list[Row]:
    """Return what a check costs, and what memory grows, while many sessions take turns.

    The server is a new one, so that memory holds these tokens and no others.
    """
    with (
        Gatelodge(folder) as server,
        StandIn(folder.with_name("limit"), "limit") as limit,
        Generator({LOAD_CORE}) as generator,
    ):
        server.pin({SERVER_CORE})
        limit.pin({SERVER_CORE})
        requests = asyncio.run(_boards(server, max(sizes.in_turn)))
        _pass(generator, server, requests[:1])
        before = server.memory()[-1].rss
        first = _pass(generator, server, requests)
        grown = server.memory()[-1].rss - before
        rounds = [
            _round(sizes, generator, server, limit, requests, number)
            for number in range(1 + _ROUNDS * sizes.rounds)
        ][1:]
    return [
        cost_row("first check of a token", [first], "its signature is checked, its session read"),
        *_rows_in_turn(sizes, rounds),
        Row(
            "memory of tokens in turn",
            grown / (1024 * 1024),
            "MiB",
            f"RSS of the worker, {len(requests):,} tokens, each of its own session and user",
        ),
    ]


def _round(
    sizes: Sizes,
    generator: Generator,
    server: Gatelodge,
    limit: StandIn,
    requests: list[str],
    number: int,
) -> list[float]:
    """Return what a request costs: of the limit, then of each number of sessions in turn.

    A round is shorter than a pass of all sessions: each goes on where the one before ended.
    """
    count = sizes.checks_in_turn
    costs = [_each(generator, limit, requests[:1], count)]
    for sessions in sizes.in_turn:
        first = number * count % sessions
        part = (requests[first:sessions] + requests[:first])[:count]
        costs.append(_each(generator, server, part, count))
    return costs


def _rows_in_turn(sizes: Sizes, rounds: list[list[float]]) -> Iterator[Row]:
    yield cost_row("limit beside sessions in turn", [each[0] for each in rounds], "static")
    for place, sessions in enumerate(sizes.in_turn, 1):
        costs = [each[place] for each in rounds]
        yield cost_row(_name(sessions), costs, "each asked before")
    for name, below in ((f"{_IN_TURN} / limit", 0), (f"{_IN_TURN}, ratio", 1)):
        ratios = [each[-1] / each[below] for each in rounds]
        what = "the limit" if below == 0 else f"{min(sizes.in_turn):,}"
        note = f"{max(sizes.in_turn):,} sessions ÷ {what}; {_within(ratios)}"
        yield Row(name, median(ratios), "×", note)


_AT_A_TIME = 32
_LONG_ENOUGH = 300.0
_IN_TURN = "token check, sessions in turn"


def _name(sessions: int) -> str:
    return f"token check, {sessions:,} sessions in turn"


async def _boards(server: Gatelodge, count: int) -> list[str]:
    """Return requests for the board, one by each of `count` sessions of the server's database."""
    settings = Settings(data_dir=server.folder / "data", database="", port=server.port)
    async with build(settings).open() as house:
        return [board(issue(house, one)) for one in islice(people(house), count)]


def _pass(generator: Generator, server: Gatelodge, requests: list[str]) -> float:
    """Send each request once; return the CPU seconds of one."""
    load = Load(server.port, requests, _AT_A_TIME, len(requests), seconds=_LONG_ENOUGH)
    return server.cpu_each(generator, load).total


def _each(generator: Generator, server: Gatelodge, requests: list[str], count: int) -> float:
    return server.cpu_each(generator, Load(server.port, requests, _AT_A_TIME, count)).total
