"""What is refused of names, roles and users."""

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


class InvalidEmail(Invalid):
    """The text is not an e-mail address."""

    code = "email_invalid"
    default = "That is not an e-mail address."
    sentence = N_("Enter an e-mail address, such as name@example.com.")


class UnknownRole(Invalid):
    """No role has this name."""

    code = "role_unknown"
    default = "Failed! Role does not exist!"


class RoleNotGrantable(NotPermitted):
    """A sign-up asked for more than `user`."""

    code = "role_not_grantable"
    default = "Only an administrator can grant that role."


class NoSuchUser(NotFound):
    """No user has this id or name."""

    code = "user_not_found"
    default = "There is no such user."


class LastAdmin(Conflict):
    """The change would leave nobody who can administer."""

    code = "last_admin"
    default = "This is the last administrator: make another one first."
    sentence = N_(
        "You are the last administrator. Make somebody else one before you delete your account."
    )
