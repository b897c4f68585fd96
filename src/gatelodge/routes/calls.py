"""Runs an application in this process, and calls its routes as a server does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from gatelodge.errors import ConfigurationError
from gatelodge.routes.tree import WEBSOCKET
from gatelodge.tasks import end
from gatelodge.web.shell import App, Headers, Message, Scope

ANSWER_SECONDS = 10.0
"""How long an answer may take to begin."""

_END_SECONDS = 1.0
"""How long an application may go on after its answer has begun."""

_SWITCHED = 101
_REFUSING = frozenset((401, 403))
_REFUSING_CODES = frozenset((1008, 3000, 3003, 4401, 4403))
"""Codes of WebSockets that say: not you (RFC 6455, and the registry of IANA)."""

_WITH_BODY = frozenset(("POST", "PUT", "PATCH", "QUERY"))


@dataclass(frozen=True, slots=True)
class Answer:
    """How a route answered.

    Attributes:
        status: the status; 101 for a WebSocket that was accepted; None: there was no answer.
        code: the code with which a WebSocket was closed before it was accepted; else None.
        why: what the application raised, or the reason of the code.
    """

    status: int | None = None
    code: int | None = None
    why: str = ""

    @property
    def refuses(self) -> bool:
        """Whether it says that the caller may not call."""
        return self.status in _REFUSING or (self.code in _REFUSING_CODES and not self.is_invalid)

    @property
    def is_invalid(self) -> bool:
        """Whether FastAPI closed a WebSocket because its parameters are wrong."""
        return self.code is not None and self.why.startswith("[")

    @property
    def lets_in(self) -> bool:
        """Whether it says that the caller was let in."""
        return self.status is not None and self.status < 400

    def __str__(self) -> str:
        if self.code is not None:
            return f"code {self.code}"
        if self.status is None:
            return "no answer"
        return "an open WebSocket" if self.status == _SWITCHED else str(self.status)


@dataclass(slots=True)
class _Call:
    """One call that is under way."""

    messages: list[Message]
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Answer = Answer()

    async def receive(self) -> Message:
        """Give the application what the client sends; in the end, that it has gone."""
        if len(self.messages) > 1:
            return self.messages.pop(0)
        await self.gone.wait()
        return self.messages[0]

    async def send(self, message: Message) -> None:
        """Take what the application answers. The first message decides."""
        if self.begun.is_set():
            return
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self.answer = Answer(message["status"])
        elif kind == "websocket.accept":
            self.answer = Answer(_SWITCHED)
        elif kind == "websocket.close":
            code, reason = message.get("code", 1000), message.get("reason") or ""
            self.answer = Answer(code=code, why=str(reason))
        else:
            return
        self.begun.set()


class Running:
    """An application that runs in this process."""

    def __init__(self, app: App, state: dict[str, Any], origin: str) -> None:
        """Call the application below an origin, such as `http://localhost:8000`."""
        self._app = app
        self._state = state
        self._origin = urlsplit(origin)

    async def call(self, method: str, path: str, *, token: str | None, host: str = "") -> Answer:
        """Call a route, with an empty object as the body, and return how its answer begins.

        Args:
            method: the HTTP method, or `WS`.
            path: the path.
            token: the bearer token; None: the caller sends none.
            host: the host; empty: the one of the origin.
        """
        scope = self._scope(method, path, token, host)
        call = _Call(_messages(method))
        task = asyncio.ensure_future(self._app(scope, call.receive, call.send))
        beginning = asyncio.create_task(call.begun.wait())
        await asyncio.wait(
            {task, beginning}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        call.gone.set()
        await asyncio.wait({task}, timeout=_END_SECONDS)
        raised = task.exception() if task.done() and not task.cancelled() else None
        await end(task, beginning)
        if raised is not None and call.answer in {Answer(), Answer(500)}:
            return Answer(500, why=f"{type(raised).__name__}: {raised}")
        return call.answer

    def _scope(self, method: str, path: str, token: str | None, host: str) -> Scope:
        secure = self._origin.scheme == "https"
        headers: Headers = [
            (b"host", (host or self._origin.netloc).encode()),
            (b"accept", b"application/json"),
        ]
        if token is not None:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope: Scope = {
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": (self._origin.hostname, self._origin.port or (443 if secure else 80)),
            "state": dict(self._state),
            "extensions": {},
        }
        if method == WEBSOCKET:
            scope["extensions"] = {"websocket.http.response": {}}
            scheme = "wss" if secure else "ws"
            return {**scope, "type": "websocket", "scheme": scheme, "subprotocols": []}
        if method in _WITH_BODY:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"2")]
        return {**scope, "type": "http", "method": method, "scheme": self._origin.scheme}


def _messages(method: str) -> list[Message]:
    """Return what the client sends: the last message is that it has gone."""
    if method == WEBSOCKET:
        return [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]
    body = b"{}" if method in _WITH_BODY else b""
    sent: Message = {"type": "http.request", "body": body, "more_body": False}
    return [sent, {"type": "http.disconnect"}]


@contextlib.asynccontextmanager
async def started(app: App) -> AsyncIterator[dict[str, Any]]:
    """Run the lifespan of an application until the context ends; yield its state.

    Raises:
        ConfigurationError: the application does not start.
    """
    state: dict[str, Any] = {}
    said: asyncio.Queue[Message] = asyncio.Queue()
    asked: asyncio.Queue[Message] = asyncio.Queue()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
    task = asyncio.ensure_future(app(scope, asked.get, said.put))
    try:
        await asked.put({"type": "lifespan.startup"})
        answer = await _said_by(task, said)
        if answer.get("type") != "lifespan.startup.complete":
            lines = str(answer.get("message", "")).strip().splitlines()
            why = f": {lines[-1]}" if lines else "."
            raise ConfigurationError(f"The application did not start{why}")
        yield state
        await asked.put({"type": "lifespan.shutdown"})
        await _said_by(task, said)
    finally:
        await end(task)


async def _said_by(task: "asyncio.Future[None]", said: "asyncio.Queue[Message]") -> Message:
    """Return what the application says next; if it ends, why."""
    next_one = asyncio.create_task(said.get())
    both: set[asyncio.Future[Any]] = {task, next_one}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if next_one.done():
        return next_one.result()
    await end(next_one)
    return {"message": str(task.exception() or "its lifespan ended")}
