"""The JSON route of the caller's own account: who am I."""

from datetime import datetime

from pydantic import Field

from gatelodge.gate.rules import SIGNED_IN
from gatelodge.sessions.doors import CallerRecords
from gatelodge.web.bodies import Answer
from gatelodge.web.caller import Caller
from gatelodge.web.described import Description
from gatelodge.web.door import Door

door = Door("/api/auth", tag="me")


class OwnSession(Answer):
    """The session of this request."""

    id: str
    created_at: datetime
    expires_at: datetime


class Me(Answer):
    """The caller's user record, rights and session, as they are now."""

    id: str
    username: str
    name: str = Field(description="What to call them; may be empty.")
    email: str
    email_verified: bool
    roles: list[str]
    permissions: list[str]
    session: OwnSession


@door.get(
    "/me",
    rule=SIGNED_IN,
    told=Description(
        "Who am I?",
        gives={
            "id": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
            "username": "ann",
            "name": "",
            "email": "ann@example.com",
            "emailVerified": False,
            "roles": ["user"],
            "permissions": ["account:manage"],
            "session": {
                "id": "ses_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
                "createdAt": "2026-01-31T12:00:00Z",
                "expiresAt": "2026-03-02T12:00:00Z",
            },
        },
    ),
)
async def me(records: CallerRecords, caller: Caller) -> Me:
    """Return who the caller is, and what they may do.

    The answer comes from the user's record as it is now, not from the token. Roles have their
    plain names here: `user`, not `ROLE_USER`.
    """
    user, session = records.user, records.session
    return Me(
        id=user.id,
        username=user.username,
        name=user.name,
        email=user.email,
        email_verified=user.email_verified_at is not None,
        roles=list(caller.roles),
        permissions=sorted(caller.permissions),
        session=OwnSession(
            id=session.id, created_at=session.created_at, expires_at=session.expires_at
        ),
    )
