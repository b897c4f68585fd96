"""The short way to a new pair of tokens: the usual trade, without FastAPI on the way.

Every client comes here once in ten minutes: after checking tokens, it is what a server does most.
It stands inside the shell, which limits, logs and refuses as always. Whatever is unusual goes on to
FastAPI, which has the same route and answers byte for byte the same; a test holds the two together.
"""

from starlette.responses import JSONResponse

from gatelodge import strict_json
from gatelodge.sessions.service import SessionService
from gatelodge.web.caller import origin_of_scope
from gatelodge.web.shell import App, Headers, Message, Receive, Scope, Send

PATH = "/api/auth/refresh"
MAX_TOKEN = 1024

# Where one of these is sent, more than the body decides: cookies, or the page that asks.
_UNUSUAL = frozenset({b"cookie", b"origin", b"referer", b"sec-fetch-site"})


class FastRefresh:
    """An ASGI application around FastAPI."""

    def __init__(self, app: App, sessions: SessionService) -> None:
        """Trade tokens by this service; hand everything else on."""
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on.

        Raises:
            Refusal: as `SessionService.refresh`; the shell answers it.
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
    """Return the body; the shell has limited it."""
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
    """Return the refresh token of a body that holds it and nothing else; None: look closer."""
    try:
        value = strict_json.parse(body)
    except ValueError:
        return None
    if not isinstance(value, dict) or list(value) != ["refreshToken"]:
        return None
    token = value["refreshToken"]
    return token if isinstance(token, str) and len(token) <= MAX_TOKEN else None
