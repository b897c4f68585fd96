"""Which pages of other origins may read our answers: none but those that are configured."""

from collections.abc import Iterable

from gatelodge.web.refusals import CrossSiteRequest
from gatelodge.web.shell import App, Headers, Receive, Scope, Send

MAX_AGE_SECONDS = 600
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = b"X-Request-Id, Retry-After, WWW-Authenticate"


class Cors:
    """An ASGI application around another one that answers the preflights of configured origins.

    `headers_for` tells the shell what lets them read answers, its own refusals included. An origin
    is named exactly or not at all: never `*`, never `null`, never a pattern.
    """

    def __init__(self, app: App, origins: Iterable[str]) -> None:
        """Wrap `app`."""
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or hand the request on."""
        headers: Headers = scope.get("headers", [])
        wanted = _value(headers, b"access-control-request-method")
        if scope.get("method") == "OPTIONS" and wanted and _value(headers, b"origin") is not None:
            await self._answer_preflight(headers, send)
        else:
            await self._app(scope, receive, send)

    def headers_for(self, asked: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return what lets the page that asks, if it is of a configured origin, read the answer."""
        origin = _value(asked, b"origin")
        if origin is None or origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    async def _answer_preflight(self, asked: Headers, send: Send) -> None:
        if _value(asked, b"origin") not in self._origins:
            raise CrossSiteRequest
        headers = [
            (b"vary", b"Access-Control-Request-Headers"),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-max-age", str(MAX_AGE_SECONDS).encode()),
        ]
        if (names := _value(asked, b"access-control-request-headers")) is not None:
            headers.append((b"access-control-allow-headers", names))
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _value(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name == wanted), None)
