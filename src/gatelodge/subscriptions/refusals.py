"""Why a webhook cannot be added or used."""

from gatelodge.errors import Conflict, Invalid, NotFound, Unavailable


class InvalidWebhookAddress(Invalid):
    """A webhook would be sent to an address that is none, or where others could read it."""

    code = "webhook_url_invalid"
    default = "A webhook goes to an https:// address, or to http:// on this machine."


class InvalidWebhookName(Invalid):
    """The name of a webhook is no short name in small letters."""

    code = "webhook_name_invalid"
    default = "A webhook has a name of small letters, digits, - and _, such as shop."


class InvalidOverlap(Invalid):
    """The former secret of a webhook would sign for too long beside the new one."""

    code = "webhook_overlap_invalid"
    default = "The former secret of a webhook signs for at most 30 days beside the new one."


class UnknownEvent(Invalid):
    """One cannot subscribe to an event of this name."""

    code = "event_unknown"
    default = "There is no event of this name to hear of."


class WebhookExists(Conflict):
    """There is a webhook of this name."""

    code = "webhook_exists"
    default = "There is a webhook of this name already."


class NoSuchWebhook(NotFound):
    """There is no webhook of this name."""

    code = "webhook_not_found"
    default = "There is no webhook of this name."


class WebhookFailed(Unavailable):
    """The receiver of a webhook does not answer, or did not take it."""

    code = "webhook_failed"
    default = "The receiver did not take the webhook."
