"""The refusals about backups and exports."""

from gatelodge.errors import Conflict


class FileTaken(Conflict):
    """Backups and exports do not overwrite files."""

    code = "file_taken"
    default = "There is such a file already. Name a new one."


class WrongSecretKey(Conflict):
    """The backup was made with another secret key, so no server could start with it."""

    code = "secret_key_wrong"
    default = "The backup was made with another secret key."


class ExportCutShort(Conflict):
    """An export to this file was cut short, and can be continued."""

    code = "export_cut_short"
    default = "An export to this file was cut short. Go on with --resume."


class NotThisExport(Conflict):
    """An export cannot be continued in a file that another one has written."""

    code = "export_other"
    default = "The file is no export of this kind."
