"""Databases as tests begin with them."""

import shutil
from pathlib import Path

from gatelodge.stores import open_stores
from tests.support import run


def migrated(file: Path) -> Path:
    """Put an SQLite file of the newest revision in a place, unless one is there; return the place.

    The migrations run once for all tests, and every file is a copy of what came of that.
    """
    if file.exists():
        return file
    model = run.folder() / "migrated" / "gatelodge.db"
    with run.locked("migrated"):
        if not model.exists():
            open_stores(str(model)).database.migrate()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(model, file)
    file.chmod(0o600)
    return file
