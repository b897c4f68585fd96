"""An application with the house inside, and what speaks to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
from fastapi import FastAPI

from gatelodge.app import House
from gatelodge.fastapi import Gatelodge
from tests.gate.houses import Device

BASE = "http://localhost:8000"
ACCESS, REFRESH = "gatelodge-access-8000", "gatelodge-refresh-8000"


@dataclass
class Running:
    """An application that runs.

    Attributes:
        app: the application.
        auth: the Gatelodge in it.
        client: a client of the application.
    """

    app: FastAPI
    auth: Gatelodge
    client: httpx2.AsyncClient

    @property
    def house(self) -> House:
        """The house in the application."""
        return self.auth._source.house


@contextlib.asynccontextmanager
async def running(app: FastAPI, auth: Gatelodge) -> AsyncIterator[Running]:
    """Run an application, and yield it with a client."""
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield Running(app, auth, client)


@dataclass
class Socket:
    """A WebSocket of a client, spoken to as a server does.

    Attributes:
        accepted: the message with which it was accepted, or None.
        code: the code with which it was closed, or None.
    """

    app: FastAPI
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    accepted: dict[str, Any] | None = None
    code: int | None = None

    async def __aenter__(self) -> Self:
        """Ask for it, and return when it was accepted or refused."""
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_client: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        headers = {"host": "localhost:8000"} | self.headers
        offered = ", ".join(self.subprotocols)
        if offered:
            headers["sec-websocket-protocol"] = offered
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "subprotocols": list(self.subprotocols),
            "client": ("127.0.0.1", 50000),
            "server": ("localhost", 8000),
            "state": {},
        }
        self._to_app.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self.app(scope, self._to_app.get, self._to_client.put))  # type: ignore[arg-type]
        message = await self._next()
        if message["type"] == "websocket.accept":
            self.accepted = message
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up, and wait until the application has ended."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(5):
            await self._task

    async def say(self, text: str) -> None:
        """Send a text."""
        await self._to_app.put({"type": "websocket.receive", "text": text})

    async def hear(self) -> str | None:
        """Return the next text, or None if the WebSocket was closed."""
        message = await self._next()
        return message.get("text") if message["type"] == "websocket.send" else None

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            message = await self._to_client.get()
        if message["type"] == "websocket.close":
            self.code = message.get("code", 1000)
        return message


def cookie_of(device: Device) -> dict[str, str]:
    """Return the header with which a browser sends the access token of a device."""
    return {"Cookie": f"{ACCESS}={device.token}"}
