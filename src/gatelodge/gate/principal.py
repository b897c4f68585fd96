"""The principal of a request."""

from dataclasses import dataclass, field

from gatelodge.audit import Actor, Origin
from gatelodge.ids import SessionId, UserId
from gatelodge.methods import Methods


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Who sees an application as another user does, and why.

    Attributes:
        subject: the id of whoever looks.
        session_id: their own session, in which it began.
        username: their username as typed.
        reason: why, as they wrote it.
        until: when it ends at the latest, in milliseconds since 1970.
    """

    subject: UserId
    session_id: SessionId
    username: str = ""
    reason: str = ""
    until: int = 0


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
        impersonation: who acts in the place of the user; None: the user. It may do only what
            `Rule.while_impersonating` says.
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
    impersonation: Impersonation | None = None

    @property
    def acting(self) -> UserId:
        """The id of whoever acts: the user, or whoever impersonates them."""
        return self.subject if self.impersonation is None else self.impersonation.subject

    @property
    def watched(self) -> tuple[str, ...]:
        """The ids of all on which it depends whether this principal stands: users, sessions."""
        if self.impersonation is None:
            return self.subject, self.session_id
        own = self.impersonation
        return self.subject, self.session_id, own.subject, own.session_id

    def actor(self, origin: Origin) -> Actor:
        """Return who acts, for the audit log."""
        if self.impersonation is None:
            return Actor(self.subject, origin)
        return Actor(self.impersonation.subject, origin, acts_as=self.subject)
