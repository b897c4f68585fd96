"""The folder with the database and the secret key, which is for this user alone."""

import contextlib
import os
import stat
from pathlib import Path

SECRET_KEY = "secret.key"  # noqa: S105 - the name of a file
DATABASE = "gatelodge.db"
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private(folder: Path) -> str | None:
    """Keep others out of the folder; return a sentence for the operator where that is theirs to do.

    A folder that is the server's own is closed (security.md, section 12): this user's, and with
    nothing else in it. One that holds other files too is somebody's home, or shared on purpose.
    """
    try:
        found = folder.stat()
        ours = [_is_ours(file.name) for file in folder.iterdir()]
    except OSError:  # there is none, or it is not for us to look into
        return None
    if os.name != "posix" or not found.st_mode & OTHERS or not any(ours):
        return None
    if all(ours) and _may_close(found):
        with contextlib.suppress(OSError):
            folder.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
            return None
    return f"others may enter the data folder {folder}: give the data one of its own, of mode 700"


def _is_ours(name: str) -> bool:
    """Say whether the server gave a file this name; what SQLite puts beside its file included."""
    return name.startswith((SECRET_KEY, DATABASE))


def _may_close(folder: os.stat_result) -> bool:
    """Say whether it is this user's, and not one for everybody, such as /tmp."""
    return folder.st_uid == os.geteuid() and not folder.st_mode & stat.S_ISVTX
