"""Notes: everybody who is signed in writes their own, and moderators may delete any."""

import os
import sqlite3

from flask import Flask, g, request

from gatelodge.flask import Gatelodge, current_user, require

app = Flask(__name__)
Gatelodge(os.environ.get("ISSUER", "http://localhost:8080"), app)


@app.get("/notes")
@require()
def list_notes() -> list[dict[str, object]]:
    """Return the notes of whoever asks."""
    found = notes().execute("SELECT id, text FROM notes WHERE owner = ?", (owner(),))
    return [dict(row) for row in found]


@app.post("/notes")
@require()
def add_note() -> tuple[dict[str, object], int]:
    """Add a note."""
    text = str(request.get_json()["text"])
    with notes() as database:
        row = database.execute("INSERT INTO notes (owner, text) VALUES (?, ?)", (owner(), text))
    return {"id": row.lastrowid, "text": text}, 201


@app.delete("/notes/<int:number>")
@require(role="moderator")
def delete_note(number: int) -> tuple[str, int]:
    """Delete anybody's note."""
    with notes() as database:
        database.execute("DELETE FROM notes WHERE id = ?", (number,))
    return "", 204


def owner() -> str:
    """Return the key of the user in the table: it stays the same for ever."""
    return str(current_user.uuid)


def notes() -> sqlite3.Connection:
    """Return the database, open for this request."""
    if "notes" not in g:
        g.notes = sqlite3.connect(os.environ.get("NOTES", "notes.db"))
        g.notes.row_factory = sqlite3.Row
        g.notes.execute(
            "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, owner TEXT, text TEXT)"
        )
    connection: sqlite3.Connection = g.notes
    return connection


@app.teardown_appcontext
def close(_: BaseException | None) -> None:
    """Close the database."""
    if "notes" in g:
        g.notes.close()
