"""One call of a command: the common options, the open house, and the printed result."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gatelodge.errors import NotFound
from gatelodge.settings import Settings, read_duration, read_settings

if TYPE_CHECKING:  # commands import what they need themselves, so that each starts fast
    from gatelodge.foundation import Foundation

T = TypeVar("T")

Database = Annotated[
    str | None,
    typer.Option(help="mongodb://… or the path of an SQLite file. [GATELODGE_DATABASE]"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder for the database and the secret key. [GATELODGE_DATA_DIR]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class NoDatabase(NotFound):
    """A command that works on what is there finds no database."""

    code = "database_not_found"
    default = "There is no Gatelodge database there."


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command, with the options that nearly all commands have.

    Attributes:
        database: the database; it replaces the setting unless None.
        data_dir: the data folder; it replaces the setting unless None.
        as_json: whether the command prints JSON instead of a sentence.
    """

    database: str | None
    data_dir: Path | None
    as_json: bool

    def settings(self) -> Settings:
        """Return the settings, with the options of this call.

        Raises:
            ConfigurationError: a setting has a value that is not allowed.
        """
        return read_settings({"database": self.database, "data_dir": self.data_dir})

    def in_house(
        self, work: "Callable[[Foundation], Coroutine[Any, Any, T]]", *, makes: bool = False
    ) -> T:
        """Run some work in an open house, beside whatever server runs on the same database.

        Args:
            work: takes the open house; its result is returned.
            makes: whether a database, and a secret key, are made where there are none.

        Raises:
            NoDatabase: there is none, and `makes` is False: nothing is made.
        """
        from gatelodge.foundation import Foundation  # noqa: PLC0415 - see `call.py`
        from gatelodge.logs import set_up_logs, tell  # noqa: PLC0415 - see `call.py`
        from gatelodge.stores import open_stores  # noqa: PLC0415 - see `call.py`

        settings = self.settings()
        set_up_logs("warning")
        database = open_stores(settings.database_address).database
        if makes:
            database.exists()  # unlike `migrate`, it waits for no primary of MongoDB
        else:
            self.require_database(settings)
        with database.hold():
            house = Foundation(settings, make_key=makes).made()
            house.stores.database.migrate(tell)

            async def run() -> T:
                async with house.open():
                    return await _naming_roles(house, work)

            return asyncio.run(run())

    def require_database(self, settings: Settings) -> None:
        """Check that there is a database.

        Raises:
            NoDatabase: there is none; nothing is made.
        """
        from gatelodge.stores import open_stores  # noqa: PLC0415 - see `call.py`

        if not open_stores(settings.database_address).database.exists():
            raise NoDatabase(
                f"There is no Gatelodge database at {settings.database_place}. Commands look "
                "where --database or --data-dir say, or GATELODGE_DATABASE or GATELODGE_DATA_DIR."
            )

    def say(self, value: object, sentence: str) -> None:
        """Print the value as JSON with `--json`, else the sentence."""
        print(json.dumps(value, indent=2) if self.as_json else sentence)

    def say_table(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        """Print rows as JSON with `--json`, else as a table.

        Args:
            rows: the values by their names in JSON.
            columns: the headings of the table, by the name of the value below each.
        """
        if self.as_json:
            print(json.dumps(rows, indent=2))
            return
        from rich.console import Console  # noqa: PLC0415 - slow to import
        from rich.table import Table  # noqa: PLC0415 - slow to import
        from rich.text import Text  # noqa: PLC0415 - slow to import

        table = Table(box=None)
        for heading in columns.values():
            table.add_column(heading, overflow="fold")  # nothing is cut off: ids are copied
        for row in rows:
            table.add_row(*(Text(plain(row[name])) for name in columns))
        width = None if sys.stdout.isatty() else _WIDTH
        Console(width=width).print(table)


async def _naming_roles(
    house: "Foundation", work: "Callable[[Foundation], Coroutine[Any, Any, T]]"
) -> T:
    """Run the work. If it is refused because there is no such role, say which roles there are."""
    from gatelodge.accounts.refusals import NoSuchRole, UnknownRole  # noqa: PLC0415 - see above

    try:
        return await work(house)
    except (UnknownRole, NoSuchRole) as refusal:
        names = [role.name for role in await house.roles.list_roles()]
        more = f", and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        known = f"{', '.join(names[:_MAX_NAMED])}{more}"
        raise type(refusal)(f"{refusal.message} There are: {known}.") from refusal


_MAX_NAMED = 20
_WIDTH = 200
"""The width of a table that is not printed to a terminal."""

_MAX_LIMIT = 1_000_000_000


def with_usual_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a function for Typer that has the command's own options and the common ones.

    The command itself takes a `Call` as its first argument. Typer has no shared options; it reads
    the options from the signature of the function, so this function sets that signature.
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


def limit_of(text: str) -> int:
    """Read a number of things from the command line.

    Raises:
        BadParameter: it is no whole number, or out of range.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _MAX_LIMIT:
        raise typer.BadParameter(f"it must be a whole number from 1 to {_MAX_LIMIT}.")
    return number


def choice_of(text: str, known: tuple[T, ...]) -> T:
    """Read one of the known words from the command line.

    Raises:
        BadParameter: it is none of them.
    """
    for each in known:
        if text == each:
            return each
    raise typer.BadParameter(f"it must be one of {', '.join(map(str, known))}.")


def duration_of(text: str) -> timedelta:
    """Read a duration from the command line, such as `30m`, `24h` or `7d`.

    Raises:
        BadParameter: it is none.
    """
    try:
        return read_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"A duration {error}") from None


def plain(value: object) -> str:
    """Return a value as commands print it for people."""
    if value is None or value in ("", []):
        return "-"
    return ", ".join(value) if isinstance(value, list) else str(value)
