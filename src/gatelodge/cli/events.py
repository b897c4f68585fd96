"""The commands for events."""

from typing import TYPE_CHECKING

import typer

from gatelodge.cli.call import Call, with_usual_options
from gatelodge.cli.exports import After, File, Resume, WantedFormat, run_export

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.audit import Event
    from gatelodge.foundation import Foundation
    from gatelodge.transfer.exports import Export, Format

app = typer.Typer(help="What has happened.", no_args_is_help=True)


@app.command("export")
@with_usual_options
def events_export(
    call: Call,
    file: File = None,
    format_: WantedFormat = "jsonl",
    after: After = None,
    resume: Resume = False,
) -> None:
    """Write all events, the oldest first, as JSON lines or CSV."""

    def make(house: "Foundation", format_: "Format") -> "Export[Event]":
        from gatelodge.transfer.exports import export_of_events  # noqa: PLC0415 - see `call.py`

        return export_of_events(house.stores.events, format_)

    run_export(call, "events", make, file, format_=format_, after=after, resume=resume)
