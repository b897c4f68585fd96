"""The refusals of the commands for breached passwords."""

from gatelodge.errors import Conflict, Invalid, NotFound


class NotABreachList(Invalid):
    """The file has other lines than SHA-1 and count; nothing was imported."""

    code = "breach_list_invalid"
    default = "That is no list of breached passwords. Nothing was imported."


class ImportRunning(Conflict):
    """Another process imports breached passwords into this data folder."""

    code = "import_running"
    default = "An import of breached passwords is running already. Nothing was changed."


class NoBreachedPasswords(NotFound):
    """The data folder has no list of breached passwords."""

    code = "breach_list_not_found"
    default = "There is no list of breached passwords."
