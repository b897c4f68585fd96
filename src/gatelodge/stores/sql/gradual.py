"""What a new version makes in a large SQLite file in pieces, while servers go on using it.

A migration has one transaction, and nobody else writes before it ends. That does no harm as long
as it only changes the schema. The keys of a million names, and indexes of a million users, take
longer than a writer waits. So these are made afterwards: keys in pages, and each index in a
transaction of its own, with a pause after each for others. If the process dies in between, the next
start goes on. In a small file, all of it is a part of the migration.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection

from gatelodge.stores.user_order import stored_name_key

Users: TypeAlias = list[tuple[str, str]]
"""Ids and names."""

SMALL = 10_000
"""How many rows a table may have for its indexes to be a part of the migration."""

PAGE = 2_000
"""How many names get their keys in one transaction."""

_PATIENCE_MILLISECONDS = 60_000
"""How long a piece waits for other writers; nobody waits for it meanwhile."""

_MOST_REST, _LEAST_REST = 0.5, 0.01
_TELL_EVERY = 5.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is made in a transaction of its own.

    Attributes:
        revision: the migration that it belongs to.
        name: its name.
        table: its table.
        columns: what stands after the name of the table.
    """

    revision: str
    name: str
    table: str
    columns: str


_WITHOUT_KEY = Index(
    "0013", "ix_users_without_name_key", "users", "(id) WHERE name <> '' AND name_key IS NULL"
)
"""While it is missing, there may be users whom nobody has looked at since the migration."""

INDEXES = (
    _WITHOUT_KEY,
    Index("0013", "ix_users_created_at", "users", "(created_at)"),
    Index("0013", "ix_users_last_sign_in_at", "users", "(last_sign_in_at)"),
    Index("0013", "ix_users_name_key", "users", "(name_key) WHERE name_key IS NOT NULL"),
    Index("0013", "ix_users_factor_state", "users", "(factor_state, created_at)"),
    Index(
        "0013",
        "ix_users_disabled",
        "users",
        "(created_at, id, disabled_at) WHERE disabled_at IS NOT NULL",
    ),
    Index(
        "0013",
        "ix_users_verified",
        "users",
        "(created_at, id, email_verified_at) WHERE email_verified_at IS NOT NULL",
    ),
    Index(
        "0013",
        "ix_users_unverified",
        "users",
        "(created_at, id, email_verified_at) WHERE email_verified_at IS NULL",
    ),
    Index("0014", "ix_events_target", "events", "(target) WHERE target IS NOT NULL"),
    Index("0014", "ix_events_actor", "events", "(actor) WHERE actor IS NOT NULL"),
    Index("0014", "ix_events_address", "events", "(address)"),
    Index("0014", "ix_events_name", "events", "(name)"),
    Index("0015", "ix_sessions_address", "sessions", "(address)"),
)


def finish_small(connection: Connection) -> None:
    """Make what is missing of small tables, in the transaction of the caller."""
    for index in _missing(connection):
        if not _is_large(connection, index.table):
            if index == _WITHOUT_KEY:
                for page in _unseen(connection):
                    _complete(connection, page)
            _make(connection, index)


def is_finished(connection: Connection) -> bool:
    """Return whether nothing is missing. It changes nothing."""
    return not _missing(connection) and not _users(connection, _LEFT)


def finish(connection: Connection, watch: Callable[[str], None]) -> list[str]:
    """Make what is missing, in pieces; return a line for each.

    Args:
        connection: a connection without a transaction.
        watch: called with a line before each piece, and now and then.
    """
    if is_finished(connection):
        return []
    missing = _missing(connection)
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_PATIENCE_MILLISECONDS}")
    steps = []
    for number, index in enumerate(missing, 1):
        if index == _WITHOUT_KEY:
            steps += _complete_all(connection, _unseen(connection), watch)
        watch(f"{index.revision}: making index {index.name} ({number} of {len(missing)})")
        with _piece(connection):
            _make(connection, index)
        steps.append(f"{index.revision}: index {index.name}")
    # Those whom a process of the version before has added or renamed meanwhile.
    return steps + _complete_all(connection, iter(lambda: _users(connection, _LEFT), []), watch)


def _complete_all(
    connection: Connection, pages: Iterable[Users], watch: Callable[[str], None]
) -> list[str]:
    """Complete users page by page, and return a line if there are any."""
    done, told = 0, time.monotonic()
    for page in pages:
        with _piece(connection):
            _complete(connection, page)
        done += len(page)
        if time.monotonic() - told > _TELL_EVERY:
            watch(f"0013: {done:,} names can be searched")
            told = time.monotonic()
    return [f"0013: names of {done:,} users"] if done else []


def _unseen(connection: Connection) -> Iterator[Users]:
    """Yield pages of all users who are to be completed, in the order of their ids."""
    page = _users(connection, _AFTER, after="")
    while page:
        yield page
        page = _users(connection, _AFTER, after=page[-1][0])


def _users(connection: Connection, query: str, **values: object) -> Users:
    rows = connection.exec_driver_sql(query, {"page": PAGE, **values}).all()
    return [(user_id, name) for user_id, name in rows]


def _complete(connection: Connection, page: Users) -> None:
    """Store the keys of names that nobody has changed since, and the states of factors."""
    values = [{"id": each, "name": name, "key": stored_name_key(name)} for each, name in page]
    connection.exec_driver_sql(_SET_KEY, values)
    connection.exec_driver_sql(_SET_STATE, values)


@contextmanager
def _piece(connection: Connection) -> Iterator[None]:
    """Run a short transaction, and rest after it, so that others get their turn."""
    began = time.monotonic()
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    time.sleep(min(max(time.monotonic() - began, _LEAST_REST), _MOST_REST))


def _missing(connection: Connection) -> list[Index]:
    """Return the indexes that are to be made."""
    there = set(connection.exec_driver_sql(_NAMES).scalars())
    return [each for each in INDEXES if each.name not in there]


def _is_large(connection: Connection, table: str) -> bool:
    rows = f"SELECT 1 FROM {table} LIMIT 1 OFFSET {SMALL}"  # noqa: S608 - our own names
    return connection.exec_driver_sql(rows).first() is not None


def _make(connection: Connection, index: Index) -> None:
    connection.exec_driver_sql(
        f"CREATE INDEX IF NOT EXISTS {index.name} ON {index.table} {index.columns}"
    )


_NAMES = "SELECT name FROM sqlite_master WHERE type = 'index'"
_AFTER = (
    "SELECT id, name FROM users WHERE id > :after AND (name <> '' AND name_key IS NULL "
    "OR factors IS NOT NULL AND factor_state = 0) ORDER BY id LIMIT :page"
)
_LEFT = "SELECT id, name FROM users WHERE name <> '' AND name_key IS NULL ORDER BY id LIMIT :page"
_SET_KEY = (
    "UPDATE users SET name_key = :key WHERE id = :id AND name = :name AND name <> '' "
    "AND name_key IS NULL"
)
_SET_STATE = (  # a trigger computes the state
    "UPDATE users SET factors = factors WHERE id = :id AND factors IS NOT NULL AND factor_state = 0"
)
