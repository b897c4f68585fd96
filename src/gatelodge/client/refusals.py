"""The refusals of an application beside a Gatelodge server."""

from gatelodge.errors import Invalid, Unavailable


class IssuerUnavailable(Unavailable):
    """Gatelodge does not answer, or not as it should; nobody can say who is signed in."""

    code = "issuer_unavailable"
    default = "Who is signed in cannot be checked at this moment."


class InvalidWebhook(Invalid):
    """The request is no webhook of the server, or it comes too late."""

    code = "webhook_invalid"
    default = "This is not a webhook of the server."
