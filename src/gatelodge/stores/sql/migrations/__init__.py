"""The migrations: the steps that bring an SQLite file to the schema of this version."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from gatelodge.errors import ConfigurationError


def run_migrations(connection: Connection) -> list[str]:
    """Run the missing steps in the caller's transaction; return a line for each of them.

    Raises:
        ConfigurationError: the file was made by a newer version of Gatelodge.
    """
    scripts = script_directory()
    steps: list[str] = []

    def missing(revision: str, _context: object) -> list[object]:
        found = list(scripts._upgrade_revs("head", revision))  # noqa: SLF001
        steps.extend(f"{step.revision.revision}: {step.revision.doc}" for step in found)
        return list(found)

    environment = EnvironmentContext(Config(), scripts, fn=missing)
    environment.configure(connection=connection, transactional_ddl=False)
    try:
        environment.run_migrations()
    except CommandError as error:
        raise ConfigurationError(_NEWER) from error
    return steps


def check_known(revision: str) -> None:
    """Check that this version knows a revision.

    Raises:
        ConfigurationError: the file was made by a newer version of Gatelodge.
    """
    try:
        script_directory().get_revision(revision)
    except CommandError as error:
        raise ConfigurationError(_NEWER) from error


def script_directory() -> ScriptDirectory:
    """Return the folder of migrations in this package."""
    return ScriptDirectory(str(Path(__file__).parent))


_NEWER = "This database was made by a newer version of Gatelodge: upgrade, or use its backup."
