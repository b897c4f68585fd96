"""How long people who are signed in wait while a crowd signs in."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from bench.hashing import DEFAULT_THREADS
from bench.load import Load, meanwhile, run
from bench.people import board, let_in, sign_in
from bench.report import Row, spread
from bench.server import Gatelodge
from bench.sizes import Sizes

WAITING = 64
PAUSE_SECONDS = 0.002  # between an answer and the next request: a user, not a flood


@dataclass(frozen=True, slots=True)
class _Waits:
    """Seconds from a request to its answer."""

    p50: float
    p99: float


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the waits of board requests alone and beside sign-ins, and their ratio."""
    with Gatelodge(folder) as server:
        token, *_ = let_in(server, 2)
        boards = Load(server.port, [board(token)], seconds=sizes.calm_seconds, pause=PAUSE_SECONDS)
        crowd = Load(
            server.port,
            [sign_in(0), sign_in(1)],
            WAITING + DEFAULT_THREADS,
            seconds=_LONG_ENOUGH,
        )
        pairs = [(_waits(boards), _beside(crowd, boards)) for _ in range(sizes.rounds)]
    return _rows([calm for calm, _ in pairs], [storm for _, storm in pairs])


_LONG_ENOUGH = 60.0


def _beside(crowd: Load, boards: Load) -> _Waits:
    with meanwhile(crowd) as seen:
        waits = _waits(boards)
    if seen.refused or not seen.statuses:
        raise RuntimeError(f"the sign-ins were not always waiting: {seen.statuses}")
    return waits


def _waits(boards: Load) -> _Waits:
    percentiles = quantiles(run(boards).waits, n=100, method="inclusive")
    return _Waits(p50=percentiles[49], p99=percentiles[98])


def _rows(calm: list[_Waits], storm: list[_Waits]) -> list[Row]:
    p50 = [beside.p50 / alone.p50 for alone, beside in zip(calm, storm, strict=True)]
    p99 = [beside.p99 / alone.p99 for alone, beside in zip(calm, storm, strict=True)]
    name = f"board beside {WAITING} waiting sign-ins"
    return [
        _row("board, p50", [each.p50 for each in calm]),
        _row("board, p99", [each.p99 for each in calm]),
        _row(f"{name}, p50", [each.p50 for each in storm]),
        _row(f"{name}, p99", [each.p99 for each in storm]),
        Row(f"{name}, p50 ratio", median(p50), "×", f"of pairs; {spread(p50, 1)}"),
        Row(f"{name}, p99 ratio", median(p99), "×", f"of pairs; {spread(p99, 1)}"),
    ]


def _row(name: str, seconds: list[float]) -> Row:
    millis = [1000 * each for each in seconds]
    return Row(name, median(millis), "ms", f"one connection; {spread(millis, 2)}")
