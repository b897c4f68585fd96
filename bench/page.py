"""Write `docs/performance.md` and its pictures from the figures of the last runs.

`docs/performance/figures.json` keeps each measurement with its date and its machine, so one
measurement can be run again without the others. The page is made from this file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.plots import OTHER, OURS, PLAIN, Bar, bars
from bench.report import Row, figure
from bench.targets import TARGETS, missed

PAGE = "performance.md"
FIGURES = "figures.json"
PEERS = "peers"


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement as it was made.

    Attributes:
        title: what was measured.
        how: how it was measured.
        command: the command that repeats it.
        on: the date.
        machine: the facts that a reader needs to compare two runs.
        rows: the figures.
    """

    title: str
    how: str
    command: str
    on: str
    machine: dict[str, str]
    rows: list[Row]


def write_page(docs: Path, measured: Mapping[str, Measured]) -> None:
    """Replace the earlier results of these measurements, and write the page and its pictures."""
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    everything = read_figures(folder / FIGURES) | dict(measured)
    for name, svg in pictures(everything).items():
        (folder / name).write_text(svg)
    document = {name: asdict(each) for name, each in everything.items()}
    (folder / FIGURES).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (docs / PAGE).write_text(page(everything))


def read_figures(file: Path) -> dict[str, Measured]:
    """Return the measurements of earlier runs; none if there is no file."""
    if not file.exists():
        return {}
    document: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return {
        name: Measured(**(each | {"rows": [Row(**row) for row in each["rows"]]}))
        for name, each in document.items()
    }


def page(measured: Mapping[str, Measured]) -> str:
    """Return the text of the page."""
    rows = _by_name(measured)
    parts = [
        _INTRODUCTION,
        "## Our targets",
        _targets(rows),
        "### Targets that were missed, and what would help",
        _missed(rows),
        "## Pictures",
        *(f"![{title}](performance/{name})" for name, (title, _) in _drawn(rows).items()),
        "## All figures",
        *(_section(each) for name, each in measured.items() if name != PEERS),
    ]
    if PEERS in measured:
        parts += ["## Other projects that do the same work", _section(measured[PEERS])]
    return "\n\n".join(parts) + "\n"


def pictures(measured: Mapping[str, Measured]) -> dict[str, str]:
    """Return the pictures by file name. A picture without any figures is left out."""
    drawn = _drawn(_by_name(measured))
    return {name: bars(title, each) for name, (title, each) in drawn.items()}


_INTRODUCTION = """# Performance

`make bench` writes this page, and `make bench-peers` writes its last part. Each figure is the
median of several rounds. Beside it stand the lowest and the highest round.

CPU time is the user time and the system time of all processes of the server, as the kernel counts
them, divided by the number of requests. It says more than the time by the clock: other users of a
rented machine change the time by the clock.

The benchmark starts every server itself. Where a figure is for one core, the server and the load
run on different cores. Servers that are compared take turns within each round."""


def _by_name(measured: Mapping[str, Measured]) -> dict[str, Row]:
    return {row.name: row for each in measured.values() for row in each.rows}


def _targets(rows: Mapping[str, Row]) -> str:
    lines = ["| What | Target | Measured | |", "| --- | --- | --- | --- |"]
    for target in TARGETS:
        row = rows.get(target.row)
        found = "not measured yet" if row is None else f"{figure(row.value)} {row.unit}"
        verdict = "" if row is None else "kept" if target.met(row) else "**missed**"
        lines.append(f"| {target.what} | {target.asked} | {found} | {verdict} |")
    return "\n".join(lines)


def _missed(rows: Mapping[str, Row]) -> str:
    lines = [
        f"- {target.what}: {figure(rows[target.row].value)} {rows[target.row].unit} instead of "
        f"{target.asked}. What would help: {target.remedy}."
        for target in missed(rows)
    ]
    return "\n".join(lines) or "Nothing."


def _section(measured: Measured) -> str:
    head = f"### {measured.title}\n\n{measured.how}\n\n{_provenance(measured)}"
    lines = ["| Figure | | | What it is; lowest and highest round |", "| --- | ---: | --- | --- |"]
    lines += [
        f"| {row.name} | {figure(row.value)} | {row.unit} | {row.note} |" for row in measured.rows
    ]
    return f"{head}\n\n" + "\n".join(lines)


def _provenance(measured: Measured) -> str:
    machine = "; ".join(f"{name}: {value}" for name, value in measured.machine.items())
    return f"Measured on {measured.on} by `{measured.command}` ({machine})."


def _drawn(rows: Mapping[str, Row]) -> dict[str, tuple[str, list[Bar]]]:
    """Return the title and the bars of each picture that has figures."""
    found = {
        "checks.svg": ("CPU time of one token check (µs)", _bars(rows, _CHECKS)),
        "latency.svg": ("How long a signed-in user waits (ms)", _bars(rows, _WAITS)),
        "growth.svg": ("CPU time in a small and in a large database (µs)", _growth(rows)),
    }
    return {name: (title, each) for name, (title, each) in found.items() if each}


def _bars(rows: Mapping[str, Row], wanted: Mapping[str, tuple[str, str]]) -> list[Bar]:
    return [
        Bar(label, rows[name].value, figure(rows[name].value), colour)
        for name, (label, colour) in wanted.items()
        if name in rows
    ]


_CHECKS = {
    "limit, bare": ("static answer, two headers", PLAIN),
    "limit": ("static answer, same bytes", PLAIN),
    "token check": ("token check", OURS),
    "token check, cookie": ("token check, cookie", OURS),
    "token check, forward-auth": ("forward-auth", OURS),
    "token check, FastAPI alone": ("the same through FastAPI alone", OTHER),
    "token check, database read": ("the same with a database read", OTHER),
}
_WAITS = {
    "board, p50": ("alone, median", PLAIN),
    "board beside 64 waiting sign-ins, p50": ("beside 64 sign-ins, median", OURS),
    "board, p99": ("alone, p99", PLAIN),
    "board beside 64 waiting sign-ins, p99": ("beside 64 sign-ins, p99", OURS),
}


def _growth(rows: Mapping[str, Row]) -> list[Bar]:
    """Return two bars for each kind of request, the small database first."""
    kinds = [name.removesuffix(", growth") for name in rows if name.endswith(", growth")]
    return [bar for kind in kinds for bar in _pair(rows, kind)]


def _pair(rows: Mapping[str, Row], kind: str) -> Sequence[Bar]:
    found = [row for name, row in rows.items() if name.startswith(f"{kind}, ") and "users" in name]
    return [
        Bar(row.name, row.value, figure(row.value), colour)
        for row, colour in zip(found, (PLAIN, OURS), strict=False)
    ]
