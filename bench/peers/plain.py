"""What the applications with other libraries share: bare routes, and how they are served."""

import os
import sys
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server import MPServer

FILE = "PEER_DATABASE"
SECRET = "a secret for the benchmark alone, 0123456789"


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


def serve(program: str) -> None:
    """Serve `app` of a program here on Granian, with the settings of `gatelodge serve`.

    The command line has the path of the database and the port.

    Args:
        program: the file of the program.
    """
    os.environ[FILE] = sys.argv[1]
    sys.path.insert(0, str(Path(program).parent))
    MPServer(
        f"{Path(program).stem}:app",
        address="127.0.0.1",
        port=int(sys.argv[2]),
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        websockets=False,
        backlog=1024,
        log_level=LogLevels.warning,
    ).serve()
