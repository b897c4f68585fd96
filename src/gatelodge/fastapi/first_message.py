"""Admits a WebSocket by its first message, for clients that can send neither header nor cookie."""

import asyncio
from datetime import timedelta

from starlette.websockets import WebSocket, WebSocketDisconnect

from gatelodge.embedded.source import Asked
from gatelodge.embedded.user import User
from gatelodge.embedded.watch import SIGNED_OUT
from gatelodge.errors import Refusal, Unauthenticated, Unavailable
from gatelodge.fastapi.refusals import WebSocketNotAdmitted
from gatelodge.gate.conditions import Names, condition_for
from gatelodge.gate.refusals import NoToken
from gatelodge.methods import Level
from gatelodge.tokens.jws import MAX_TOKEN
from gatelodge.tokens.refusals import InvalidToken

FORBIDDEN = 4403
"""The code with which a WebSocket of somebody without a required role is closed."""

TRY_AGAIN_LATER = 1013
"""The code where nobody can say who it is (IANA, WebSocket Close Code Number Registry)."""

MAX_WAIT = timedelta(seconds=10)
"""How long a client may take to send its token."""


async def admit_by_message(
    websocket: WebSocket,
    *,
    role: Names = (),
    permission: Names = (),
    fresh: timedelta | None = None,
    methods: Names = (),
    aal: Level = 1,
    within: timedelta = MAX_WAIT,
) -> User:
    """Accept a WebSocket, and return the user whose access token is its first message.

    The message is the token as text, and nothing else. A client that sends none, or none that is
    good, is disconnected with code 4401, and so is one whose user must prove again who they are. If
    the user lacks a role or permission, the code is 4403.

    Args:
        websocket: the WebSocket, not accepted yet.
        role: the role that the user must hold; of several, one is enough.
        permission: the permission that the user must have; of several, one is enough.
        fresh: how long ago the user may have proved who they are, at most.
        methods: how the user must have proved it; of several, one is enough.
        aal: how sure the proof must be; see `require`.
        within: how long the client may take.

    Raises:
        WebSocketNotAdmitted: nobody is admitted; FastAPI then closes the WebSocket.
        WebSocketDisconnect: the client has gone.
    """
    asked = Asked.of(websocket)
    condition = condition_for(role, permission, fresh, methods, aal)
    await websocket.accept()
    try:
        asked.token = await _first_message(websocket, within)
        user = await asked.source.find_by_token(asked.token, websocket)
        condition.check(user, asked.source.clock)
    except Refusal as refusal:
        raise WebSocketNotAdmitted(refusal, _code_of(refusal)) from refusal
    asked.rules.append(condition.rule)
    return user


async def _first_message(websocket: WebSocket, within: timedelta) -> str:
    try:
        async with asyncio.timeout(within.total_seconds()):
            message = await websocket.receive()
    except TimeoutError:
        raise NoToken from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    token = message.get("text") or ""
    if not token:
        raise NoToken
    if len(token) > MAX_TOKEN:
        raise InvalidToken
    return token.strip()


def _code_of(refusal: Refusal) -> int:
    if isinstance(refusal, Unavailable):
        return TRY_AGAIN_LATER
    return SIGNED_OUT if isinstance(refusal, Unauthenticated) else FORBIDDEN
