"""What is refused of the setup link.

Only who holds the newest link is told whether it has expired, and that there is an administrator.
"""

from gatelodge.errors import Gone
from gatelodge.marks import N_


class InvalidSetupLink(Gone):
    """The setup link is not the newest one, has expired or was used, or an administrator exists."""

    code = "setup_link_invalid"
    default = "This link does not work any more."
    sentence = N_("This link does not work any more.")


class ExpiredSetupLink(InvalidSetupLink):
    """The setup link is the newest one, and its time is over."""

    sentence = N_("This link is older than 30 minutes.")


class AdministratorExists(InvalidSetupLink):
    """The setup link is the newest one, and there is an administrator already."""

    sentence = N_("There is an administrator already.")
