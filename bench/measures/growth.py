"""Whether a request costs the same in a large database as in a small one."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.load import Generator, Load
from bench.people import board, open_session, refresh, sign_in
from bench.process import LOAD_CORE, SERVER_CORE
from bench.report import Row, cost_row, spread
from bench.seed import seed
from bench.server import Gatelodge
from bench.sizes import Sizes
from gatelodge.settings import Settings

SESSIONS = 8
"""How many sessions make requests; they come on top of the seeded ones."""

_ROUNDS = 3
"""How many times as many rounds as elsewhere: a ratio near one needs them."""


@dataclass(slots=True)
class _Place:
    """A server over a database of some size.

    Attributes:
        users: how many it has.
        tokens: access tokens of sessions that were opened just now.
        chains: requests that trade those sessions' refresh tokens.
    """

    server: Gatelodge
    users: int
    tokens: list[str]
    chains: list[str]


@dataclass(frozen=True, slots=True)
class _Costs:
    """CPU seconds a request."""

    check: float
    rotation: float
    sign_in: float


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return what requests cost in both databases, and the ratios."""
    with ExitStack() as stack, Generator({LOAD_CORE}) as generator:
        places = [
            _place(stack, folder / str(number), *size)
            for number, size in enumerate(zip(sizes.users, sizes.sessions, strict=True))
        ]
        rounds = list(_rounds(sizes, generator, places))
    return _rows(sizes, rounds[1:])  # what is first used is first loaded


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
    before = place.server.cpu()
    requests = [board(token) for token in place.tokens]
    generator.run(Load(place.server.port, requests, SESSIONS, sizes.boards))
    return (place.server.cpu() - before).total / sizes.boards


def _rotation(sizes: Sizes, generator: Generator, place: _Place) -> float:
    count = max(SESSIONS, sizes.rotations // 5)
    before = place.server.cpu()
    load = Load(place.server.port, place.chains, SESSIONS, count, chained=True)
    place.chains = generator.run(load).next_requests
    return (place.server.cpu() - before).total / count


def _sign_in(sizes: Sizes, generator: Generator, place: _Place, number: int) -> float:
    """Return what a sign-in costs beside its hash, by people from all over the database."""
    count = max(2, sizes.sign_ups // 2)
    first = number * count
    people = [(first + one) * 7919 % place.users for one in range(count)]
    before = place.server.cpu()
    generator.run(Load(place.server.port, [sign_in(one) for one in people], 1, count))
    return (place.server.cpu() - before).rest / count


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
        rows.append(Row(f"{what}, growth", median(ratios), "×", f"of pairs; {spread(ratios, 2)}"))
    return rows


_FIELDS = {
    "token check": "check",
    "rotation": "rotation",
    "sign-in without its hash": "sign_in",
}
