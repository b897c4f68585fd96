"""The command line: serve, user, keys, migrate, openapi."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from getpass import getpass
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from gatelodge.errors import (
    ConfigurationError,
    HashingBusy,
    OutcomeUnknown,
    Refusal,
    StoreUnavailable,
)
from gatelodge.settings import Settings, read_settings

if TYPE_CHECKING:  # what only some commands need is imported by those, so that each starts fast
    from gatelodge.accounts.store import User
    from gatelodge.app import House

T = TypeVar("T")

REFUSED = 3
NOT_CONFIGURED = 4
UNAVAILABLE = 5

app = typer.Typer(
    name="gatelodge",
    help="A login and authorization server. `gatelodge serve` is all it takes to start.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
user_app = typer.Typer(help="Make users and change what they may do.", no_args_is_help=True)
keys_app = typer.Typer(help="See and rotate the keys that sign tokens.", no_args_is_help=True)
app.add_typer(user_app, name="user")
app.add_typer(keys_app, name="keys")

Database = Annotated[
    str | None,
    typer.Option(help="mongodb://… or the path of an SQLite file. [GATELODGE_DATABASE]"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder for the database and the secret key. [GATELODGE_DATA_DIR]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Username = Annotated[str, typer.Argument(help="However it is written: names ignore case.")]
RoleName = Annotated[str, typer.Argument(help="Such as user, moderator or admin.")]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command, with the options that nearly all commands take.

    Attributes:
        database: where the users are, in place of the setting.
        data_dir: the folder with the database and the secret key, in place of the setting.
        as_json: whether a program reads what the command has to say.
    """

    database: str | None
    data_dir: Path | None
    as_json: bool

    def settings(self) -> Settings:
        """Return the settings."""
        return read_settings(database=self.database, data_dir=self.data_dir)

    def in_house(self, work: "Callable[[House], Coroutine[Any, Any, T]]") -> T:
        """Run some work in an open house, beside whatever server runs on the same database."""
        from gatelodge.app import build  # noqa: PLC0415 - see above
        from gatelodge.logs import set_up_logs  # noqa: PLC0415 - see above

        settings = self.settings()
        set_up_logs("warning")
        house = build(settings)
        house.stores.database.migrate()

        async def run() -> T:
            async with house.open():
                return await work(house)

        return asyncio.run(run())

    def change(
        self,
        username: str,
        make: "Callable[[House, User], Coroutine[Any, Any, bool]]",
        *,
        done: str,
        undone: str,
    ) -> None:
        """Change a user, and say what was done, or what was so already."""

        async def work(house: "House") -> "tuple[User, bool]":
            user = await house.accounts.get_by_username(username)
            changed = await make(house, user)
            return await house.accounts.get_by_username(username), changed

        user, changed = self.in_house(work)
        sentence = f"{user.username} {done if changed else undone}."
        self.say({"changed": changed, "user": _user_as_json(user)}, sentence)

    def say(self, value: object, sentence: str) -> None:
        """Print the value for a program, the sentence for a person."""
        print(json.dumps(value, indent=2) if self.as_json else sentence)


def with_usual_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command as Typer is to read it: with the usual options after its own.

    The command itself takes a `Call` in their place. Typer has no options that commands share, but
    reads what a command takes from its signature: so that is where they are said.
    """

    def called(
        *,
        database: Database = None,
        data_dir: DataDir = None,
        as_json: AsJson = False,
        **own: Any,
    ) -> None:
        command(Call(database, data_dir, as_json), **own)

    _, *wanted = signature(command).parameters.values()
    *usual, _ = signature(called).parameters.values()
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__signature__ = Signature([*wanted, *usual])  # type: ignore[attr-defined]
    return called


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [GATELODGE_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [GATELODGE_PORT]")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes. [GATELODGE_WORKERS]")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="`tutorial` for clients that cannot change. [GATELODGE_PROFILE]"),
    ] = None,
    database: Database = None,
    data_dir: DataDir = None,
) -> None:
    """Start the server. Complete without arguments."""
    from gatelodge.serving import run_server  # noqa: PLC0415 - see above

    settings = read_settings(
        host=host,
        port=port,
        workers=workers,
        profile=profile,
        database=database,
        data_dir=data_dir,
    )
    run_server(settings, command=shlex.quote(sys.argv[0]))


@app.command()
@with_usual_options
def migrate(call: Call) -> None:
    """Bring the database to the shape this version needs. `serve` does it too."""
    from gatelodge.stores import open_stores  # noqa: PLC0415 - see above

    steps = open_stores(call.settings().database_address).database.migrate()
    call.say({"steps": steps}, "\n".join(steps) or "Nothing to do.")


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    import tempfile  # noqa: PLC0415 - see above

    from gatelodge.app import build, create_api  # noqa: PLC0415 - see above
    from gatelodge.web.openapi import document_of  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory() as nowhere:
        api = create_api(build(Settings(data_dir=Path(nowhere))))
        print(json.dumps(document_of(api), indent=2))


@user_app.command("create")
@with_usual_options
def user_create(
    call: Call,
    username: Annotated[str, typer.Argument(help="What the user signs in with.")],
    email: Annotated[str, typer.Argument(help="Where letters go.")],
    role: Annotated[
        list[str] | None, typer.Option(help="A role to grant; may be repeated. Default: user.")
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Grant user and admin, besides what --role says.")
    ] = False,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help="Read the password from standard input instead of asking."
        ),
    ] = False,
) -> None:
    """Make a user, with any role: this is how the first administrator is made."""
    from gatelodge.accounts.service import NewUser  # noqa: PLC0415 - see above

    roles = [*(["user", "admin"] if admin else []), *(role or [])]
    wanted = NewUser(username, email, _read_password(password_stdin), roles)
    user = call.in_house(lambda house: house.accounts.create(wanted))
    call.say(_user_as_json(user), f"Created {user.username}: {', '.join(user.roles)}.")


@user_app.command("list")
@with_usual_options
def user_list(
    call: Call, limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000
) -> None:
    """List users, the oldest first."""
    users = call.in_house(lambda house: house.stores.users.list_users(after=None, limit=limit))
    if call.as_json:
        print(json.dumps([_user_as_json(user) for user in users], indent=2))
    else:
        _print_users(users)


@user_app.command("show")
@with_usual_options
def user_show(call: Call, username: Username) -> None:
    """Show one user."""
    user = call.in_house(lambda house: house.accounts.get_by_username(username))
    shown = _user_as_json(user)
    lines = [f"{name:<16} {_plain(value)}" for name, value in shown.items()]
    call.say(shown, "\n".join(lines))


@user_app.command("grant")
@with_usual_options
def user_grant(call: Call, username: Username, role: RoleName) -> None:
    """Give a user one more role. Counts on the user's next request."""
    call.change(
        username,
        lambda house, user: house.accounts.grant(user, role),
        done=f"now holds {role}",
        undone=f"held {role} already",
    )


@user_app.command("revoke")
@with_usual_options
def user_revoke(call: Call, username: Username, role: RoleName) -> None:
    """Take one role from a user. Counts on the user's next request."""
    call.change(
        username,
        lambda house, user: house.accounts.withdraw(user, role),
        done=f"no longer holds {role}",
        undone=f"did not hold {role}",
    )


@user_app.command("disable")
@with_usual_options
def user_disable(call: Call, username: Username) -> None:
    """Keep a user out; every session ends. Counts on the user's next request."""
    call.change(
        username,
        lambda house, user: house.accounts.disable(user),
        done="is disabled, and every session has ended",
        undone="was disabled already",
    )


@user_app.command("enable")
@with_usual_options
def user_enable(call: Call, username: Username) -> None:
    """Let a disabled user sign in again."""
    call.change(
        username,
        lambda house, user: house.accounts.enable(user),
        done="may sign in again",
        undone="was not disabled",
    )


@user_app.command("unlock")
@with_usual_options
def user_unlock(call: Call, username: Username) -> None:
    """Let a user sign in again for whom too many tries had failed."""
    call.change(
        username,
        lambda house, user: house.sign_in.forgive(user),
        done="may sign in again",
        undone="was not locked out",
    )


@user_app.command("sign-out")
@with_usual_options
def user_sign_out(call: Call, username: Username) -> None:
    """End every session of a user. Counts on the user's next request."""
    call.change(
        username,
        lambda house, user: house.accounts.sign_out(user),
        done="is signed out everywhere",
        undone="is gone",
    )


@user_app.command("delete")
@with_usual_options
def user_delete(call: Call, username: Username) -> None:
    """Delete a user for good; the name and the address are free again."""

    async def work(house: "House") -> "User":
        user = await house.accounts.get_by_username(username)
        await house.accounts.delete(user)
        return user

    user = call.in_house(work)
    call.say({"deleted": _user_as_json(user)}, f"{user.username} is deleted.")


@keys_app.command("list")
@with_usual_options
def keys_list(call: Call) -> None:
    """List the signing keys, the oldest first. Private parts are never shown."""
    keys = call.in_house(lambda house: house.stores.signing_keys.list_keys())
    rows = [
        {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "not_before": _instant(key.not_before),
            "retires_at": _instant(key.retires_at),
            "gone_at": _instant(key.gone_at),
        }
        for key in keys
    ]
    lines = ["  ".join(f"{name} {_plain(value)}" for name, value in row.items()) for row in rows]
    call.say(rows, "\n".join(lines))


@keys_app.command("rotate")
@with_usual_options
def keys_rotate(call: Call) -> None:
    """Publish a new signing key; it signs as soon as everybody can know it."""
    key = call.in_house(lambda house: house.signing_keys.rotate())
    shown = {"kid": key.kid, "not_before": _instant(key.not_before)}
    call.say(shown, f"Published {key.kid}; it signs from {_instant(key.not_before)} on.")


@keys_app.command("retire")
@with_usual_options
def keys_retire(
    call: Call,
    kid: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
) -> None:
    """Drop a signing key at once, for when its private part leaked: its tokens die with it."""
    dropped = call.in_house(lambda house: house.signing_keys.drop(kid))
    sentence = f"{kid} signs and verifies nothing any more." if dropped else f"No key {kid}."
    call.say({"dropped": dropped}, sentence)


def main() -> NoReturn:
    """Run one command; refusals become a sentence and an exit code, never a traceback."""
    if sys.stderr is None:  # closed: the next file opened would take its number
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - to the end
    try:
        app(standalone_mode=True)
    except (StoreUnavailable, OutcomeUnknown, HashingBusy) as refusal:
        _fail(refusal.message, UNAVAILABLE)
    except Refusal as refusal:
        _fail(refusal.message, REFUSED)
    except ConfigurationError as error:
        _fail(str(error), NOT_CONFIGURED)
    sys.exit(0)


def _read_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "There is no terminal to ask for a password: use --password-stdin."
        )
    password = getpass("Password: ")
    if getpass("Again: ") != password:
        raise ConfigurationError("The two passwords differ.")
    return password


def _print_users(users: "list[User]") -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415 - slow to import
    from rich.text import Text  # noqa: PLC0415 - slow to import

    table = Table("Username", "E-mail", "Roles", "Created", "State", box=None)
    for user in users:
        state = "disabled" if user.disabled_at else "enabled"
        cells = (
            user.username,
            user.email,
            ", ".join(user.roles),
            _instant(user.created_at),
            state,
        )
        table.add_row(*(Text(cell or "") for cell in cells))
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(table)


def _user_as_json(user: "User") -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "roles": list(user.roles),
        "created_at": _instant(user.created_at),
        "verified_at": _instant(user.verified_at),
        "disabled_at": _instant(user.disabled_at),
        "last_sign_in_at": _instant(user.last_sign_in_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else "–" if value is None else str(value)


def _fail(sentence: str, code: int) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(code)
