"""The commands for what has happened."""

from typing import TYPE_CHECKING, Annotated

import typer

from gatelodge.audit import COMMAND
from gatelodge.cli.call import Call, with_usual_options
from gatelodge.cli.exports import After, File, Resume, WantedFormat, run_export
from gatelodge.cli.progress import clear_line, show_line
from gatelodge.ids import UserId

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


@app.command("blank")
@with_usual_options
def events_blank(
    call: Call,
    user: Annotated[str, typer.Argument(help="The id that the user had, usr_….")],
) -> None:
    """Blank what events say of a deleted user besides the id. The events stay."""
    changed = call.in_house(
        lambda house: house.event_retention.blank(UserId(user), COMMAND, _show_progress)
    )
    clear_line()
    events, do = ("1 event", "does") if changed == 1 else (f"{changed:,} events", "do")
    sentence = f"{events} said more of {user} than the id, and no longer {do}."
    call.say({"user": user, "blanked": changed}, sentence if changed else _NOTHING)


_NOTHING = "Nothing to do: the events say nothing of this user but the id."


def _show_progress(looked_at: int) -> None:
    """Print, on a terminal, how many events were looked at so far."""
    show_line(f"Events looked at: {looked_at:,} …")
