"""The commands for signing keys."""

from typing import Annotated

import typer

from gatelodge.audit import COMMAND
from gatelodge.cli.call import Call, with_usual_options
from gatelodge.clock import instant

app = typer.Typer(help="See and rotate the keys that sign tokens.", no_args_is_help=True)


_COLUMNS = {
    "kid": "Key",
    "algorithm": "Algorithm",
    "not_before": "Signs from",
    "retires_at": "Signs until",
    "gone_at": "Verifies until",
}


@app.command("list")
@with_usual_options
def keys_list(call: Call) -> None:
    """List the signing keys, the oldest first. Private keys are never shown."""
    keys = call.in_house(lambda house: house.signing_keys.list_keys())
    rows = [
        {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "not_before": instant(key.not_before),
            "retires_at": instant(key.retires_at),
            "gone_at": instant(key.gone_at),
        }
        for key in keys
    ]
    call.say_table(rows, _COLUMNS)


@app.command("rotate")
@with_usual_options
def keys_rotate(call: Call) -> None:
    """Publish a new signing key. It signs five minutes later, when all caches know it."""
    key = call.in_house(lambda house: house.signing_keys.rotate(COMMAND))
    shown = {"kid": key.kid, "not_before": instant(key.not_before)}
    call.say(shown, f"Published {key.kid}; it signs from {instant(key.not_before)} on.")


@app.command("retire")
@with_usual_options
def keys_retire(
    call: Call,
    kid: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
) -> None:
    """Drop a signing key whose private key leaked. Its tokens stop working at once."""
    call.in_house(lambda house: house.signing_keys.drop(kid, COMMAND))
    call.say({"dropped": True}, f"{kid} signs and verifies nothing any more.")
