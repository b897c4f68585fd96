"""The JSON routes of sessions: refresh, sign-out, and the caller's own devices."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from gatelodge import strict_json
from gatelodge.audit import Actor, Origin
from gatelodge.gate.gate import Gate
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.doors import CallerRecords, Sessions
from gatelodge.sessions.refusals import (
    ExpiredRefreshToken,
    InvalidRefreshToken,
    NoSuchSession,
    RefreshTokenNotInDatabase,
    RefreshTokenRequired,
    RefreshTokenReused,
    RefreshTokenWasExpired,
)
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sessions.store import Session
from gatelodge.sessions.tutorial import TutorialRefresh
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from gatelodge.web.bearer import token_in
from gatelodge.web.bodies import Answer, Message, Request
from gatelodge.web.caller import From
from gatelodge.web.cookies import Delivering, TokenDelivery
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.paging import Cursor, Limit, from_cursor, to_cursor
from gatelodge.web.services import Provided

door = Door("/api/auth", tag="sessions")

_RENEWED = Message(message="Token is refreshed successfully!")
_SIGNED_OUT = Message(message="You've been signed out!")


class RefreshRequest(Request):
    """The refresh token, unless a cookie carries it."""

    refresh_token: str | None = Field(default=None, max_length=1024)


class TutorialRefreshRequest(Request):
    """The refresh token, of any length: one that is too long gets the tutorial's refusal."""

    refresh_token: str | None = None


class TokenPairAnswer(Answer):
    """A new access token, and the refresh token to present next time."""

    access_token: str
    refresh_token: str


class Device(Answer):
    """One session: one device on which the user is signed in."""

    id: str
    user_agent: str
    address: str
    delivery: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool = Field(description="Whether this request belongs to it.")
    impersonated: bool = Field(
        description="Whether an administrator sees the application as the user does in it. Then "
        "`userAgent` and `address` are empty: they are the administrator's."
    )
    reason: str | None = Field(
        default=None, description="Why the administrator does, in their words."
    )


class Devices(Answer):
    """A page of sessions, the newest first."""

    items: list[Device]
    next: str | None


@door.post(
    "/refresh",
    rule=ANYBODY,
    told=Description(
        "Get the next tokens",
        takes={"refreshToken": "rt_…"},
        gives={"accessToken": "eyJ…", "refreshToken": "rt_…"},
    ),
    refuses=(
        InvalidRefreshToken,
        ExpiredRefreshToken,
        RefreshTokenReused,
    ),
)
async def refresh(
    request: HttpRequest,
    sessions: Sessions,
    delivery: Delivering,
    origin: From,
    body: RefreshRequest | None = None,
) -> TokenPairAnswer | Message:
    """Trade a refresh token for a new access token and the next refresh token.

    Without `refreshToken` in the body, or without a body, the refresh cookie is used; the answer
    then sets two new cookies. A token that is sent a second time within ten seconds gets the same
    next token again. Sent later, it is taken for a stolen copy, and the session ends.
    """
    if body is not None and body.refresh_token is not None:
        return _pair(await sessions.refresh(body.refresh_token, origin))
    return await _renew_cookies(request, sessions, delivery, origin)


@door.post(
    "/refreshtoken",
    rule=ANYBODY,
    told=Description(
        "Get the next tokens, as in the tutorial",
        takes={"refreshToken": "rt_…"},
        gives={"accessToken": "eyJ…", "refreshToken": "rt_…"},
    ),
    refuses=(
        RefreshTokenRequired,
        RefreshTokenNotInDatabase,
        RefreshTokenWasExpired,
    ),
)
async def refresh_as_in_the_tutorial(
    request: HttpRequest,
    tutorial: Annotated[TutorialRefresh, Provided(TutorialRefresh)],
    delivery: Delivering,
    origin: From,
    body: TutorialRefreshRequest | None = None,
) -> TokenPairAnswer | Message:
    """Trade a refresh token, with the tutorial's texts and status codes.

    For clients of the tutorial. Others use `POST /api/auth/refresh`.
    """
    presented = body.refresh_token if body is not None else None
    cookie = delivery.read(request.scope["headers"]).refresh
    if presented is None and cookie is not None:
        signed_in = await tutorial.refresh_cookie(cookie, origin)
        delivery.set_cookies(request.scope, signed_in.tokens)
        return _RENEWED
    return _pair(await tutorial.refresh(presented, origin))


@door.post(
    "/signout",
    rule=ANYBODY,
    told=Description(
        "Sign out",
        body={
            "type": "object",
            "properties": {
                "everywhere": {"type": "boolean", "description": "End every session of the user."},
                "refreshToken": {
                    "type": "string",
                    "description": "Where no access token is at hand.",
                },
            },
        },
        takes={"everywhere": False},
        gives={"message": "You've been signed out!"},
    ),
)
async def sign_out(
    request: HttpRequest,
    sessions: Sessions,
    gate: Annotated[Gate, Provided(Gate)],
    delivery: Delivering,
    origin: From,
    response: Response,
) -> Message:
    """End the sessions of all tokens in the request, and clear the cookies.

    It succeeds without any token too, accepts any body or none, and may be called again. With
    `"everywhere": true` it ends every session of that user. If somebody sees the application
    as another user, it ends only that session, and their own one if this browser keeps it.
    """
    asked = await _whatever_was_sent(request)
    found = await _sessions_in(request, asked, sessions, gate, delivery, origin)
    for session_id, by in found.items():
        if by.acts_as is not None:
            await sessions.end_impersonation(session_id, UserId(by.acts_as), by)
            continue
        if asked.get("everywhere") is True:
            await sessions.sign_out_everywhere(UserId(by.name or ""), by)
        await sessions.sign_out(session_id, by)
    delivery.clear_cookies(request.scope)
    response.headers["Clear-Site-Data"] = delivery.clear_site_data(request.scope["headers"])
    return _SIGNED_OUT


@door.get(
    "/sessions",
    rule=SIGNED_IN,
    told=Description(
        "List my devices",
        gives={
            "items": [
                {
                    "id": "ses_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
                    "userAgent": "curl/8.14.1",
                    "address": "192.0.2.7",
                    "delivery": "bearer",
                    "createdAt": "2026-01-31T12:00:00Z",
                    "lastUsedAt": "2026-01-31T12:00:00Z",
                    "expiresAt": "2026-03-02T12:00:00Z",
                    "current": True,
                    "impersonated": False,
                }
            ],
            "next": "c2VzXzA2ZjRoMms5YzBxMXY4ZDNuNWI3dDJtNHM2cjhwMGExZTNnaQ",
        },
    ),
)
async def own_sessions(
    caller: CallerRecords, sessions: Sessions, limit: Limit = 50, cursor: Cursor = None
) -> Devices:
    """List the devices on which the caller is signed in, the newest first.

    When `next` is not null, send it as `cursor` to get the following page.
    """
    before = from_cursor(cursor)
    found = await sessions.list_own(
        caller.user, before=SessionId(before) if before else None, limit=limit + 1
    )
    shown = found[:limit]
    return Devices(
        items=[_device(session, current=session.id == caller.session.id) for session in shown],
        next=to_cursor(shown[-1].id) if len(found) > limit else None,
    )


@door.delete(
    "/sessions/{session_id}",
    rule=SIGNED_IN,
    told=Description("End one of my sessions", gives={"message": "The session has ended."}),
    refuses=(NoSuchSession,),
)
async def end_session(
    session_id: str, caller: CallerRecords, sessions: Sessions, origin: From
) -> Message:
    """End one of the caller's own sessions. Its tokens are refused from the next request on."""
    await sessions.end_own(caller.user, SessionId(session_id), origin)
    return Message(message="The session has ended.")


async def _renew_cookies(
    request: HttpRequest, sessions: SessionService, delivery: TokenDelivery, origin: Origin
) -> Message:
    """Trade the refresh cookie. If that fails, the cookies stay as they are."""
    presented = delivery.read(request.scope["headers"]).refresh
    if presented is None:
        raise InvalidRefreshToken("There is no refresh token, neither in the body nor in a cookie.")
    signed_in = await sessions.refresh(presented, origin)
    delivery.set_cookies(request.scope, signed_in.tokens)
    return _RENEWED


async def _sessions_in(
    request: HttpRequest,
    asked: dict[str, Any],
    sessions: SessionService,
    gate: Gate,
    delivery: TokenDelivery,
    origin: Origin,
) -> dict[SessionId, Actor]:
    """Return the live sessions of the tokens in a request, and who acts in each.

    Cookies are ignored if the request has an access token in a header.
    """
    headers = request.scope["headers"]
    header = token_in(headers)
    access, refresh = ({header}, set()) if header else delivery.read_all(headers)
    if isinstance(sent := asked.get("refreshToken"), str):
        refresh.add(sent)
    if not header and (parked := delivery.parked(headers)):
        refresh.add(parked)
    found: dict[SessionId, Actor] = {}
    for token in access:
        try:
            principal = await gate.authenticate(token)
            found[principal.session_id] = principal.actor(origin)
        except (InvalidToken, ExpiredToken):
            pass  # it may have ended; a refresh token may still name the session
    for presented in refresh:
        if session := await sessions.find_by_refresh_token(presented, origin):
            found[session.id] = session.actor(origin)
    return found


async def _whatever_was_sent(request: HttpRequest) -> dict[str, Any]:
    """Return the body if it is a JSON object, else an empty one: no body makes sign-out fail."""
    try:
        value = strict_json.parse(await request.body())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _pair(signed_in: SignedIn) -> TokenPairAnswer:
    return TokenPairAnswer(
        access_token=signed_in.tokens.access_token, refresh_token=signed_in.tokens.refresh_token
    )


def _device(session: Session, *, current: bool) -> Device:
    own = session.impersonator is None
    return Device(
        id=session.id,
        user_agent=session.user_agent if own else "",
        address=session.address if own else "",
        delivery=session.delivery,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        expires_at=session.expires_at,
        current=current,
        impersonated=not own,
        reason=session.reason,
    )
