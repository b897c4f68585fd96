"""CORS: which pages of other origins may read our answers. Only configured origins may."""

from collections.abc import Iterable

from gatelodge.web.refusals import CrossSiteRequest
from gatelodge.web.shell import App, Headers, Receive, Scope, Send

MAX_AGE_SECONDS = 600
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = b"X-Request-Id, Retry-After, WWW-Authenticate"


class Cors:
    """ASGI middleware that answers preflight requests of configured origins.

    The shell adds the headers of `headers_for` to every answer, also to its own refusals. Origins
    must match exactly; `*`, `null` and patterns are not supported.
    """

    def __init__(self, app: App, origins: Iterable[str]) -> None:
        """Wrap `app`; pages of these origins may read answers, with credentials."""
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight request, or pass the request to the wrapped application.

        Raises:
            CrossSiteRequest: the preflight is of an origin that is not configured.
        """
        headers: Headers = scope.get("headers", [])
        wanted = _value(headers, b"access-control-request-method")
        if scope.get("method") == "OPTIONS" and wanted and _value(headers, b"origin") is not None:
            await self._answer_preflight(headers, send)
        else:
            await self._app(scope, receive, send)

    def headers_for(self, asked: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return the CORS headers for an answer; `asked` are the headers of the request."""
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
