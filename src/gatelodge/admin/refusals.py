"""The refusals of administration."""

from gatelodge.errors import NotPermitted, Unavailable
from gatelodge.marks import N_


class OutOfReach(NotPermitted):
    """The user may do something that whoever acts may not."""

    code = "out_of_reach"
    default = "This user may do more than you may, so you may not act on them."
    sentence = N_("This user may do more than you may, so you may not act on them.")
    oauth_error = "insufficient_scope"


class RoleNotEditable(NotPermitted):
    """The role permits something that whoever edits it may not do."""

    code = "role_not_editable"
    default = "This role permits more than you may do, so you may not change it."
    sentence = N_("This role permits more than you may do, so you may not change it.")
    oauth_error = "insufficient_scope"


class PermissionNotGrantable(NotPermitted):
    """Whoever gives the permission does not have it, or only a command gives it."""

    code = "permission_not_grantable"
    default = "You can give only permissions that you have. A command gives users:impersonate."
    sentence = N_("You can give only permissions that you have. A command gives users:impersonate.")
    oauth_error = "insufficient_scope"


class TooManyOnlookers(Unavailable):
    """As many as this process serves see new events already."""

    code = "too_many_onlookers"
    default = "Too many people look at new events at the moment."
    sentence = N_("Too many people look at new events at the moment.")
