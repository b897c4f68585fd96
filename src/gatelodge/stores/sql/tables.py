"""The tables, as they are after all migrations."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from typing_extensions import override

from gatelodge.clock import from_milliseconds, to_milliseconds
from gatelodge.credentials.factors import Factor, Factors


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, stored as whole milliseconds since 1970."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the instant as milliseconds."""
        return None if value is None else to_milliseconds(value)

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return _instant_of


class Words(TypeDecorator[tuple[str, ...]]):
    """A tuple of words, stored as a JSON list."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> object:  # noqa: ARG002
        """Return the words as a list."""
        return None if value is None else list(value)

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return _words_of


# SQLAlchemy calls these for each value that is read, a dozen for a session with its user. By
# `process_result_value` there would be one call more for each, and JSON would be read each time.


def _instant_of(value: int | None) -> datetime | None:
    return None if value is None else from_milliseconds(value)


@lru_cache(maxsize=256)
def _words_of(value: str | None) -> tuple[str, ...]:
    """Return the words; none for NULL. Many rows have the same few words."""
    return tuple(json.loads(value) or ()) if value else ()


class StoredFactors(TypeDecorator[Factors]):
    """The factors of a user, stored as a JSON list; NULL for none."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Factors | None, dialect: Dialect) -> object:  # noqa: ARG002
        """Return the factors as a list of objects."""
        return [_plain(each) for each in value] if value else None

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return _factors_of


def _factors_of(value: str | None) -> Factors:
    """Return the factors in a JSON list; none for NULL."""
    return tuple(_factor(each) for each in json.loads(value)) if value else ()


def _plain(factor: Factor) -> dict[str, object]:
    """Return a factor as JSON has it, without what is as by default."""
    return {
        each.name: _converted(_OUTWARD, each.name, value)
        for each in fields(Factor)
        if (value := getattr(factor, each.name)) != each.default
    }


def _factor(stored: dict[str, Any]) -> Factor:
    values: dict[str, Any] = {
        name: _converted(_INWARD, name, value) for name, value in stored.items()
    }
    return Factor(**values)


def _converted(ways: dict[str, Callable[[Any], object]], name: str, value: object) -> object:
    return ways[name](value) if name in ways else value


def _text(value: bytes) -> str:
    return b64encode(value).decode()


_OUTWARD: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("created_at", "last_used_at", "expires_at"), to_milliseconds),
    **dict.fromkeys(("sealed_secret", "public_key"), _text),
    "digests": lambda digests: [_text(each) for each in digests],
    "transports": list,
}
_INWARD: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("created_at", "last_used_at", "expires_at"), from_milliseconds),
    **dict.fromkeys(("sealed_secret", "public_key"), b64decode),
    "digests": lambda texts: tuple(b64decode(each) for each in texts),
    "transports": tuple,
}


metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("username", Text, nullable=False),
    Column("username_key", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("password_hash", Text),
    Column("epoch", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("email_verified_at", Instant),
    Column("disabled_at", Instant),
    Column("last_sign_in_at", Instant),
    Column("name", Text, nullable=False, server_default=""),
    Column("language", Text),
    Column("disabled_reason", Text),
    Column("must", Words, nullable=False, server_default="[]"),
    Column("continued", Text),
    Column("factors", StoredFactors),
    Column("name_key", Text),  # NULL: no name, or its key is still to be stored
    # 2: there is a second factor, 1: only others, 0: none. Triggers keep it right.
    Column("factor_state", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("username_key", name="uq_users_username_key"),
    UniqueConstraint("email_key", name="uq_users_email_key"),
    Index("ix_users_created_at", "created_at"),
    Index("ix_users_last_sign_in_at", "last_sign_in_at"),
    Index("ix_users_name_key", "name_key", sqlite_where=text("name_key IS NOT NULL")),
    Index(
        "ix_users_without_name_key",
        "id",
        sqlite_where=text("name <> '' AND name_key IS NULL"),
    ),
    Index("ix_users_factor_state", "factor_state", "created_at"),
    # In a WITHOUT ROWID table, each index ends with the id. The columns after the id are there so
    # that SQLite counts users without reading them.
    Index(
        "ix_users_disabled",
        *("created_at", "id", "disabled_at"),
        sqlite_where=text("disabled_at IS NOT NULL"),
    ),
    Index(
        "ix_users_verified",
        *("created_at", "id", "email_verified_at"),
        sqlite_where=text("email_verified_at IS NOT NULL"),
    ),
    Index(
        "ix_users_unverified",
        *("created_at", "id", "email_verified_at"),
        sqlite_where=text("email_verified_at IS NULL"),
    ),
    sqlite_with_rowid=False,
)

user_roles = Table(
    "user_roles",
    metadata,
    Column("number", Integer, primary_key=True),  # the order in which roles were granted
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    UniqueConstraint("user_id", "role", name="uq_user_roles_user_id_role"),
    Index("ix_user_roles_role", "role"),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("credential_id", Text, primary_key=True),  # the passkey itself is with its user
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Index("ix_passkeys_user_id", "user_id"),
    sqlite_with_rowid=False,
)

roles = Table(
    "roles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("description", Text, nullable=False),
    Column("permissions", JSON, nullable=False),
    sqlite_with_rowid=False,
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rotated_at", Instant),
    Column("delivery", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("methods", Words, nullable=False),
    Column("revoked_at", Instant),
    Column("revoked_why", Text),
    Column("authenticated_at", Instant, nullable=False, server_default=text("0")),
    Column("client_id", Text),
    Column("impersonator", Text),
    Column("begun_in", Text),
    Column("reason", Text),
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_expires_at", "expires_at"),
    Index("ix_sessions_address", "address"),
    Index("ix_sessions_revoked_at", "revoked_at", sqlite_where=text("revoked_at IS NOT NULL")),
    sqlite_with_rowid=False,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("kid", Text, nullable=False, unique=True),
    Column("algorithm", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sealed_private_key", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("retires_at", Instant),
    Column("gone_at", Instant),
    Column("token_life", Integer, nullable=False, server_default=text("0")),
)

changes = Table(
    "changes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("changed", Text, nullable=False),  # the id of a user, session, role or signing key
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("name", Text, nullable=False),
    Column("actor", Text),
    Column("target", Text),
    Column("address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("outcome", Text, nullable=False, server_default="success"),
    # Each index ends in the id, because the table has no other key.
    Index("ix_events_target", "target", sqlite_where=text("target IS NOT NULL")),
    Index("ix_events_actor", "actor", sqlite_where=text("actor IS NOT NULL")),
    Index("ix_events_address", "address"),
    Index("ix_events_name", "name"),
    sqlite_with_rowid=False,
)

tallies = Table(
    "tallies",
    metadata,
    Column("day", Text, primary_key=True),  # as 2026-03-01
    Column("name", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

one_time_tokens = Table(
    "one_time_tokens",
    metadata,
    Column("key", Text, primary_key=True),  # purpose and subject: each pair has at most one token
    Column("purpose", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("life", Integer),  # seconds
    Column("code_digest", LargeBinary),
    Column("letter", Text),
    Column("facts", JSON, nullable=False, server_default="{}"),
    Index("ix_one_time_tokens_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("key", Text, primary_key=True),  # what the failures are counted for
    Column("failures", Integer, nullable=False),
    Column("streak", Integer, nullable=False),
    Column("until", Instant, nullable=False),
    Column("blocked_until", Instant, nullable=False),
    Column("forget_at", Instant, nullable=False),
    Index("ix_attempts_forget_at", "forget_at"),
    sqlite_with_rowid=False,
)

reservations = Table(
    "reservations",
    metadata,
    Column("key", Text, primary_key=True),  # what a failure of the try would count for
    Column("id", Text, primary_key=True),
    Column("lapses_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("events", Words, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("url", Text),
    Column("sealed_secret", LargeBinary),
    sqlite_with_rowid=False,
)

messages = Table(
    "messages",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("claims", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("event_id", "subscription", name="uq_messages_event_id_subscription"),
    Index("ix_messages_due", "subscription", "due_at"),
)

letters = Table(
    "letters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("to", Text, nullable=False),
    Column("to_key", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("language", Text),
    Column("subject", Text),
    Column("sealed_values", LargeBinary),
    Column("written", Boolean, nullable=False),
    Column("request_digest", LargeBinary),
    Column("guesses", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("ended_at", Instant),
    Column("error", Text, nullable=False),
    Index("ix_letters_due", "due_at", "id", sqlite_where=text("state = 'waiting'")),
    Index("ix_letters_to_key", "to_key", "created_at"),
    Index("ix_letters_state", "state", "id"),
    Index("ix_letters_ended_at", "ended_at", sqlite_where=text("ended_at IS NOT NULL")),
    sqlite_with_rowid=False,
)
