"""What is refused of the first administrator's link."""

from gatelodge.errors import Gone
from gatelodge.marks import N_


class InvalidSetupLink(Gone):
    """The link that makes the first administrator is not the newest one, or not good any more."""

    code = "setup_link_invalid"
    default = "This link does not work any more."
    sentence = N_("This link does not work any more.")
