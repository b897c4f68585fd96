"""Databases as tests begin with them."""

import shutil
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext

from gatelodge.stores import open_stores
from gatelodge.stores.sql.database import create_sqlite_engine
from gatelodge.stores.sql.migrations import script_directory
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


def with_collections(address: str) -> str:
    """Make the collections and indexes of a MongoDB database; return its address."""
    open_stores(address).database.migrate()
    return address


def of_revision(file: Path, revision: str) -> Path:
    """Make an SQLite file as a version with this newest revision made it; return the place."""
    scripts = script_directory()
    steps = EnvironmentContext(
        Config(), scripts, fn=lambda now, _: list(scripts._upgrade_revs(revision, now))
    )
    file.touch(0o600)
    with create_sqlite_engine(file).begin() as connection:
        steps.configure(connection=connection)
        steps.run_migrations()
    return file
