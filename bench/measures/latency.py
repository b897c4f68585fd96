"""How long a signed-in user waits while a crowd signs in."""

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
FLOOD = 200
PEOPLE = 40  # so many names that none has more tries at a time than are allowed
PAUSE_SECONDS = 0.002  # between an answer and the next request, since users pause


@dataclass(frozen=True, slots=True)
class _Waits:
    """Seconds from a request to its answer."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class _Round:
    """The waits of one round, all measured within a few seconds.

    Attributes:
        calm: the waits of board requests while nobody signs in.
        storm: the waits of board requests while as many sign-ins wait as the queue holds.
        flood: the waits of board requests while there are more sign-ins than that.
        refused: the waits of the sign-ins that the full queue refused.
    """

    calm: _Waits
    storm: _Waits
    flood: _Waits
    refused: _Waits


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how long board requests wait alone and beside sign-ins, and the ratios."""
    with Gatelodge(folder) as server:
        token, *_ = let_in(server, PEOPLE)
        boards = Load(server.port, [board(token)], seconds=sizes.calm_seconds, pause=PAUSE_SECONDS)
        storm = _crowd(server, WAITING + DEFAULT_THREADS)
        flood = _crowd(server, FLOOD)
        return _rows([_round(boards, storm, flood) for _ in range(sizes.rounds)])


def _crowd(server: Gatelodge, at_a_time: int) -> Load:
    return Load(
        server.port, [sign_in(one) for one in range(PEOPLE)], at_a_time, seconds=_LONG_ENOUGH
    )


_LONG_ENOUGH = 60.0


def _round(boards: Load, storm: Load, flood: Load) -> _Round:
    calm = _waits(run(boards).waits)
    beside_storm, _ = _beside(storm, boards, {"200"})
    beside_flood, refused = _beside(flood, boards, {"200", "503"})
    return _Round(calm, beside_storm, beside_flood, _waits(refused))


def _beside(crowd: Load, boards: Load, statuses: set[str]) -> tuple[_Waits, list[float]]:
    """Return the waits of the board requests, and the waits of the refused sign-ins."""
    with meanwhile(crowd) as seen:
        waits = _waits(run(boards).waits)
    if set(seen.statuses) != statuses:
        raise RuntimeError(f"the sign-ins should get {statuses}, and got {seen.statuses}")
    return waits, seen.refused_waits


def _waits(seconds: list[float]) -> _Waits:
    percentiles = quantiles(seconds, n=100, method="inclusive")
    return _Waits(p50=percentiles[49], p99=percentiles[98])


def _rows(rounds: list[_Round]) -> list[Row]:
    return [
        *_pair("board", [each.calm for each in rounds]),
        *_beside_rows(
            f"board beside {WAITING} waiting sign-ins", [(each.calm, each.storm) for each in rounds]
        ),
        *_beside_rows(
            f"board beside {FLOOD} sign-ins", [(each.calm, each.flood) for each in rounds]
        ),
        *_pair(f"sign-in refused among {FLOOD}", [each.refused for each in rounds], _REFUSED),
    ]


_ONE = "one connection"
_REFUSED = "only the answers 503; after each, the client tries again at once"


def _beside_rows(name: str, pairs: list[tuple[_Waits, _Waits]]) -> list[Row]:
    p50 = [beside.p50 / alone.p50 for alone, beside in pairs]
    p99 = [beside.p99 / alone.p99 for alone, beside in pairs]
    return [
        *_pair(name, [beside for _, beside in pairs]),
        Row(f"{name}, p50 ratio", median(p50), "×", f"ratio within a round; {spread(p50, 1)}"),
        Row(f"{name}, p99 ratio", median(p99), "×", f"ratio within a round; {spread(p99, 1)}"),
    ]


def _pair(name: str, waits: list[_Waits], note: str = _ONE) -> list[Row]:
    return [
        _row(f"{name}, p50", [each.p50 for each in waits], note),
        _row(f"{name}, p99", [each.p99 for each in waits], note),
    ]


def _row(name: str, seconds: list[float], note: str) -> Row:
    millis = [1000 * each for each in seconds]
    return Row(name, median(millis), "ms", f"{note}; {spread(millis, 2)}")
