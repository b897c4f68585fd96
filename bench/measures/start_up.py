"""How long `gatelodge serve` takes from the start of its process to its first answer."""

from pathlib import Path
from statistics import median

from bench.report import Row, spread
from bench.server import Gatelodge
from bench.sizes import Sizes


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how long a start takes on existing data and on an empty folder."""
    empty = [_start(folder / f"empty-{number}") for number in range(sizes.first_starts)]
    used = [_start(folder / "empty-0") for _ in range(sizes.starts)]
    return [
        Row("start-up", 1000 * median(used), "ms", _note("existing data", used)),
        Row("start-up, first", 1000 * median(empty), "ms", _note("empty folder", empty)),
    ]


def _start(folder: Path) -> float:
    with Gatelodge(folder) as server:
        return server.start_seconds


def _note(what: str, seconds: list[float]) -> str:
    return f"{what}, to the first /healthz; {spread([1000 * each for each in seconds])}"
