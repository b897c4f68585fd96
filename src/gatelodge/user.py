"""A user who is signed in, as the code of an application sees them."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from gatelodge.methods import Level, level_of

SUBJECT_NAMESPACE = UUID("f84d3498-8aca-4969-afbd-f91267b30c54")
"""The namespace of `User.uuid`. It never changes: applications store these ids."""


@dataclass(frozen=True, slots=True)
class User:
    """A user who is signed in.

    `gatelodge.client` without `freshness` reads nothing but the access token. Then `username` and
    `name` are empty, `email` is None, `email_verified` is False, there are no permissions, and the
    roles are those of the moment when the token was issued.

    Attributes:
        subject: the user's id, which never changes and is never used again.
        username: the username as typed by the user, who may change it where a setting allows that.
        name: what to call the user; may be empty.
        email: the user's e-mail address; None: the user has none, or it is not known here.
        email_verified: whether the user has shown that the address is theirs.
        roles: the roles that the user holds.
        permissions: what these roles permit.
        expires_at: when the access token expires, or the session if it ends before.
        session_id: the session that the access token belongs to.
        authenticated_at: when the user last proved who they are; None: it is not known here.
        methods: how the user proved it: values of the claim `amr`, such as `pwd` (RFC 8176).
        impersonator: the id of the administrator who sees the application as this user does, and
            acts in their place; None: it is the user.
    """

    subject: str
    username: str
    name: str = field(repr=False)
    email: str | None = field(repr=False)
    email_verified: bool
    roles: frozenset[str]
    permissions: frozenset[str]
    expires_at: datetime
    session_id: str
    authenticated_at: datetime | None = None
    methods: frozenset[str] = frozenset()
    impersonator: str | None = None

    @property
    def aal(self) -> Level:
        """How sure the proof is (NIST SP 800-63B-4): 1 for one factor, 2 for several."""
        return level_of(self.methods)

    @property
    def uuid(self) -> UUID:
        """The subject as a UUID, for columns of that type.

        It is the UUID of version 5 (RFC 9562) of the subject in `SUBJECT_NAMESPACE`. It does not
        depend on the issuer, so it stays when the server moves to another address.
        """
        return uuid5(SUBJECT_NAMESPACE, self.subject)
