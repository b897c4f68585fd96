"""The refusals of administration."""

from gatelodge.errors import Conflict, Invalid, NotFound, NotPermitted, Unavailable
from gatelodge.marks import N_


class OutOfReach(NotPermitted):
    """The user may do something that whoever acts may not."""

    code = "out_of_reach"
    default = N_("This user may do more than you may, so you may not act on them.")
    sentence = default
    oauth_error = "insufficient_scope"


class CannotImpersonate(Conflict):
    """Nobody can see the application as this user does: it is oneself, or they are disabled."""

    code = "cannot_impersonate"
    default = N_("This user is disabled, so nobody can see anything as they do.")
    sentence = default


class NotYourself(Conflict):
    """An administrator cannot do this to themselves."""

    code = "not_yourself"
    default = "You cannot disable or delete yourself here."
    sentence = N_(
        "You cannot disable or delete yourself here. You can delete your account on your own page."
    )


class NoSuchInvitation(NotFound):
    """No open invitation has this id."""

    code = "invitation_not_found"
    default = N_("There is no such invitation, or not any more.")
    sentence = default


class RoleNotEditable(NotPermitted):
    """The role permits more than its editor may do; or nothing, and its editor lacks the role."""

    code = "role_not_editable"
    default = N_(
        "This role permits more than you may do, so you may not change it. A role that permits "
        "nothing is changed by administrators and its holders only."
    )
    sentence = default
    oauth_error = "insufficient_scope"


class PermissionNotGrantable(NotPermitted):
    """Whoever gives the permission does not have it, or only a command gives it."""

    code = "permission_not_grantable"
    default = N_("You can give only permissions that you have. A command gives users:impersonate.")
    sentence = default
    oauth_error = "insufficient_scope"


class TooManyOnlookers(Unavailable):
    """As many people as this process serves are looking at new events already."""

    code = "too_many_onlookers"
    default = N_("Too many people look at new events at the moment.")
    sentence = default


class UserNotDeleted(Conflict):
    """Events of a user who exists are not blanked."""

    code = "user_not_deleted"
    default = N_("This user still exists. Delete the user first: then the events can be blanked.")
    sentence = default


class TooManyRoleChanges(Invalid):
    """More changes of roles were asked for than are made together."""

    code = "role_changes_too_many"
    default = N_("At most 40 changes are made at once. Make them in several steps.")
    sentence = default


class TooManyUsers(Invalid):
    """More users were chosen than are acted on together."""

    code = "users_too_many"
    default = N_(
        "At most 200 users can be chosen at once. Nothing was done. Go back and choose fewer."
    )
    sentence = default


class NoSuchEvent(NotFound):
    """No stored event has this id."""

    code = "event_not_found"
    default = N_("There is no such event, or not any more.")
    sentence = default
