"""A fast path for the usual refresh request, without FastAPI.

Every client sends one every ten minutes; only token checks are more frequent. The shell around this
application limits, logs and refuses as for any route. An unusual request goes on to FastAPI, which
has the same route; a test checks that both answer with the same bytes.
"""

from starlette.responses import JSONResponse

from gatelodge import strict_json
from gatelodge.sessions.service import SessionService
from gatelodge.web.caller import origin_of_scope
from gatelodge.web.shell import App, Headers, Message, Receive, Scope, Send

PATH = "/api/auth/refresh"
MAX_TOKEN = 1024

# With one of these headers the answer depends on more than the body: on cookies, or on the page.
_UNUSUAL = frozenset({b"cookie", b"origin", b"referer", b"sec-fetch-site"})


class FastRefresh:
    """An ASGI application around FastAPI."""

    def __init__(self, app: App, sessions: SessionService) -> None:
        """Trade tokens with this service; pass all other requests to `app`."""
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on.

        Raises:
            Refusal: as for `SessionService.refresh`; the shell turns it into an answer.
        """
        if scope.get("path") != PATH or not _is_usual(scope):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        token = _token_in(body)
        if token is None:
            await self._app(scope, _replay(body), send)
            return
        tokens = (await self._sessions.refresh(token, origin_of_scope(scope))).tokens
        pair = {"accessToken": tokens.access_token, "refreshToken": tokens.refresh_token}
        await JSONResponse(pair)(scope, receive, send)


def _is_usual(scope: Scope) -> bool:
    if scope["method"] != "POST" or scope["query_string"]:
        return False
    headers: Headers = scope["headers"]
    return not any(name in _UNUSUAL for name, _ in headers) and (
        [value for name, value in headers if name == b"content-type"] == [b"application/json"]
    )


async def _read(receive: Receive) -> bytes:
    """Return the body; the shell has limited its size."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _token_in(body: bytes) -> str | None:
    """Return the refresh token if the body has nothing else; None: FastAPI must look at it."""
    try:
        value = strict_json.parse(body)
    except ValueError:
        return None
    if not isinstance(value, dict) or list(value) != ["refreshToken"]:
        return None
    token = value["refreshToken"]
    return token if isinstance(token, str) and len(token) <= MAX_TOKEN else None
