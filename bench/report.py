"""What a run found, for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: never changes, so that two runs can be compared.
        value: the figure.
        unit: what it counts.
        note: how it came about, or how far single rounds were apart.
    """

    name: str
    value: float
    unit: str
    note: str = ""


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Say between which figures how many rounds lie."""
    low, high = min(values), max(values)
    return f"{low:,.{digits}f}–{high:,.{digits}f} in {len(values)}"


def cost_row(name: str, seconds: Sequence[float], note: str = "") -> Row:
    """Return the median of CPU times as a row."""
    micros = [1_000_000 * each for each in seconds]
    return Row(name, median(micros), "µs CPU", "; ".join(filter(None, (note, spread(micros)))))


def heading(facts: dict[str, str]) -> str:
    """Return the facts of the machine, one a line."""
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in facts.items())


def table(title: str, rows: Sequence[Row]) -> str:
    """Return rows as aligned text under their title."""
    cells = [(row.name, figure(row.value), row.unit, row.note) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = [
        f"  {name:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {note}".rstrip()
        for name, value, unit, note in cells
    ]
    return "\n".join((title, *lines))


def figure(value: float) -> str:
    """Return three or more digits that mean something; nothing is just 0."""
    digits = 0 if value >= 100 or not value else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"
