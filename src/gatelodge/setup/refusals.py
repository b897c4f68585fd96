"""The refusal of the setup link."""

from gatelodge.errors import Gone
from gatelodge.marks import N_


class InvalidSetupLink(Gone):
    """The setup link is not the newest one, has expired or was used, or an administrator exists."""

    code = "setup_link_invalid"
    default = "This link does not work any more."
    sentence = N_("This link does not work any more.")
