"""An application with Gatelodge inside, for the tests of the pytest plugin."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypedDict

from fastapi import FastAPI, Request, WebSocket

from gatelodge.fastapi import CurrentUser, Gatelodge, MaybeUser, Notification, User, require


class Role(StrEnum):
    """The application's own roles."""

    EDITOR = "editor"
    MODERATOR = "moderator"


class State(TypedDict):
    """What the lifespan yields."""

    board: list[str]


auth = Gatelodge(
    public_url="https://board.example.com",
    site_name="Noticeboard",
    templates_dir=Path(__file__).parent / "templates",
)
Editor = Annotated[User, auth.user(role=Role.EDITOR)]
starts: list[str] = []
gone: list[str] = []


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Open the board, with Gatelodge."""
    async with auth.lifespan(app):
        starts.append("begun")
        yield {"board": ["Welcome"]}
        starts.append("ended")


app = FastAPI(lifespan=lifespan)
auth.install(app)


@auth.on("user.deleted")
def forget(what: Notification) -> None:
    """Note whose notices are to be forgotten."""
    if str(what.uuid) in gone:
        raise ValueError("That user is gone already.")
    gone.append(str(what.uuid))


@app.get("/notices")
async def list_notices(request: Request, user: CurrentUser) -> list[str]:
    """Return the notices."""
    board: list[str] = request.state.board
    return [*board, f"for {user.name or user.username}"]


@app.get("/me")
async def me(user: CurrentUser) -> dict[str, object]:
    """Return who asks."""
    return {
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "email_verified": user.email_verified,
        "roles": sorted(user.roles),
        "permissions": sorted(user.permissions),
    }


@app.get("/greeting")
async def greet(user: MaybeUser) -> str:
    """Greet anybody."""
    return f"Hello {user.username}" if user else "Hello"


@app.post("/notices")
async def add(text: str, editor: Editor) -> str:
    """Add a notice."""
    return f"{editor.username}: {text}"


@app.post("/notices/{number}/share")
async def share(number: int, email: str, user: CurrentUser) -> None:
    """Show a notice to a friend."""
    link = f"https://board.example.com/notices/{number}"
    values = {"friend": user.name or user.username, "text": "Look at this.", "link": link}
    await auth.letters.send(email, "notice-shared", values)


@app.post("/touch")
async def touch(user: CurrentUser) -> str:
    """Change something."""
    return user.username


@app.delete("/notices/{number}", dependencies=[require(permission="notices:delete")])
async def delete(number: int) -> int:
    """Delete a notice."""
    return number


@app.post("/close", dependencies=[require(role="admin", fresh=timedelta(minutes=5))])
async def close() -> None:
    """Close the board."""


@app.post("/burn", dependencies=[require(role="admin", aal=2)])
async def burn() -> None:
    """Burn all notices."""


@app.websocket("/live")
async def live(websocket: WebSocket, user: CurrentUser) -> None:
    """Repeat what the user says, as long as they may be here."""
    await websocket.accept()
    await websocket.send_text(user.username)
    async with user.watch():
        async for text in websocket.iter_text():
            await websocket.send_text(text)
