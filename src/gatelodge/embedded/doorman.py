"""What lies around all routes of an application: it tells them whom to ask, and sets cookies."""

from typing import Any

from gatelodge.embedded.source import SUBPROTOCOL, Asked, Source
from gatelodge.embedded.user import ASKED
from gatelodge.web.cookie_jar import JAR, CookieJar
from gatelodge.web.shell import App, Message, Receive, Scope, Send


class Doorman:
    """ASGI middleware: puts the source into the scope, and renewed cookies into the answer."""

    def __init__(self, app: App, source: Source) -> None:
        """Wrap the application."""
        self._app = app
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        # Made here: mounted applications get copies of the scope, and share what is in it.
        scope[JAR] = jar = CookieJar()
        scope[ASKED] = asked = Asked(self._source)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if jar:
                    message["headers"] = _with_cookies(message.get("headers", ()), jar)
            elif message["type"] == "websocket.accept":
                _complete(message, asked, jar)
            await send(message)

        await self._app(scope, receive, answer)


def _with_cookies(given: Any, jar: CookieJar) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with the cookies; no cache may keep such an answer."""
    kept = [pair for pair in given if pair[0].lower() != b"cache-control"]
    return [*kept, (b"cache-control", b"no-store"), *jar.headers]


def _complete(message: Message, asked: Asked, jar: CookieJar) -> None:
    """Accept the subprotocol that came with the token: browsers insist on an answer."""
    if jar:
        message["headers"] = [*message.get("headers", ()), *jar.headers]
    if not message.get("subprotocol") and asked.by_subprotocol:
        message["subprotocol"] = SUBPROTOCOL
