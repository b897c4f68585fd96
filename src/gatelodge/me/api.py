"""The JSON routes of the caller's own account: who am I, another name, and its deletion."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from pydantic import Field
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from gatelodge.accounts.refusals import (
    InvalidName,
    InvalidUsername,
    LastAdmin,
    UsernameFixed,
    UsernameTaken,
)
from gatelodge.accounts.service import NewNames
from gatelodge.accounts.store import User
from gatelodge.audit import Outcome
from gatelodge.credentials.refusals import (
    HashingBusy,
    ReauthenticationRequired,
    TooManyAttempts,
    WrongPassword,
)
from gatelodge.gate.principal import Principal
from gatelodge.gate.rules import IN_PERSON, SIGNED_IN
from gatelodge.me.activity import Activity, By
from gatelodge.sessions.doors import Accounts, CallerRecords
from gatelodge.sessions.store import Session
from gatelodge.web.bodies import Answer, Identifier, Message, Request
from gatelodge.web.caller import Caller, From
from gatelodge.web.cookies import Delivering
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.paging import Cursor, Limit, from_cursor, to_cursor
from gatelodge.web.services import Provided

door = Door("/api/auth", tag="me")


class OwnSession(Answer):
    """The session of this request."""

    id: str
    created_at: datetime
    expires_at: datetime
    authenticated_at: datetime = Field(description="When the user last proved who they are.")
    methods: list[str] = Field(description="How the user proved it (`amr`; RFC 8176).")


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
    impersonator: str | None = Field(
        default=None,
        description="The id of the administrator who sees the application as this user does, and "
        "acts in their place. Null: it is the user.",
    )


class EventOfAccount(Answer):
    """Something that happened to the account."""

    id: str
    at: datetime
    name: str = Field(description="What happened, such as `session.opened`.")
    outcome: Outcome
    by: By = Field(description="Who did it.")
    address: str = Field(description="Where your own request came from; of others it is empty.")
    user_agent: str
    detail: dict[str, str]


class EventsOfAccount(Answer):
    """A page of what happened, the newest first."""

    items: list[EventOfAccount]
    next: str | None = None


class NamesRequest(Request):
    """What the caller wants to be called. What is not given stays as it is."""

    name: Identifier | None = Field(
        default=None, max_length=256, examples=["Ann Example"], description="Empty: no name."
    )
    username: Identifier | None = Field(default=None, max_length=256, examples=["ann"])
    password: str | None = Field(
        default=None,
        max_length=1024,
        description="The current one. Another username needs it if the caller proved who they are "
        "more than 5 minutes ago.",
    )


class DeletionRequest(Request):
    """The password, once more."""

    password: str | None = Field(
        default=None,
        max_length=1024,
        description="Needed if the caller proved who they are more than 5 minutes ago.",
    )


_EXAMPLE = {
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
        "authenticatedAt": "2026-03-01T12:00:00Z",
        "methods": ["pwd"],
    },
}


@door.get(
    "/me",
    rule=SIGNED_IN,
    told=Description("Who am I?", gives=_EXAMPLE),
)
async def me(records: CallerRecords, caller: Caller) -> Me:
    """Return who the caller is, and what they may do.

    The answer comes from the user's record as it is now, not from the token. Roles have their
    plain names here: `user`, not `ROLE_USER`.
    """
    return _shown(records.user, records.session, caller)


@door.patch(
    "/me",
    rule=SIGNED_IN,
    told=Description(
        "Change my name",
        takes={"name": "Ann Example"},
        gives=_EXAMPLE | {"name": "Ann Example"},
    ),
    refuses=(
        InvalidName,
        InvalidUsername,
        UsernameFixed,
        ReauthenticationRequired,
        WrongPassword,
        UsernameTaken,
        TooManyAttempts,
        HashingBusy,
    ),
)
async def rename(
    body: NamesRequest, records: CallerRecords, caller: Caller, accounts: Accounts, origin: From
) -> Me:
    """Change what the caller is called, and return the caller as `GET` does.

    `name` has at most 100 characters, and may be empty. Another `username` needs a server that
    allows it (`GATELODGE_USERNAME_CHANGE=on`), and `password`, unless the caller proved who they
    are within the last 5 minutes. The former username is free again.
    """
    wanted = NewNames(body.name, body.username)
    user = await accounts.rename_own(records.user, records.proof(body.password), wanted, origin)
    return _shown(user, records.session, caller)


@door.delete(
    "/me",
    rule=SIGNED_IN,
    told=Description(
        "Delete my account",
        takes={"password": "correct horse battery"},
        gives={"message": "Your account was deleted."},
    ),
    refuses=(
        ReauthenticationRequired,
        WrongPassword,
        LastAdmin,
        TooManyAttempts,
        HashingBusy,
    ),
)
async def delete(
    request: HttpRequest,
    body: DeletionRequest,
    records: CallerRecords,
    accounts: Accounts,
    delivery: Delivering,
    origin: From,
    response: Response,
) -> Message:
    """Delete the caller and all their sessions, and clear the cookies.

    `password` may be left out by whoever proved who they are within the last 5 minutes.
    The username and the e-mail address are free again. The last administrator cannot be deleted.
    """
    await accounts.delete_own(records.user, records.proof(body.password), origin)
    delivery.clear_cookies(request.scope)
    response.headers["Clear-Site-Data"] = '"cookies", "storage"'  # ASVS 14.3.1
    return Message(message="Your account was deleted.")


@door.get(
    "/events",
    rule=IN_PERSON,
    told=Description(
        "What happened to my account",
        gives={
            "items": [
                {
                    "id": "evt_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
                    "at": "2026-01-31T12:00:00Z",
                    "name": "impersonation.began",
                    "outcome": "success",
                    "by": "administrator",
                    "address": "",
                    "userAgent": "",
                    "detail": {"reason": "Ticket 4711"},
                }
            ],
            "next": "ZXZ0XzA2ZjRoMms5YzBxMXY4ZDNuNWI3dDJtNHM2cjhwMGExZTNnaQ",
        },
    ),
)
async def own_events(
    caller: Caller,
    activity: Annotated[Activity, Provided(Activity)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EventsOfAccount:
    """List what happened to the caller's account, the newest first.

    A page may have fewer events than `limit`, or none, although there are more. While `next` is not
    null, send it as `cursor` to get the following page.
    """
    page = await activity.list_own(caller.subject, before=from_cursor(cursor), limit=limit)
    items = [EventOfAccount(**asdict(each)) for each in page.events]
    return EventsOfAccount(items=items, next=to_cursor(page.before) if page.before else None)


def _shown(user: User, session: Session, caller: Principal) -> Me:
    return Me(
        id=user.id,
        username=user.username,
        name=user.name,
        email=user.email,
        email_verified=user.email_verified_at is not None,
        roles=list(caller.roles),
        permissions=sorted(caller.permissions),
        session=OwnSession(
            id=session.id,
            created_at=session.created_at,
            expires_at=session.expires_at,
            authenticated_at=session.authenticated_at,
            methods=list(session.methods),
        ),
        impersonator=session.impersonator,
    )
