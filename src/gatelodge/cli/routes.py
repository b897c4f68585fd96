"""The commands that show and prove who may call the routes of an application."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelodge.cli.call import AsJson, Call

if TYPE_CHECKING:  # see `call.py`
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

    lines = examine(import_application(application, factory=factory), public=public or ())
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
