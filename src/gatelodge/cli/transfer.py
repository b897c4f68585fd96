"""The commands that make a backup, and restore it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatelodge.audit import COMMAND, MAX_TEXT, AuditLog
from gatelodge.cli.call import Call, with_usual_options
from gatelodge.clock import SystemClock
from gatelodge.data_folder import SECRET_KEY
from gatelodge.errors import ConfigurationError
from gatelodge.settings import Settings

if TYPE_CHECKING:  # see `call.py`
    from gatelodge.master_key import MasterKey
    from gatelodge.transfer.service import Restored

WithSecretKey = Annotated[
    bool, typer.Option("--with-secret-key", help="Also the secret key, in FILE.key.")
]


@with_usual_options
def backup(
    call: Call,
    file: Annotated[Path, typer.Argument(help="The new file.")],
    with_secret_key: WithSecretKey = False,
) -> None:
    """Write a complete, checked copy of the SQLite database. Servers may go on running."""
    from gatelodge.foundation import read_master_key  # noqa: PLC0415 - see `call.py`
    from gatelodge.stores import open_stores  # noqa: PLC0415 - see `call.py`
    from gatelodge.transfer.service import back_up, key_file_of  # noqa: PLC0415 - see `call.py`

    settings = call.settings()
    stores = open_stores(settings.database_address)
    copies = stores.database.copies
    call.require_database(settings)
    key = read_master_key(settings, make=False) if with_secret_key else None
    detail = {"file": _printable(file), "secret_key": "yes" if key else "no"}
    event = AuditLog(stores.events, SystemClock()).event(
        "database.backed_up", COMMAND, detail=detail
    )
    back_up(copies, file, key, event)
    shown = {"file": str(file), "secret_key": str(key_file_of(file)) if key else None}
    call.say(shown, f"The database is in {file}.")
    if key:
        print(
            f"Warning: {key_file_of(file)} is the secret key. Whoever has both files can sign "
            "tokens for anybody: keep them apart.",
            file=sys.stderr,
        )


@with_usual_options
def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(help="The file that `gatelodge backup` wrote.")],
    with_secret_key: WithSecretKey = False,
) -> None:
    """Put a backup in place of the SQLite database. No server may run; nothing is deleted."""
    settings = call.settings()
    done = _restore(settings, file, with_secret_key=with_secret_key)
    aside = [str(each) for each in done.set_aside]
    moved = f" What was there before is in {', '.join(aside)}." if aside else ""
    call.say(
        {"restored": settings.database_address, "set_aside": aside},
        f"{file} is restored to {settings.database_address}.{moved}",
    )
    if not done.key_is_known:
        print(
            f"Warning: there is no secret key in {settings.data_dir / SECRET_KEY} yet. Put the one "
            "of the backup there before you start a server.",
            file=sys.stderr,
        )


def _restore(settings: Settings, file: Path, *, with_secret_key: bool) -> "Restored":
    from gatelodge.foundation import read_master_key  # noqa: PLC0415 - see `call.py`
    from gatelodge.stores import open_stores  # noqa: PLC0415 - see `call.py`
    from gatelodge.transfer import service  # noqa: PLC0415 - see `call.py`

    stores = open_stores(settings.database_address)
    copies = stores.database.copies
    event = AuditLog(stores.events, SystemClock()).event(
        "database.restored", COMMAND, detail={"file": _printable(file)}
    )
    place = settings.data_dir / SECRET_KEY
    is_set = settings.secret_key is not None or settings.secret_key_file is not None
    if with_secret_key and not is_set:
        return service.restore_with_key(copies, file, place, event)
    key = read_master_key(settings, make=False) if is_set or place.exists() else None
    if with_secret_key and key is not None:
        _check_same(key, service.read_key_of(file))
    return service.restore(copies, file, key, event)


def _printable(file: Path) -> str:
    """Return the path as an event can keep it; names of files may be no UTF-8."""
    return str(file).encode("utf-8", "backslashreplace").decode()[:MAX_TEXT]


def _check_same(set_here: "MasterKey", in_backup: "MasterKey") -> None:
    """Refuse to restore a key that a setting would win over."""
    if set_here != in_backup:
        raise ConfigurationError(
            "GATELODGE_SECRET_KEY or GATELODGE_SECRET_KEY_FILE is set to another key than the one "
            "beside the backup. Set it to that one, then restore without --with-secret-key."
        )
