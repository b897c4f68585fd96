"""The JSON routes with which an administrator sees the application as a user does."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from starlette.requests import Request as HttpRequest

from gatelodge.accounts.refusals import InvalidReason, NoSuchUser
from gatelodge.admin.doors import ByProved, put_on, take_off
from gatelodge.admin.impersonation import ImpersonationService
from gatelodge.admin.refusals import CannotImpersonate, OutOfReach
from gatelodge.admin.rules import IMPERSONATE
from gatelodge.credentials.refusals import ReauthenticationRequired
from gatelodge.gate.rules import ANYBODY
from gatelodge.sessions.doors import CallerRecords
from gatelodge.tokens.refusals import InvalidToken
from gatelodge.web.bodies import Answer, Message, Request
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door("/api/admin/users", tag="admin")
end_door = Door("/api/auth/impersonation", tag="sessions")

Service = Annotated[ImpersonationService, Provided(ImpersonationService)]


class ImpersonationRequest(Request):
    """Why the application is to be seen as a user sees it."""

    reason: str = Field(
        max_length=1024, examples=["Ticket 4711"], description="The user can read it."
    )


class ImpersonationAnswer(Answer):
    """The session in which the application is seen as a user sees it."""

    id: str
    username: str
    session: str
    expires_at: datetime = Field(description="A refresh does not extend it.")
    access_token: str | None = Field(
        default=None, description="Left out if the caller's tokens are in cookies."
    )
    refresh_token: str | None = None


class EndedAnswer(Message):
    """What came of it."""

    signed_in: bool = Field(description="Whether the cookies sign somebody in as themselves now.")


@door.post(
    "/{user_id:usr}/impersonate",
    rule=IMPERSONATE,
    told=Description(
        "See as a user does",
        takes={"reason": "Ticket 4711"},
        gives={
            "id": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
            "username": "bob",
            "session": "ses_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
            "expiresAt": "2026-01-31T12:30:00Z",
            "accessToken": "eyJ…",
            "refreshToken": "rt_…",
        },
    ),
    refuses=(
        ReauthenticationRequired,
        NoSuchUser,
        OutOfReach,
        CannotImpersonate,
        InvalidReason,
        InvalidToken,
    ),
    response_model_exclude_none=True,
)
async def impersonate(
    request: HttpRequest,
    user_id: str,
    body: ImpersonationRequest,
    by: ByProved,
    own: CallerRecords,
    service: Service,
) -> ImpersonationAnswer:
    """Open a session of 30 minutes in which the caller sees the application as a user does.

    Its access tokens name the caller in `act` (RFC 8693). It ends at once when the caller's own
    session ends, or when one of the two loses what it needs. With cookies, the answer replaces the
    caller's own, until `POST /api/auth/impersonation/end`.
    """
    signed_in = await service.begin(user_id, body.reason, by, own.session)
    tokens, bearer = signed_in.tokens, own.session.delivery == "bearer"
    if not bearer:
        put_on(request, own.session, signed_in)
    return ImpersonationAnswer(
        id=signed_in.user.id,
        username=signed_in.user.username,
        session=signed_in.session.id,
        expires_at=signed_in.session.expires_at,
        access_token=tokens.access_token if bearer else None,
        refresh_token=tokens.refresh_token if bearer else None,
    )


@end_door.post(
    "/end",
    rule=ANYBODY,
    told=Description(
        "Be oneself again", gives={"message": "You are yourself again.", "signedIn": True}
    ),
)
async def end_impersonation(request: HttpRequest) -> EndedAnswer:
    """End the session in which the caller sees the application as another user does.

    With cookies, the answer sets those of the caller's own session again. If it has ended, or does
    not belong to this browser, the answer deletes all of them, and `signedIn` is false. A program
    with bearer tokens goes on with its own.
    """
    if await take_off(request):
        return EndedAnswer(message="You are yourself again.", signed_in=True)
    return EndedAnswer(message="Nobody is signed in by cookies.", signed_in=False)
