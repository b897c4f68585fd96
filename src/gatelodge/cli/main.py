"""The program `gatelodge`: the commands serve, migrate and openapi, and the groups of commands."""

import gc
import io
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gatelodge import __version__
from gatelodge.cli import (
    doctor,
    events,
    keys,
    letters,
    passwords,
    roles,
    routes,
    transfer,
    users,
    webhooks,
)
from gatelodge.cli.call import Call, Database, DataDir, with_usual_options
from gatelodge.credentials.refusals import HashingBusy
from gatelodge.errors import ConfigurationError, OutcomeUnknown, Refusal, StoreUnavailable
from gatelodge.settings import Settings, read_settings

REFUSED = 3
NOT_CONFIGURED = 4
UNAVAILABLE = 5

app = typer.Typer(
    name="gatelodge",
    help="A login and authorization server. `gatelodge serve` is all it takes to start.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the other help names a type, `<bool>`, beside every switch
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(users.app, name="user")
app.add_typer(roles.app, name="role")
app.add_typer(events.app, name="events")
app.add_typer(keys.app, name="keys")
app.add_typer(passwords.app, name="passwords")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(letters.app, name="letters")
app.add_typer(routes.app, name="routes")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"gatelodge {__version__}")
        raise typer.Exit


@app.callback()
def before_the_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Read the options that stand before the command."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [GATELODGE_HOST]")] = None,
    port: Annotated[  # a text, so that `read_settings` says what is wrong with it
        str | None, typer.Option(metavar="<int>", help="Port to listen on. [GATELODGE_PORT]")
    ] = None,
    workers: Annotated[
        str | None, typer.Option(metavar="<int>", help="Worker processes. [GATELODGE_WORKERS]")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="`tutorial` for clients that cannot change. [GATELODGE_PROFILE]"),
    ] = None,
    database: Database = None,
    data_dir: DataDir = None,
) -> None:
    """Start the server. No argument is required."""
    gc.disable()  # nearly nothing of what is loaded now is ever garbage; `run_server` enables it
    from gatelodge.serving import run_server  # noqa: PLC0415 - see `call.py`

    options = {
        "host": host,
        "port": port,
        "workers": workers,
        "profile": profile,
        "database": database,
        "data_dir": data_dir,
    }
    settings = read_settings(options)
    run_server(settings, command=_called_as(sys.argv[0]))


@app.command()
@with_usual_options
def migrate(call: Call) -> None:
    """Migrate the database to the schema of this version. `serve` does it too."""
    from gatelodge.logs import tell  # noqa: PLC0415 - see `call.py`
    from gatelodge.stores import open_stores  # noqa: PLC0415 - see `call.py`

    database = open_stores(call.settings().database_address).database
    database.exists()  # unlike `migrate`, it waits for no primary of MongoDB
    with database.hold():
        steps = database.migrate(tell)
    call.say({"steps": steps}, "\n".join(steps) or "Nothing to do.")


app.command("doctor")(doctor.doctor)
app.command("backup")(transfer.backup)
app.command("restore")(transfer.restore)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    import tempfile  # noqa: PLC0415 - see `call.py`

    from gatelodge.app import build, create_api  # noqa: PLC0415 - see `call.py`
    from gatelodge.web.openapi import document_of  # noqa: PLC0415 - see `call.py`

    with tempfile.TemporaryDirectory() as nowhere:
        api = create_api(build(Settings(data_dir=Path(nowhere))))
        print(json.dumps(document_of(api), indent=2))


def main() -> NoReturn:
    """Run one command. A refusal becomes a sentence and an exit code, not a traceback."""
    if sys.stderr is None:  # closed: the next opened file would get its descriptor
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open until the end
    for stream in (sys.stdout, sys.stderr):  # a terminal may show ASCII only
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except (StoreUnavailable, OutcomeUnknown, HashingBusy) as refusal:
        _fail(refusal.message, UNAVAILABLE)
    except Refusal as refusal:
        _fail(refusal.message, REFUSED)
    except ConfigurationError as error:
        _fail(str(error), NOT_CONFIGURED)
    sys.exit(0)


def _called_as(path: str) -> str:
    """Return what the reader typed to call this program, for hints."""
    if Path(path).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m gatelodge"
    return shlex.quote(path)


def _fail(sentence: str, code: int) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(code)
