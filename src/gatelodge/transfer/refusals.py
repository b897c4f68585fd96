"""The refusals about backups."""

from gatelodge.errors import Conflict


class FileTaken(Conflict):
    """A backup does not overwrite files."""

    code = "file_taken"
    default = "There is such a file already. Name a new one."


class WrongSecretKey(Conflict):
    """The backup was made with another secret key, so no server could start with it."""

    code = "secret_key_wrong"
    default = "The backup was made with another secret key."
