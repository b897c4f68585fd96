"""The commands that show and prove who may call the routes of an application."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelodge.cli.call import AsJson, Call

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.routes.prove import Proof
    from gatelodge.routes.report import Line

app = typer.Typer(
    help="Show and prove who may call the routes of your application.", no_args_is_help=True
)

Application = Annotated[
    str,
    typer.Argument(help="The application as for uvicorn: `yourapp:app`, `yourapp:create_app()`."),
]
Factory = Annotated[
    bool, typer.Option("--factory", help="It is a function that returns the application.")
]
Public = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH",
        help="Anybody may call this path, such as `/static/*`, though nothing in the code says so; "
        "may be repeated.",
    ),
]

_WITH_PROBLEMS = 1
_REFUSED = 3
_WARNING = (
    "This starts {} and calls every route of it, as if people did: what the routes do to your own "
    "databases, or send to others, is real. Only the database of Gatelodge is a temporary one."
)
_COLUMNS = {"method": "Method", "path": "Path", "rule": "Who may call", "where": "Where"}
_CHANGES = {
    "change": "Change",
    "method": "Method",
    "path": "Path",
    "before": "Before",
    "now": "Now",
}


@app.command("check")
def routes_check(
    application: Application,
    factory: Factory = False,
    public: Public = None,
    table: Annotated[
        bool, typer.Option("--table", help="Print a table in Markdown, for documentation.")
    ] = False,
    diff: Annotated[
        Path | None,
        typer.Option(help="Print what has changed since `--json` wrote this file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show each route with its rule. Exit with 1 if a route has none, or one without effect."""
    from gatelodge.routes.changes import changes_since  # noqa: PLC0415 - see `call.py`
    from gatelodge.routes.importing import import_application  # noqa: PLC0415 - see `call.py`
    from gatelodge.routes.report import examine, problems_of  # noqa: PLC0415 - see `call.py`

    with redirect_stdout(sys.stderr):  # what the application prints is no part of the result
        found = import_application(application, factory=factory)
    lines = examine(found, public=public or ())
    problems = problems_of(lines)
    call = Call(None, None, as_json)
    weaker = False
    if diff is not None:
        changes = changes_since(diff, lines)
        weaker = any(each.kind == "weaker" for each in changes)
        _say([each.as_json() for each in changes], _CHANGES, call, table=table)
    else:
        _say(_rows(lines, call), _COLUMNS, call, table=table)
    if not as_json and not table:
        for line in problems:
            print(f"{line.method} {line.shown_path} ({line.where}): {line.words}.")
        print(_summary(lines, len(problems)))
    if problems or weaker:
        raise typer.Exit(_WITH_PROBLEMS)


@app.command("prove")
def routes_prove(
    application: Application,
    factory: Factory = False,
    public: Public = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Do not call this path, such as `/payments/*`; may be repeated."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Call the routes without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Call each route as every kind of caller. Exit with 1 if one does not keep its rule."""
    import asyncio  # noqa: PLC0415 - see `call.py`

    from gatelodge.logs import set_up_logs  # noqa: PLC0415 - see `call.py`
    from gatelodge.routes.importing import import_application  # noqa: PLC0415 - see `call.py`
    from gatelodge.routes.prove import prove  # noqa: PLC0415 - see `call.py`

    if not yes:
        _ask(application)
    set_up_logs("error")
    with redirect_stdout(sys.stderr):  # what the application prints is no part of the result
        found = import_application(application, factory=factory)
        proof = asyncio.run(prove(found, public=public or (), skip=skip or ()))
    rows = [each.as_json() for each in proof.findings]
    if as_json:
        counts = {"routes": proof.routes, "calls": proof.calls, "skipped": proof.skipped}
        print(json.dumps({**counts, "findings": rows}, indent=2))
    else:
        for each in proof.findings:
            rule = each.line.access.words if each.line.access is not None else "no rule"
            print(f"{each.line.method} {each.line.shown_path} ({rule}): {each.problem}.")
        print(_summary_of(proof))
    if proof.findings:
        raise typer.Exit(_WITH_PROBLEMS)


def _ask(application: str) -> None:
    """Ask whether to call the routes; without a terminal, refuse."""
    print(_WARNING.format(application), file=sys.stderr)
    if not sys.stdin.isatty():
        print("Say --yes if that is what you want.", file=sys.stderr)
        raise typer.Exit(_REFUSED)
    if not typer.confirm("Call the routes?", err=True):
        raise typer.Exit(_REFUSED)


def _summary_of(proof: "Proof") -> str:
    made = f"{proof.calls} calls of {proof.routes} {'route' if proof.routes == 1 else 'routes'}"
    if proof.skipped:
        made += f", {proof.skipped} skipped"
    if not proof.findings:
        return f"{made}: each keeps its rule."
    count = len({(each.line.method, each.line.shown_path) for each in proof.findings})
    return f"{made}: {count} {'does' if count == 1 else 'do'} not keep a rule."


def _rows(lines: "list[Line]", call: Call) -> list[dict[str, Any]]:
    """Return a row for each line; for people, without the routes of Gatelodge itself.

    For people, the methods of a route that are the same in everything else share a row.
    """
    if call.as_json:
        return [line.as_json() for line in lines]
    rows: list[dict[str, Any]] = []
    for line in _own(lines):
        row = {**line.as_json(), "path": line.shown_path}
        if rows and {**rows[-1], "method": ""} == {**row, "method": ""}:
            rows[-1]["method"] += f", {line.method}"
        else:
            rows.append(row)
    return rows


def _own(lines: "list[Line]") -> "list[Line]":
    return [line for line in lines if line.kind != "gatelodge" or line.problem]


def _say(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], call: Call, *, table: bool
) -> None:
    """Print rows: as JSON, as a table in Markdown, or as one for the terminal."""
    if call.as_json or not table:
        if rows or call.as_json:
            call.say_table(rows, columns)
        return
    print(f"| {' | '.join(columns.values())} |\n|{' --- |' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(_cell(name, row[name]) for name in columns)} |")


def _cell(name: str, value: Any) -> str:
    """Return a value as a cell in Markdown: what stands in code between marks."""
    text = "–" if value is None else str(value).replace("|", "\\|")
    return f"`{text}`" if name in {"path", "where"} else text


def _summary(lines: "list[Line]", problems: int) -> str:
    own = _own(lines)
    count = len({(line.shown_path, line.where) for line in own})
    counted = f"{count} {'route' if count == 1 else 'routes'}"
    if of_house := len(lines) - len(own):
        counted += f", and {of_house} of Gatelodge"
    if not problems:
        return f"{counted}: each has a rule."
    return f"{counted}: {'1 is' if problems == 1 else f'{problems} are'} not guarded."
