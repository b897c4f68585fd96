"""The commands for letters. None shows a link, a code or another value of a letter."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from gatelodge.audit import COMMAND
from gatelodge.cli.call import Call, choice_of, limit_of, plain, with_usual_options
from gatelodge.clock import instant

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.letters.store import Letter, LetterState

app = typer.Typer(help="Look after the letters to users.", no_args_is_help=True)

LetterId = Annotated[str, typer.Argument(help="The id of the letter, ltr_….")]

_COLUMNS = {
    "id": "Letter",
    "created_at": "Asked for",
    "kind": "Kind",
    "to": "To",
    "state": "State",
    "tries": "Tries",
    "error": "Last error",
}


def _state_of(text: str) -> "LetterState":
    """Read a state from the command line.

    Raises:
        BadParameter: letters have no such state.
    """
    from gatelodge.letters.store import LetterState  # noqa: PLC0415 - see `call.py`

    known: tuple[LetterState, ...] = get_args(LetterState)
    return choice_of(text, known)


@app.command("list")
@with_usual_options
def letters_list(
    call: Call,
    state: Annotated[
        list[Any] | None,
        typer.Option(
            parser=_state_of,
            metavar="STATE",
            help="Only waiting, sent, given_up or dropped; may be repeated.",
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(parser=limit_of, metavar="<int>", help="The maximum number of letters."),
    ] = 100,
) -> None:
    """List letters, the newest first: when, what, to whom, and how it stands."""
    states: list[LetterState] = state or []
    found = call.in_house(lambda house: house.letters.list_letters(limit=limit, states=states))
    call.say_table([_letter_as_json(letter) for letter in found], _COLUMNS)


@app.command("show")
@with_usual_options
def letters_show(call: Call, letter: LetterId) -> None:
    """Show what is known of a letter, but for what is written in it."""
    shown = _letter_as_json(call.in_house(lambda house: house.letters.get(letter)))
    lines = [f"{name:<12} {plain(value)}" for name, value in shown.items()]
    call.say(shown, "\n".join(lines))


@app.command("retry")
@with_usual_options
def letters_retry(call: Call, letter: LetterId) -> None:
    """Send a letter that waits, or was given up, as soon as possible; not one being sent now."""
    call.in_house(lambda house: house.letters.retry(letter, COMMAND))
    call.say({"due": letter}, f"{letter} is due: the server sends it now, or when it starts.")


@app.command("send-test")
@with_usual_options
def letters_send_test(
    call: Call,
    address: Annotated[str, typer.Argument(help="The e-mail address to send it to.")],
) -> None:
    """Send a test letter now, not through the queue, and say what the mail server answered."""
    from gatelodge.accounts.names import check_email  # noqa: PLC0415 - see `call.py`
    from gatelodge.clock import SystemClock  # noqa: PLC0415 - see `call.py`
    from gatelodge.letters.trial import send_test  # noqa: PLC0415 - see `call.py`

    to, _ = check_email(address)
    taken_by = asyncio.run(send_test(call.settings(), to, SystemClock().now()))
    call.say({"to": to, "taken_by": taken_by}, f"The letter to {to} was taken by {taken_by}.")


def _letter_as_json(letter: "Letter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "kind": letter.kind,
        "to": letter.to,
        "state": letter.state,
        "created_at": instant(letter.created_at),
        "due_at": instant(letter.due_at) if letter.state == "waiting" else None,
        "ended_at": instant(letter.ended_at),
        "tries": letter.claims,
        "error": letter.error,
        "language": letter.language,
        "user": letter.user_id,
        "message_id": letter.message_id,
    }
