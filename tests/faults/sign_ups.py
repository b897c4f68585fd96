"""What a database file holds of those who signed up."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.people import PASSWORD
from tests.support.server import Server

AT_ONCE = 100
TRIES = 300


def crowd_client(server: Server) -> httpx2.AsyncClient:
    """Return a client for many requests at once. A request waits until a connection is free."""
    return httpx2.AsyncClient(
        base_url=server.url,
        limits=httpx2.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
        timeout=httpx2.Timeout(60, pool=None),
    )


async def sign_up(
    client: httpx2.AsyncClient, username: str, email: str | None = None
) -> httpx2.Response:
    """Sign up. Try again as long as the queue for hashing is full, and return any other answer.

    Raises:
        httpx2.TransportError: the connection was lost; whether the user was made is unknown.
    """
    wanted = {
        "username": username,
        "email": email or f"{username}@example.com",
        "password": PASSWORD,
    }
    for _ in range(TRIES):
        response = await client.post("/api/auth/signup", json=wanted)
        if response.status_code != 503 or response.json()["code"] != "hashing_busy":
            return response
        await asyncio.sleep(random.uniform(0.1, 0.4))  # until the queue has room
    raise AssertionError(f"no place in the queue for {username} after {TRIES} tries")


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
