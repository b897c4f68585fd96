"""`docs/performance.md` and its pictures: the figures of the last runs, nothing by hand.

`docs/performance/figures.json` keeps each measurement with its own day and machine, so that one can
be run again without the others; the page is made from it.
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
        how: how that was done.
        command: what repeats it.
        on: the day.
        machine: what a reader needs to compare two runs.
        rows: the figures.
    """

    title: str
    how: str
    command: str
    on: str
    machine: dict[str, str]
    rows: list[Row]


def write_page(docs: Path, measured: Mapping[str, Measured]) -> None:
    """Put these measurements in place of the earlier ones, and make page and pictures anew."""
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    everything = read_figures(folder / FIGURES) | dict(measured)
    for name, svg in pictures(everything).items():
        (folder / name).write_text(svg)
    document = {name: asdict(each) for name, each in everything.items()}
    (folder / FIGURES).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (docs / PAGE).write_text(page(everything))


def read_figures(file: Path) -> dict[str, Measured]:
    """Return what earlier runs found; nothing where there was none."""
    if not file.exists():
        return {}
    document: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return {
        name: Measured(**(each | {"rows": [Row(**row) for row in each["rows"]]}))
        for name, each in document.items()
    }


def page(measured: Mapping[str, Measured]) -> str:
    """Return the page."""
    rows = _by_name(measured)
    parts = [
        _INTRODUCTION,
        "## What we hold ourselves to",
        _targets(rows),
        "### What was missed, and what would help",
        _missed(rows),
        "## Pictures",
        *(f"![{title}](performance/{name})" for name, (title, _) in _drawn(rows).items()),
        "## Every figure",
        *(_section(each) for name, each in measured.items() if name != PEERS),
    ]
    if PEERS in measured:
        parts += ["## Others, doing the same work", _section(measured[PEERS])]
    return "\n\n".join(parts) + "\n"


def pictures(measured: Mapping[str, Measured]) -> dict[str, str]:
    """Return the pictures whose figures there are, each under its file's name."""
    drawn = _drawn(_by_name(measured))
    return {name: bars(title, each) for name, (title, each) in drawn.items()}


_INTRODUCTION = """# Performance

This page is written by `make bench`, and its last part by `make bench-peers`. Each figure is the
median of several rounds; behind it stand the lowest and the highest round. CPU time is user and
system time of all the server's processes, from the kernel's own account of them, divided by the
requests: it says more than time by the clock, which depends on the neighbours of a rented machine.
The benchmark starts every server itself, keeps server and load on different cores where a figure
is per core, and lets what is compared take turns within each round."""


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
    lines = ["| Figure | | | Rounds |", "| --- | ---: | --- | --- |"]
    lines += [
        f"| {row.name} | {figure(row.value)} | {row.unit} | {row.note} |" for row in measured.rows
    ]
    return f"{head}\n\n" + "\n".join(lines)


def _provenance(measured: Measured) -> str:
    machine = "; ".join(f"{name}: {value}" for name, value in measured.machine.items())
    return f"Measured on {measured.on} by `{measured.command}` ({machine})."


def _drawn(rows: Mapping[str, Row]) -> dict[str, tuple[str, list[Bar]]]:
    """Return title and bars of each picture of which there is any figure."""
    found = {
        "checks.svg": ("CPU time of one token check (µs)", _bars(rows, _CHECKS)),
        "latency.svg": ("Wait of somebody who is signed in (ms)", _bars(rows, _WAITS)),
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
    """Draw each kind of request twice, the small database first."""
    kinds = [name.removesuffix(", growth") for name in rows if name.endswith(", growth")]
    return [bar for kind in kinds for bar in _pair(rows, kind)]


def _pair(rows: Mapping[str, Row], kind: str) -> Sequence[Bar]:
    found = [row for name, row in rows.items() if name.startswith(f"{kind}, ") and "users" in name]
    return [
        Bar(row.name, row.value, figure(row.value), colour)
        for row, colour in zip(found, (PLAIN, OURS), strict=False)
    ]
