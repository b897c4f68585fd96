"""The JSON routes of the sessions of all users."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from gatelodge.admin.doors import By
from gatelodge.admin.refusals import OutOfReach
from gatelodge.admin.rules import END_SESSIONS, READ_USERS
from gatelodge.admin.sessions import SeenSession, SessionAdministration
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.refusals import NoSuchSession
from gatelodge.sessions.store import SessionQuery
from gatelodge.turns import in_turns
from gatelodge.web.bodies import Answer, Message
from gatelodge.web.caller import Caller
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.paging import Cursor, Limit, from_cursor, to_cursor
from gatelodge.web.services import Provided

door = Door("/api/admin/sessions", tag="admin")

Sessions = Annotated[SessionAdministration, Provided(SessionAdministration)]


class SessionSeen(Answer):
    """One session of one user."""

    id: str
    user: str = Field(description="The id of the user who is signed in by it.")
    username: str
    user_agent: str
    address: str
    delivery: str
    methods: list[str] = Field(description="How the user proved who they are (RFC 8176).")
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool = Field(description="Whether this request belongs to it.")
    impersonator: str | None = Field(
        default=None,
        description="The id of who sees the application as the user by it; null: the user.",
    )
    reason: str | None = Field(default=None, description="Why they do, in their words.")
    reached: bool = Field(description="Whether the caller may act on this user.")


class SessionsSeen(Answer):
    """A page of sessions, the newest first."""

    items: list[SessionSeen]
    next: str | None = None


@door.get(
    "",
    rule=READ_USERS,
    told=Description(
        "List the sessions of all users",
        gives={
            "items": [
                {
                    "id": "ses_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
                    "user": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
                    "username": "ada",
                    "userAgent": "curl/8.14.1",
                    "address": "192.0.2.7",
                    "delivery": "bearer",
                    "methods": ["pwd"],
                    "createdAt": "2026-01-31T12:00:00Z",
                    "lastUsedAt": "2026-01-31T12:00:00Z",
                    "expiresAt": "2026-03-02T12:00:00Z",
                    "current": False,
                    "impersonator": None,
                    "reached": True,
                }
            ],
            "next": "c2VzXzA2ZjRoMms5YzBxMXY4ZDNuNWI3dDJtNHM2cjhwMGExZTNnaQ",
        },
    ),
)
async def sessions_of_all(
    caller: Caller,
    by: By,
    sessions: Sessions,
    user: Annotated[str | None, Query(max_length=256, description="The id of a user.")] = None,
    address: Annotated[
        str | None, Query(max_length=256, description="The network address it was opened from.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> SessionsSeen:
    """List the sessions that sign somebody in, the newest first.

    A page may have fewer sessions than `limit`, or none, although there are more: the search stops
    when it has looked at many that do not match. While `next` is not null, send it as `cursor` to
    get the following page.
    """
    before = from_cursor(cursor)
    page = await sessions.search(
        SessionQuery(None if user is None else UserId(user), address),
        by,
        before=SessionId(before) if before else None,
        limit=limit,
    )
    items = await in_turns(
        lambda each: _seen(each, current=each.session.id == caller.session_id), page.sessions
    )
    return SessionsSeen(
        items=items,
        next=to_cursor(page.before) if page.before else None,
    )


@door.delete(
    "/{session_id}",
    rule=END_SESSIONS,
    told=Description("End a session of a user", gives={"message": "The session has ended."}),
    refuses=(NoSuchSession, OutOfReach),
)
async def end_session_of_user(session_id: str, by: By, sessions: Sessions) -> Message:
    """End a session of anybody who may do no more than the caller.

    Its tokens are refused from the next request on. `POST /api/auth/signout` ends the caller's own.
    """
    await sessions.end(SessionId(session_id), by)
    return Message(message="The session has ended.")


def _seen(seen: SeenSession, *, current: bool) -> SessionSeen:
    session = seen.session
    return SessionSeen(
        id=session.id,
        user=seen.user.id,
        username=seen.user.username,
        user_agent=session.user_agent,
        address=session.address,
        delivery=session.delivery,
        methods=list(session.methods),
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        expires_at=session.expires_at,
        current=current,
        impersonator=session.impersonator,
        reason=session.reason,
        reached=seen.reached,
    )
