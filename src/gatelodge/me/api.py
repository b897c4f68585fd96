"""The JSON route of the caller's own account: who am I."""

from datetime import datetime

from pydantic import Field

from gatelodge.gate.rules import SIGNED_IN
from gatelodge.sessions.doors import CallerRecords
from gatelodge.web.bodies import Answer
from gatelodge.web.caller import Caller
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


@door.get("/me", rule=SIGNED_IN)
async def me(records: CallerRecords, caller: Caller) -> Me:
    """Return who the caller is, and what they may do."""
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
