"""The principal of a request."""

from dataclasses import dataclass

from gatelodge.ids import SessionId, UserId


@dataclass(frozen=True, slots=True)
class Principal:
    """A user who is signed in, as rules and doors see them.

    Attributes:
        subject: the user's id.
        username: the username as typed at sign-up.
        roles: the roles that the user holds now; those that the token names are ignored.
        permissions: what these roles permit now; users with the same roles share one object.
        session_id: the session that the token belongs to.
    """

    subject: UserId
    username: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    session_id: SessionId
