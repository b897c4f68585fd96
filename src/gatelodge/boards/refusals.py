"""The refusals of the boards."""

from gatelodge.errors import NotPermitted
from gatelodge.gate.refusals import Forbidden, NoToken
from gatelodge.marks import N_


class NoTokenForBoard(NotPermitted, NoToken):
    """There is no access token at a board that needs one: 403, the status of the tutorial."""


class ModeratorRequired(Forbidden):
    """The caller of the moderator board is no moderator."""

    code = "moderator_required"
    default = "Require Moderator Role!"
    sentence = N_("This board is for moderators.")
