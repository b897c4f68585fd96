"""Make a backup of a database, and restore it."""

import contextlib
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gatelodge.audit import Event
from gatelodge.data_folder import flush
from gatelodge.errors import ConfigurationError, OutcomeUnknown, StoreUnavailable
from gatelodge.master_key import MasterKey
from gatelodge.stores import Copies, Replacement
from gatelodge.stores.refusals import NotABackup
from gatelodge.tokens.key_ring import SEAL_PURPOSE
from gatelodge.transfer.files import draft_of, errors_of, publish
from gatelodge.transfer.refusals import WrongSecretKey


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        set_aside: where the files are that were there before.
        key_is_known: whether the secret key was compared with the backup, and fits.
    """

    set_aside: list[Path]
    key_is_known: bool


def key_file_of(file: Path) -> Path:
    """Return the file beside a backup that holds the secret key, if it was asked for."""
    return file.with_name(f"{file.name}.key")


def back_up(copies: Copies, file: Path, key: MasterKey | None, event: Event) -> None:
    """Write a checked backup into a new file, which only this user can read.

    Args:
        copies: of the database.
        file: the new file. It appears complete: a process that is killed leaves drafts at most,
            under other names.
        key: the secret key, to put it into a file beside the backup; None: it is not written.
        event: of the backup; it is stored in the database when the file is complete.

    Raises:
        FileTaken: there is such a file, or a file of that key.
        ConfigurationError: the database cannot be read, or the file cannot be written.
        OutcomeUnknown: the file is complete, but the event could not be stored.
    """
    with errors_of(file), contextlib.ExitStack() as stack:
        draft = stack.enter_context(draft_of(file))
        draft_of_key = stack.enter_context(draft_of(key_file_of(file))) if key else None
        copies.write(draft)
        if key and draft_of_key:
            _write_key(key, draft_of_key)
            publish(draft_of_key, key_file_of(file))
        try:
            publish(draft, file)
        except BaseException:
            if key:
                key_file_of(file).unlink()
            raise
        flush(file.parent)
    try:
        copies.record(event)
    except StoreUnavailable as error:
        raise OutcomeUnknown(f"The database is in {file}. {error.message}") from error


def restore(copies: Copies, file: Path, key: MasterKey | None, event: Event) -> Restored:
    """Put a backup in place of the database. The files of before are moved aside.

    Args:
        copies: of the database.
        file: the backup.
        key: the secret key that servers will have; None: there is none yet.
        event: of the restore; it is stored in the restored database.

    Raises:
        NotABackup: the file is no sound backup.
        WrongSecretKey: the backup was made with another secret key.
        DatabaseInUse: a server, a command or another program uses the database.
        ConfigurationError: the database belongs to another program, or cannot be replaced.
    """
    with copies.replacing(file, event) as replacement:
        if key is not None:
            _check_fits(key, replacement)
    return Restored(replacement.set_aside, key_is_known=key is not None)


def restore_with_key(copies: Copies, file: Path, place: Path, event: Event) -> Restored:
    """Put a backup in place of the database, and the secret key beside it in its place.

    Args:
        copies: of the database.
        file: the backup.
        place: the secret key file. A file that is there is moved aside.
        event: of the restore; it is stored in the restored database.

    Raises:
        Refusal, ConfigurationError: as for `restore`.
    """
    key = read_key_of(file)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
    with errors_of(place), contextlib.ExitStack() as stack:
        stack.callback(draft.unlink, missing_ok=True)
        key.save(draft)
        with copies.replacing(file, event) as replacement:
            _check_fits(key, replacement)
        moved = _put_in_place(draft, place, event.at)
    return Restored([*replacement.set_aside, *moved], key_is_known=True)


def read_key_of(file: Path) -> MasterKey:
    """Return the secret key beside a backup.

    Raises:
        NotABackup: there is none.
        ConfigurationError: it is unfit, or others may read it.
    """
    if not key_file_of(file).is_file():
        raise NotABackup(f"There is no secret key beside the backup, in {key_file_of(file)}.")
    return MasterKey.from_file(key_file_of(file))


def _check_fits(key: MasterKey, replacement: Replacement) -> None:
    for kid, sealed in replacement.sealed_keys.items():
        try:
            key.unseal(SEAL_PURPOSE, sealed, kid.encode())
        except ConfigurationError:
            raise WrongSecretKey(
                "The backup was made with another secret key than the one here. Nothing was "
                "changed. Put the key of that time in its place first, or restore it with "
                "--with-secret-key if it is beside the backup."
            ) from None


def _put_in_place(draft: Path, place: Path, at: datetime) -> list[Path]:
    """Rename the draft of a key file, and move another key that is there aside."""
    if place.exists() and place.read_bytes() == draft.read_bytes():
        return []
    if os.geteuid() == 0:  # else the server's user could not read it
        folder = place.parent.stat()
        os.chown(draft, folder.st_uid, folder.st_gid)
    aside = place.with_name(f"{place.name}.{at:%Y%m%dT%H%M%S.%fZ}")
    moved = [aside] if place.exists() else []
    for new in moved:
        place.rename(new)
    draft.rename(place)
    flush(place.parent)
    return moved


def _write_key(key: MasterKey, draft: Path) -> None:
    draft.unlink()
    key.save(draft)
