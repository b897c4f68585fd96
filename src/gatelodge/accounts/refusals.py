"""The refusals for names, roles and users."""

from gatelodge.errors import Conflict, Invalid, NotFound, NotPermitted
from gatelodge.marks import N_


class UsernameTaken(Invalid):
    """The username, or one that folds to the same key, belongs to somebody."""

    code = "username_taken"
    default = "Failed! Username is already in use!"
    sentence = N_("That username is taken. Please choose another.")


class EmailTaken(Invalid):
    """The e-mail address belongs to somebody."""

    code = "email_taken"
    default = "Failed! Email is already in use!"
    sentence = N_("There is an account with this e-mail address already.")


class InvalidUsername(Invalid):
    """The username breaks the rules for names."""

    code = "username_invalid"
    default = "That username cannot be used."


class InvalidName(Invalid):
    """The text cannot be shown as somebody's name."""

    code = "name_invalid"
    default = "A name has at most 100 characters, and no control or invisible characters."
    sentence = N_("A name has at most 100 characters, and no control or invisible characters.")


class UsernameFixed(NotPermitted):
    """The operator lets nobody change their username."""

    code = "username_fixed"
    default = "Usernames cannot be changed here."
    sentence = N_("Usernames cannot be changed here.")


class InvalidEmail(Invalid):
    """The text is not an e-mail address."""

    code = "email_invalid"
    default = "That is not an e-mail address."
    sentence = N_("Enter an e-mail address, such as name@example.com.")


class UnknownRole(Invalid):
    """No role has this name."""

    code = "role_unknown"
    default = "Failed! Role does not exist!"


class SignUpClosed(NotPermitted):
    """The operator lets nobody sign up."""

    code = "sign_up_closed"
    default = "Nobody can sign up here. Ask whoever runs this site for an account."
    sentence = N_("Nobody can sign up here. Ask whoever runs this site for an account.")


class RoleNotGrantable(NotPermitted):
    """A sign-up asked for a role other than `user`."""

    code = "role_not_grantable"
    default = "Only an administrator can grant that role."


class InvalidRoleName(Invalid):
    """A role cannot have this name."""

    code = "role_name_invalid"
    default = N_(
        "A role's name has 1 to 64 characters: letters a to z, digits, hyphens and underscores. "
        "It starts with a letter."
    )
    sentence = default


class InvalidDescription(Invalid):
    """A role cannot have this description."""

    code = "role_description_invalid"
    default = N_("A description is one line of at most 256 printable characters.")
    sentence = default


class InvalidPermission(Invalid):
    """The text is not a permission."""

    code = "permission_invalid"
    default = N_(
        "A permission is two words with a colon between them, such as users:read, of letters a to "
        "z, digits, hyphens and underscores, at most 128 characters in all. There are no wildcards."
    )
    sentence = default


class NoSuchRole(NotFound):
    """An operator asked for a role that does not exist."""

    code = "role_not_found"
    default = N_("There is no such role.")
    sentence = default


class RoleNameTaken(Conflict):
    """There is a role of this name."""

    code = "role_name_taken"
    default = N_("There is a role of this name already.")
    sentence = default


class BuiltInRole(Conflict):
    """Every installation has this role; it cannot be deleted."""

    code = "role_built_in"
    default = N_("The roles user, moderator and admin cannot be deleted.")
    sentence = default


class RoleHeld(Conflict):
    """The role cannot be deleted, or created again, while somebody holds it."""

    code = "role_held"
    default = (
        "Somebody holds this role. Delete it with --take-from-all, in the API takeFromAll=true, to "
        "take it from everybody."
    )
    sentence = N_(
        "Somebody still holds a role of this name. An administrator can delete it, and take it "
        "from everybody."
    )


class RoleFull(Conflict):
    """The role has the maximum number of permissions."""

    code = "role_full"
    default = N_("A role has at most 256 permissions.")
    sentence = default


class AdminNeedsPermission(Conflict):
    """The role `admin` cannot lose this permission."""

    code = "admin_needs_permission"
    default = N_(
        "The role admin cannot lose the permissions that administer. Nobody could give them back."
    )
    sentence = default


class NoSuchUser(NotFound):
    """No user has this id or name."""

    code = "user_not_found"
    default = "There is no such user."


class NoPassword(Conflict):
    """The user has no password, so a new one cannot be required."""

    code = "no_password"
    default = N_("This user has no password.")
    sentence = default


class UserDisabled(Conflict):
    """The user is disabled, and must be enabled first."""

    code = "user_disabled"
    default = N_("This user is disabled. Enable them first.")
    sentence = default


class InvalidReason(Invalid):
    """The text cannot be kept as the reason of an act."""

    code = "reason_invalid"
    default = N_("A reason is one line of at most 256 printable characters.")
    sentence = default


class LastAdmin(Conflict):
    """The change would leave no enabled user who holds the role `admin`."""

    code = "last_admin"
    default = "This is the last administrator: make another one first."
    sentence = N_(
        "You are the last administrator. Make somebody else one before you delete your account."
    )
