"""Notes of several people: a FastAPI application with Gatelodge inside.

Everybody signed in reads and writes notes, and sees new ones at once. Who wrote a note may delete
it, and so may moderators.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import FileResponse
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, create_engine, select

from gatelodge.fastapi import CurrentUser, Gatelodge

PAGE = Path(__file__).with_name("page.html")


class Role(StrEnum):
    """The roles of this application."""

    MODERATOR = "moderator"


# The tables of the application. Gatelodge has a database of its own.


class Person(SQLModel, table=True):
    """A user of Gatelodge, as this database knows them."""

    id: UUID = Field(primary_key=True)
    name: str


class Note(SQLModel, table=True):
    """A note."""

    id: int | None = Field(default=None, primary_key=True)
    text: str
    author_id: UUID = Field(foreign_key="person.id", index=True)


class NewNote(SQLModel):
    """A note as it is sent."""

    text: str = Field(min_length=1, max_length=280)


class ShownNote(SQLModel):
    """A note as it is shown."""

    id: int
    text: str
    author: str


@dataclass
class Live:
    """Tells everybody who looks at the page of new notes."""

    listeners: set[asyncio.Queue[ShownNote]] = field(default_factory=set)

    async def publish(self, note: ShownNote) -> None:
        """Tell all listeners."""
        for each in self.listeners:
            each.put_nowait(note)

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Queue[ShownNote]]:
        """Yield a queue of the notes that come from now on."""
        queue: asyncio.Queue[ShownNote] = asyncio.Queue()
        self.listeners.add(queue)
        try:
            yield queue
        finally:
            self.listeners.discard(queue)


auth = Gatelodge(site_name="Notes")
live = Live()


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open both databases."""
    engine = create_engine(os.environ.get("NOTES_DATABASE", "sqlite:///notes.db"))
    SQLModel.metadata.create_all(engine)
    app.state.engine = engine
    async with auth.lifespan(app):
        yield
    engine.dispose()


app = FastAPI(title="Notes", lifespan=lifespan)
auth.install(app)


def open_session(request: Request) -> Iterator[Session]:
    """Yield a session of the application's database."""
    with Session(request.app.state.engine) as session:
        yield session


Database = Annotated[Session, Depends(open_session)]


def find_me(user: CurrentUser, database: Database) -> Person:
    """Return the row of the user, and insert it at their first request."""
    name = user.name or user.username
    person = database.get(Person, user.uuid)
    if person is None:
        person = Person(id=user.uuid, name=name)
        database.add(person)
        try:
            database.commit()
        except IntegrityError:  # another request of theirs was first
            database.rollback()
    elif person.name != name:
        person.name = name
        database.commit()
    return database.get_one(Person, user.uuid)


Me = Annotated[Person, Depends(find_me)]


@app.get("/", include_in_schema=False)
def show_page(user: CurrentUser) -> FileResponse:
    """Return the page. Whoever is not signed in is led to the sign-in page, and comes back."""
    return FileResponse(PAGE)


@app.get("/notes")
def list_notes(user: CurrentUser, database: Database) -> list[ShownNote]:
    """Return all notes, the oldest first."""
    rows = database.exec(select(Note, Person).join(Person).order_by(col(Note.id)))
    return [shown(note, person) for note, person in rows]


@app.post("/notes", status_code=201)
def add_note(new: NewNote, me: Me, database: Database, after: BackgroundTasks) -> ShownNote:
    """Add a note, and tell everybody."""
    note = Note(text=new.text, author_id=me.id)
    database.add(note)
    database.commit()
    answer = shown(note, me)
    after.add_task(live.publish, answer)
    return answer


@app.delete("/notes/{note_id}", status_code=204)
def delete_note(note_id: int, user: CurrentUser, database: Database) -> None:
    """Delete one's own note, or as a moderator any note."""
    note = database.get(Note, note_id)
    if note is None:
        raise HTTPException(404)
    if note.author_id != user.uuid and Role.MODERATOR not in user.roles:
        raise HTTPException(403)
    database.delete(note)
    database.commit()


@app.websocket("/live")
async def show_new_notes(websocket: WebSocket, user: CurrentUser) -> None:
    """Send new notes, until the user leaves, or is signed out."""
    await websocket.accept()
    with live.listening() as notes:
        sending = asyncio.create_task(send_all(notes, websocket))
        try:
            async with user.watch():
                async for _ in websocket.iter_text():
                    pass  # the page says nothing; this ends when it is closed
        finally:
            sending.cancel()


async def send_all(notes: asyncio.Queue[ShownNote], websocket: WebSocket) -> None:
    """Send notes as they come."""
    while True:
        await websocket.send_json((await notes.get()).model_dump())


def shown(note: Note, author: Person) -> ShownNote:
    """Return a note as it is shown."""
    return ShownNote.model_validate({"id": note.id, "text": note.text, "author": author.name})
