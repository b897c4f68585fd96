"""What the applications with other libraries share: bare routes, and how they are served.

The Python of the peers' virtual environment runs it: `plain.py with_fastapi_users FILE PORT`.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server import MPServer

FILE = "PEER_DATABASE"
SECRET = "a secret for the benchmark alone, 0123456789"


def making_tables(engine: Any, metadata: Any) -> Callable[[FastAPI], Any]:
    """Return the lifespan of an application that makes its tables first."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield

    return lifespan


def content() -> PlainTextResponse:
    """Return what every route answers."""
    return PlainTextResponse("User Content.")


def add_bare_routes(app: FastAPI) -> None:
    """Add the routes without a guard."""

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/bare")
    async def bare() -> PlainTextResponse:
        return content()


def serve(module: str, file: str, port: int) -> None:
    """Serve `app` of a module here on Granian, with the settings of `gatelodge serve`.

    Args:
        module: the name of the module.
        file: the path of its database.
        port: where to listen.
    """
    os.environ[FILE] = file
    sys.path.insert(0, str(Path(__file__).parent))
    MPServer(
        f"{module}:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        websockets=False,
        backlog=1024,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
