"""Databases with many users and sessions, written directly into the file."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from bench.people import PASSWORD, name_of
from gatelodge.app import House
from gatelodge.clock import SystemClock, to_milliseconds
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.ids import SESSION_PREFIX, USER_PREFIX, SessionId, UserId, new_id
from gatelodge.methods import BY_PASSWORD
from gatelodge.settings import Settings
from gatelodge.stores import open_stores

_USER = (
    "INSERT INTO users (id, username, username_key, email, email_key, password_hash, epoch, "
    "created_at) VALUES (?, ?, ?, ?, ?, ?, 0, ?)"
)
_ROLE = "INSERT INTO user_roles (user_id, role) VALUES (?, 'user')"
_SESSION = (
    "INSERT INTO sessions (id, user_id, epoch, created_at, last_used_at, expires_at, salt, "
    "generation, delivery, user_agent, address, methods, authenticated_at) "
    "VALUES (?, ?, 0, ?, ?, ?, ?, 0, 'bearer', '', '127.0.0.1', '[\"pwd\"]', ?)"
)


def seed(settings: Settings, users: int, sessions: int) -> None:
    """Make the file with `users` users. The first `sessions` of them have one live session each.

    All users have the same password and the same hash of it.
    """
    open_stores(settings.database_address).database.migrate()
    with closing(sqlite3.connect(settings.database_address)) as file:
        file.execute("PRAGMA synchronous = OFF")
        file.execute("PRAGMA cache_size = -262144")
        ids = _add_users(file, users)
        file.executemany(_SESSION, _sessions(ids[:sessions]))
        file.execute("DELETE FROM changes")  # no server follows the changes yet
        file.commit()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _add_users(file: sqlite3.Connection, count: int) -> list[str]:
    now = SystemClock().now()
    stored = PasswordHasher().hash(PASSWORD)
    ids = [new_id(USER_PREFIX, now + timedelta(milliseconds=number)) for number in range(count)]
    at = to_milliseconds(now)
    file.executemany(
        _USER,
        (
            (user, name, name, f"{name}@example.com", f"{name}@example.com", stored, at)
            for user, name in ((user, name_of(number)) for number, user in enumerate(ids))
        ),
    )
    file.executemany(_ROLE, ((user,) for user in ids))
    return ids


def _sessions(users: list[str]) -> Iterator[tuple[str, str, int, int, int, bytes, int]]:
    now = SystemClock().now()
    at, end = to_milliseconds(now), to_milliseconds(now + timedelta(days=30))
    for user in users:
        yield new_id(SESSION_PREFIX, now), user, at, at, end, secrets.token_bytes(32), at


def people(house: House) -> Iterator[tuple[str, str]]:
    """Yield the ids of each session and its user."""
    with closing(sqlite3.connect(house.settings.database_address)) as file:
        yield from file.execute("SELECT id, user_id FROM sessions")


def issue(house: House, session_and_user: tuple[str, str]) -> str:
    """Return an access token for this session and its user."""
    session_id, user_id = session_and_user
    return house.access_tokens.issue(
        subject=UserId(user_id),
        session_id=SessionId(session_id),
        roles=("user",),
        authenticated_at=house.clock.now(),
        methods=BY_PASSWORD,
    )
