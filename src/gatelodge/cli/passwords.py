"""The commands for the list of breached passwords."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gatelodge.cli.call import Call, limit_of, with_usual_options
from gatelodge.cli.progress import interruptible
from gatelodge.clock import instant

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.breached.source import Source

app = typer.Typer(help="Refuse passwords that were stolen from other sites.", no_args_is_help=True)


@app.command("import")
@with_usual_options
def passwords_import(
    call: Call,
    file: Annotated[
        str, typer.Argument(help="Lines of SHA-1 and count. `-` for standard input; `.gz` works.")
    ],
    at_least: Annotated[
        int,
        typer.Option(
            metavar="<int>", parser=limit_of, help="Leave out passwords that were seen less often."
        ),
    ] = 1,
) -> None:
    """Make the list of breached passwords. Servers notice it; nothing is restarted."""
    from gatelodge.breached.service import import_passwords  # noqa: PLC0415 - see `call.py`
    from gatelodge.breached.source import Source  # noqa: PLC0415 - see `call.py`

    path = call.settings().breached_file
    with (
        interruptible("The same command goes on where it was.") as progress,
        Source.open(file) as source,
    ):
        done = import_passwords(
            source, at_least, path, lambda source: progress.show(partial(_so_far, source))
        )
    shown = {
        "file": str(path),
        "lines": done.lines,
        "resumed_after": done.resumed_after,
        "entries": done.entries,
        "at_least": at_least,
    }
    again = f" It went on after line {done.resumed_after:,}." if done.resumed_after else ""
    ones = "one" if done.entries == 1 else "ones"
    told = f"New passwords are compared with {done.entries:,} breached {ones}"
    call.say(shown, f"{told}, of {done.lines:,} {_plural('line', done.lines)}.{again}")


@app.command("show")
@with_usual_options
def passwords_show(call: Call) -> None:
    """Show how many breached passwords the list has, and check that it is whole."""
    from gatelodge.breached.service import read_list  # noqa: PLC0415 - see `call.py`

    file = read_list(call.settings().breached_file)
    at = instant(file.imported_at)
    shown = {
        "file": str(file.path),
        "bytes": file.size,
        "entries": file.header.count,
        "at_least": file.header.at_least,
        "imported_at": at,
    }
    count, least = file.header.count, file.header.at_least
    call.say(
        shown,
        f"{count:,} breached {_plural('password', count)}, each seen at least {least:,} "
        f"{_plural('time', least)}; imported {at}.",
    )


@app.command("remove")
@with_usual_options
def passwords_remove(call: Call) -> None:
    """Remove the list, and what an interrupted import has left."""
    from gatelodge.breached.service import remove_passwords  # noqa: PLC0415 - see `call.py`

    path = call.settings().breached_file
    remove_passwords(path)
    call.say(
        {"removed": str(path)},
        "Removed. New passwords are compared with the most common ones only.",
    )


def _so_far(source: "Source") -> str:
    of = f" ({100 * source.done // source.size} %)" if source.size else ""
    return f"{source.lines:,} lines{of}"


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"
