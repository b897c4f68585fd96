"""The folder with the database and the secret key. Only the server's user should read it."""

import contextlib
import os
import stat
from pathlib import Path

SECRET_KEY = "secret.key"  # noqa: S105 - the name of a file
DATABASE = "gatelodge.db"
BREACHED = "breached-passwords"
OUTBOX = "outbox"
"""The folder with the letters of a server in development."""

OTHERS = stat.S_IRWXG | stat.S_IRWXO
NOT_FOR_KEYS = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
"""The permissions with which the secret key file is refused; orchestrators mount 0440."""


def keep_private(folder: Path) -> str | None:
    """Remove the permissions of other users, or return a warning for the operator.

    The permissions are removed only if the folder belongs to this user and holds nothing but the
    server's files (security.md, section 12). A folder with other files may be somebody's home, or
    shared on purpose: its permissions stay, and the operator is warned.

    Returns:
        The warning, or None if there is nothing to warn of.
    """
    try:
        found = folder.stat()
        is_ours = [_is_ours(file.name) for file in folder.iterdir()]
    except OSError:  # it does not exist, or this user may not read it
        return None
    if os.name != "posix" or not found.st_mode & OTHERS or not any(is_ours):
        return None
    if all(is_ours) and _may_close(found):
        with contextlib.suppress(OSError):
            folder.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
            return None
    return (
        f"other users may enter the data folder {folder}: "
        "move the data to a folder of its own with mode 700"
    )


def is_open_to_others(folder: Path) -> bool:
    """Say whether the folder holds files of the server, and other users may enter it."""
    try:
        is_open = os.name == "posix" and bool(folder.stat().st_mode & OTHERS)
        return is_open and any(_is_ours(file.name) for file in folder.iterdir())
    except OSError:  # it does not exist, or this user may not read it
        return False


def flush(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_ours(name: str) -> bool:
    """Say whether the server uses a file of this name; additional files of each count too."""
    return name == OUTBOX or name.startswith((SECRET_KEY, DATABASE, BREACHED))


def _may_close(folder: os.stat_result) -> bool:
    """Say whether the folder belongs to this user and is not for everybody, such as /tmp."""
    return folder.st_uid == os.geteuid() and not folder.st_mode & stat.S_ISVTX
