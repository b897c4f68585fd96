"""The refusals about copies of a database."""

from gatelodge.errors import Conflict, Invalid


class DatabaseInUse(Conflict):
    """The database cannot be replaced, because a server or a command uses it."""

    code = "database_in_use"
    default = "A server or a command uses this database. Stop it, and try again."


class NotABackup(Invalid):
    """The file cannot be restored; the message says why."""

    code = "backup_invalid"
    default = "That file is no backup of a Gatelodge database."
