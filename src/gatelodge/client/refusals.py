"""The refusal of an application that cannot find out who is signed in."""

from gatelodge.errors import Unavailable


class IssuerUnavailable(Unavailable):
    """Gatelodge does not answer, or not as it should; nobody can say who is signed in."""

    code = "issuer_unavailable"
    default = "Who is signed in cannot be checked at this moment."
