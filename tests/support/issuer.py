"""Issuers as an application meets them: a real HTTP server that answers as a test says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gatelodge.tasks import end

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

KEYS = "/.well-known/jwks.json"
ME = "/api/auth/me"


def publishing(keys: object) -> Application:
    """Return an application that answers every request with this JSON."""
    body = json.dumps(keys).encode()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return answer


@dataclass
class LittleServer:
    """An HTTP server on 127.0.0.1.

    Attributes:
        port: its port.
        answers: what it writes, by path; other paths get 404.
        asked: the paths that were asked for.
        headers: the headers of each of these requests, as they came.
        is_asked: set when a request has come.
        tls: the certificate that it shows; None: it speaks plain HTTP.
    """

    port: int = 0
    answers: dict[str, Write] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def address(self) -> str:
        """The issuer's address."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    def publish(self, *jwks: object, cache: str = "public, max-age=300") -> None:
        """Answer with these keys from now on."""
        self.say(KEYS, json.dumps({"keys": jwks}).encode(), f"Cache-Control: {cache}")

    def say(self, path: str, body: bytes, *headers: str, status: int = 200) -> None:
        """Answer a path like this from now on."""
        self.answers[path] = answer(body, *headers, status=status)

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, as a server that is away, and hang up on whoever waits."""
        if self._server is not None:
            self._server.close()
            await end(*self._serving)
            await self._server.wait_closed()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            self.asked.append(path)
            self.headers.append(head)
            self.is_asked.set()
            await self.answers.get(path, answer(b"", status=404))(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client hung up
        finally:
            writer.close()


def answer(body: bytes, *headers: str, status: int = 200) -> Write:
    """Return what writes a whole answer."""

    async def write(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", "Connection: close", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, *headers, "", ""]).encode() + body)
        await writer.drain()

    return write


@asynccontextmanager
async def little_server() -> AsyncIterator[LittleServer]:
    """Run a server that has nothing to answer yet."""
    server = LittleServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
