"""Complete records for the stores. A test names only the fields that matter to it."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gatelodge.accounts.store import User
from gatelodge.audit import EVENT_PREFIX, Event
from gatelodge.credentials.factors import FACTOR_PREFIX, Factor, FactorId, FactorKind
from gatelodge.ids import SESSION_PREFIX, USER_PREFIX, SessionId, UserId, new_id
from gatelodge.letters.store import LETTER_PREFIX, Letter
from gatelodge.sessions.store import Session
from gatelodge.tokens.store import SigningKey

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)

_counter = itertools.count(1)


def a_user(username: str | None = None, /, **changes: Any) -> User:
    """Return a user with a username and address of its own."""
    username = username or f"Someone{next(_counter)}"
    user = User(
        id=UserId(new_id(USER_PREFIX, changes.get("created_at", NOON))),
        username=username,
        username_key=username.lower(),
        email=f"{username}@example.org",
        email_key=f"{username}@example.org".lower(),
        password_hash="$argon2id$old",
        roles=("user",),
        created_at=NOON,
    )
    return replace(user, **changes)


def a_session(**changes: Any) -> Session:
    """Return a session that was opened at noon and lasts a day."""
    session = Session(
        id=SessionId(new_id(SESSION_PREFIX, changes.get("created_at", NOON))),
        user_id=UserId(new_id(USER_PREFIX, NOON)),
        epoch=0,
        created_at=NOON,
        last_used_at=NOON,
        expires_at=NOON + timedelta(days=1),
        salt=bytes(range(32)),
        authenticated_at=NOON,
        methods=("pwd",),
    )
    return replace(session, **changes)


def a_factor(kind: FactorKind = "totp", **changes: Any) -> Factor:
    """Return a factor that was added at noon; a passkey has an id of its own."""
    factor = Factor(
        id=FactorId(new_id(FACTOR_PREFIX, NOON)), kind=kind, name="Phone", created_at=NOON
    )
    if kind == "passkey":
        factor = replace(factor, credential_id=f"credential-{next(_counter)}", public_key=b"\xa1")
    return replace(factor, **changes)


def a_signing_key(number: int = 1, **changes: Any) -> SigningKey:
    """Return a signing key that was made at noon."""
    key = SigningKey(
        number=number,
        kid=f"key-{next(_counter)}",
        algorithm="EdDSA",
        public_key=bytes(32),
        sealed_private_key=b"\x00sealed\xff",
        created_at=NOON,
        not_before=NOON + A_MINUTE,
    )
    return replace(key, **changes)


def a_letter(**changes: Any) -> Letter:
    """Return a letter to Ann that was asked for at noon."""
    at = changes.get("created_at", NOON)
    letter = Letter(
        id=new_id(LETTER_PREFIX, at),
        kind="reset-password",
        to="Ann@example.org",
        to_key="ann@example.org",
        message_id="<a@example.org>",
        created_at=at,
        due_at=at,
        language="de",
        sealed_values=b"\x00sealed",
        request_digest=bytes(32),
    )
    return replace(letter, **changes)


def an_event(**changes: Any) -> Event:
    """Return an event that happened at noon."""
    at = changes.get("at", NOON)
    event = Event(
        id=new_id(EVENT_PREFIX, at),
        at=at,
        name="session.opened",
        actor="usr_someone",
        target="ses_something",
        address="192.0.2.7",
        user_agent="Browser/1.0",
        request_id="req_1",
        detail={"factor": "password"},
    )
    return replace(event, **changes)
