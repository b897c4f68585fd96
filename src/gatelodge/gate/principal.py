"""The principal of a request."""

from dataclasses import dataclass, field

from gatelodge.ids import SessionId, UserId
from gatelodge.methods import Methods


@dataclass(frozen=True, slots=True)
class Principal:
    """A user who is signed in, as rules and doors see them.

    Attributes:
        subject: the user's id.
        username: the username as typed by the user.
        roles: the roles that the user holds now; those that the token names are ignored.
        permissions: what these roles permit now; users with the same roles share one object.
        session_id: the session that the token belongs to.
        until: when the token expires or its session ends, in milliseconds since 1970.
        name: what to call the user; empty if there is none, or in a server of its own.
        email: the user's e-mail address; empty if there is none, or in a server of its own.
        email_verified: whether the user has shown that the address is theirs.
        authenticated_at: when the user last proved who they are, in seconds since 1970.
        methods: how the user proved it; sessions with the same methods share one object.
        held_back: whether the user must have a second factor, and has not proved it in this
            session: then it may only do what leads there (see `Rule.while_held_back`).
    """

    subject: UserId
    username: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    session_id: SessionId
    until: int = field(default=0, compare=False)  # another one for each token
    name: str = ""
    email: str = ""
    email_verified: bool = False
    authenticated_at: int = 0
    methods: Methods = ()
    held_back: bool = False
