"""What a database file holds of those who signed up."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import Server


@dataclass(frozen=True, slots=True)
class Kept:
    """What a database file holds.

    Attributes:
        users: all usernames; one that is there twice is listed twice.
        complete: the usernames of users who have a role and whose sign-up is in the audit log.
        integrity: the result of SQLite's integrity check; `ok` if the file is whole.
    """

    users: list[str]
    complete: set[str]
    integrity: str


def read_kept(server: Server) -> Kept:
    """Read a server's database file directly."""
    with closing(sqlite3.connect(database_file(server))) as database:
        users = database.execute("SELECT username FROM users").fetchall()
        complete = database.execute(_COMPLETE).fetchall()
        (integrity,) = database.execute("PRAGMA integrity_check").fetchone()
    return Kept([name for (name,) in users], {name for (name,) in complete}, integrity)


def database_file(server: Server) -> Path:
    """Return the path of a server's SQLite file."""
    return server.folder / "data" / "gatelodge.db"


_COMPLETE = """
    SELECT username FROM users
    WHERE id IN (SELECT user_id FROM user_roles WHERE role = 'user')
    AND id IN (SELECT target FROM events WHERE name = 'user.signed_up')
"""
