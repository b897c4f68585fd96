"""What the commands that export have in common."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from gatelodge.cli.call import Call, choice_of
from gatelodge.cli.progress import interruptible
from gatelodge.errors import ConfigurationError

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.foundation import Foundation
    from gatelodge.transfer.export_files import Written
    from gatelodge.transfer.exports import Export, Format

MakeExport = Callable[["Foundation", "Format"], "Export[Any]"]


def _format_of(text: str) -> "Format":
    """Read a format from the command line.

    Raises:
        BadParameter: there is no such format.
    """
    from gatelodge.transfer.exports import Format  # noqa: PLC0415 - see `call.py`

    known: tuple[Format, ...] = get_args(Format)
    return choice_of(text, known)


File = Annotated[Path | None, typer.Argument(help="The new file. Without one: to standard output.")]
WantedFormat = Annotated[
    Any, typer.Option("--format", parser=_format_of, metavar="FORMAT", help="jsonl or csv.")
]
After = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Only what comes after this id, the last of another export."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with an export to this file that was cut short.")
]


def run_export(
    call: Call,
    noun: str,
    make: MakeExport,
    file: Path | None,
    *,
    format_: "Format",
    after: str | None,
    resume: bool,
) -> None:
    """Export records into a file, or to standard output, and say how many.

    Args:
        call: the call of the command.
        noun: what is exported, such as `users`.
        make: returns the export of an open house.
        file: the new file; None: standard output.
        format_: as what it is written.
        after: the id after which it begins; only to standard output.
        resume: whether to go on with a file that was cut short.

    Raises:
        ConfigurationError: the options contradict each other.
        Refusal: as for `export_to_file`.
    """
    if file is None and resume:
        raise ConfigurationError("--resume needs the file. To standard output, use --after ID.")
    if file is not None and after is not None:
        raise ConfigurationError("--after is for standard output. To a file, use --resume.")
    again = "The same command with --resume goes on." if file else "--after goes on."
    with interruptible(again) as progress:

        def watch(count: int) -> None:
            progress.show(lambda: f"{count:,} {noun}")

        async def export(house: "Foundation") -> "Written":
            return await _write(make(house, format_), file, after, watch, resume=resume)

        done = call.in_house(export)
    _say(call, noun, done, file)


async def _write(
    export: "Export[Any]",
    file: Path | None,
    after: str | None,
    watch: Callable[[int], None],
    *,
    resume: bool,
) -> "Written":
    from gatelodge.transfer.export_files import (  # noqa: PLC0415 - see `call.py`
        Written,
        export_to_file,
    )

    if file is not None:
        return await export_to_file(export, file, watch, resume=resume)
    count, last = 0, after or ""
    out = sys.stdout.buffer
    async for piece in export.pieces(after):
        await asyncio.to_thread(out.write, piece.text.encode())
        count, last = count + piece.count, piece.last or last
        watch(count)
    await asyncio.to_thread(out.flush)
    return Written(count, "", last)


def _say(call: Call, noun: str, done: "Written", file: Path | None) -> None:
    more = " more" if done.resumed_after else ""
    last = f" The last one is {done.last}." if done.last else ""
    if file is None:  # standard output has the records
        print(f"Exported {done.count:,} {noun}.{last}", file=sys.stderr)
        return
    shown = {
        "file": str(file),
        "exported": done.count,
        "resumed_after": done.resumed_after or None,
        "last": done.last or None,
    }
    call.say(shown, f"Exported {done.count:,}{more} {noun} to {file}.")
