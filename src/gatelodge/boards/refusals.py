"""What callers of the boards are refused."""

from gatelodge.errors import NotPermitted
from gatelodge.gate.refusals import Forbidden, NoToken
from gatelodge.marks import N_


class NoTokenForBoard(NotPermitted, NoToken):
    """No access token at one of the three boards, which keep the tutorial's status for it."""


class ModeratorRequired(Forbidden):
    """The moderator board, asked for by somebody else."""

    code = "moderator_required"
    default = "Require Moderator Role!"
    sentence = N_("This board is for moderators.")
