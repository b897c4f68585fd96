"""What a token check is compared with: other applications on the same HTTP server.

`python -m bench.stand_ins NAME` serves one of them in the same way as `gatelodge serve`. Its
settings come from the environment.
"""

import asyncio
import gc
import sqlite3
import sys
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Engine, event
from starlette.responses import PlainTextResponse
from typing_extensions import override

from gatelodge.app import House, build, create_app
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.gate.feed import FeedState, Forget
from gatelodge.letters.service import LetterService
from gatelodge.serving import server_of
from gatelodge.settings import read_settings
from gatelodge.web.fast_door import FastDoor
from gatelodge.web.shell import App, Headers, Receive, Scope, Send

BOARD = "/api/test/user"
STATEMENTS = "/statements"


def bare() -> App:
    """Return an application that does as little as possible: it sends two headers and a text."""
    return _text(b"User Content.")


def limit() -> App:
    """Return an application that sends the same bytes as the board, to anybody."""
    door = _door_of(_house())
    board = door._routes[BOARD]  # noqa: SLF001 - only its bytes are used
    number = door._shell.new_request_id()  # noqa: SLF001
    return _static([*board.headers, (b"x-request-id", number)], board.end["body"])


def fastapi() -> App:
    """Return Gatelodge without its fast door: the route in FastAPI makes the check."""
    return _door_of(_house())._shell  # noqa: SLF001 - what is behind the door is measured


def database() -> App:
    """Return Gatelodge with a change feed that is never trusted: each check reads the database."""
    house = _house()
    gate = replace(house.gate, feed=_NeverTrusted())
    return create_app(house.replaced(gate=gate, admission=replace(house.admission, gate=gate)))


def counted() -> App:
    """Return Gatelodge with one more path, which says how many statements SQLite got so far.

    The statements of all connections count, those of the change feed too. Only its question before
    each check, `PRAGMA data_version`, is left out: it reads no table. It sends no letters: they
    would be counted.
    """
    statements: list[str] = []

    def note(statement: str) -> None:
        if statement != "PRAGMA data_version":
            statements.append(statement)

    def count(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(note)

    event.listen(Engine, "connect", count)
    app = create_app(build(read_settings(), sends=False))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope.get("path") == STATEMENTS
        await (_text(str(len(statements)).encode()) if asked else app)(scope, receive, send)

    return answer


def telling() -> App:
    """Return Gatelodge whose time tells who exists: no dummy hash, and failures leave at once."""
    house = _house()
    passwords = replace(house.passwords, hasher=_NoDummy())
    sign_in = replace(house.sign_in, passwords=passwords)
    return create_app(house.replaced(passwords=passwords, sign_in=sign_in))


def waiting() -> App:
    """Return Gatelodge that writes and sends the letter of a reset before it answers."""
    house = _house()
    parts = {each.name: getattr(house.letters, each.name) for each in fields(house.letters)}
    hasty = _Hasty(**parts | {"awake": asyncio.Event()})
    hasty.authors.update(house.authors())
    reset = replace(house.password_reset, letters=hasty)
    return create_app(house.replaced(password_reset=reset, letters=replace(hasty, post=None)))


def embedded() -> App:
    """Return a FastAPI application that has Gatelodge inside, with and without guards.

    FastAPI looks at one route after the other, 2 to 3 µs each. So those without a guard stand
    around the others, which are next to each other.
    """
    from fastapi import Depends, FastAPI, WebSocket  # noqa: PLC0415 - only this one needs them
    from fastapi.security import HTTPBearer  # noqa: PLC0415

    from gatelodge.fastapi import CurrentUser, Gatelodge, require  # noqa: PLC0415

    auth = Gatelodge()
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @app.get("/healthz")
    @app.get("/bare")
    async def bare() -> PlainTextResponse:
        return PlainTextResponse("User Content.")

    async def nothing() -> None: ...

    @app.get("/empty", dependencies=[Depends(nothing)])
    async def empty() -> PlainTextResponse:
        return PlainTextResponse("User Content.")

    @app.get("/header", dependencies=[Depends(HTTPBearer())])
    async def header() -> PlainTextResponse:
        return PlainTextResponse("User Content.")

    @app.get("/user")
    async def user(_user: CurrentUser) -> PlainTextResponse:
        return PlainTextResponse("User Content.")

    @app.get("/role", dependencies=[require(role="user")])
    async def role() -> PlainTextResponse:
        return PlainTextResponse("User Content.")

    app.get("/bare-last")(bare)

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        async with user.watch():
            async for text in websocket.iter_text():
                await websocket.send_text(text)

    return app


NAMES = ("bare", "limit", "fastapi", "database", "counted", "telling", "waiting", "embedded")


class _NoDummy(PasswordHasher):
    """A hasher that answers at once where there is no hash."""

    @override
    def verify(self, stored: str | None, password: str) -> bool:
        return stored is not None and super().verify(stored, password)

    @property
    @override
    def relative_cost(self) -> float:
        return 1e-9  # the step of the grid


class _Hasty(LetterService):
    """Sends each letter that is asked for at once."""

    @override
    async def ask(self, kind: str, to: str, to_key: str, *values: Any, **more: Any) -> str:
        request = await super().ask(kind, to, to_key, *values, **more)
        while await self.send_next():  # what waited before is sent first
            pass
        return request


class _NeverTrusted:
    """A `ChangeFeed` that hears nothing, so the gate never answers from memory."""

    async def follow(self, forget: Forget) -> None:
        """Do nothing."""

    async def leave(self) -> None:
        """Do nothing."""

    def catch_up(self) -> bool:
        """Say that memory may not be trusted."""
        return False

    def state(self) -> FeedState:
        """Return the state of the feed."""
        return FeedState("none", trusted=False)


def _house() -> House:
    return build(read_settings())


def _door_of(house: House) -> FastDoor:
    app = create_app(house)
    if not isinstance(app, FastDoor):
        raise TypeError("the outermost layer is not the fast door")
    return app


def _text(body: bytes) -> App:
    kind = (b"content-type", b"text/plain; charset=utf-8")
    return _static([kind, (b"content-length", str(len(body)).encode())], body)


def _static(headers: Headers, body: bytes) -> App:
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    end = {"type": "http.response.body", "body": body}

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send(start)
            await send(end)

    return answer


def _serve(name: str) -> None:
    settings = read_settings()
    build(settings).stores.database.migrate()
    gc.collect()
    gc.freeze()  # as `gatelodge serve` does
    server_of(settings, f"bench.stand_ins:{name}").serve()


if __name__ == "__main__":
    _serve(sys.argv[1])
