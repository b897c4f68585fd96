"""The results of a run, as text for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: always the same, so that two runs can be compared.
        value: the figure.
        unit: the unit of the figure.
        note: how it was measured, or its lowest and highest round.
    """

    name: str
    value: float
    unit: str
    note: str = ""


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the lowest and the highest value, and the number of rounds."""
    low, high = min(values), max(values)
    return f"{low:,.{digits}f}–{high:,.{digits}f} in {len(values)} rounds"


def cost_row(name: str, seconds: Sequence[float], note: str = "") -> Row:
    """Return a row with the median of CPU times."""
    micros = [1_000_000 * each for each in seconds]
    return Row(name, median(micros), "µs CPU", "; ".join(filter(None, (note, spread(micros)))))


def heading(facts: dict[str, str]) -> str:
    """Return the facts about the machine, one per line."""
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in facts.items())


def table(title: str, rows: Sequence[Row]) -> str:
    """Return the rows as aligned text under a title."""
    cells = [(row.name, figure(row.value), row.unit, row.note) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = [
        f"  {name:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {note}".rstrip()
        for name, value, unit, note in cells
    ]
    return "\n".join((title, *lines))


def figure(value: float) -> str:
    """Return the number with at least three significant digits; zero is `0`."""
    digits = 0 if value >= 100 or not value else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"
