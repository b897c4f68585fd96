"""Users and events as JSON objects: what commands print, and exports write."""

from typing import Any, TypeAlias

from gatelodge.accounts.store import User
from gatelodge.audit import Event
from gatelodge.clock import instant
from gatelodge.credentials.factors import second_factors

Shape: TypeAlias = dict[str, Any]
"""The values of a record by their names in JSON, in the order in which they are written."""


def shape_of_user(user: User) -> Shape:
    """Return what is known of a user, without the password hash and without secrets."""
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "email_verified_at": instant(user.email_verified_at),
        "language": user.language,
        "roles": list(user.roles),
        "created_at": instant(user.created_at),
        "disabled_at": instant(user.disabled_at),
        "disabled_reason": user.disabled_reason,
        "must": list(user.must),
        "last_sign_in_at": instant(user.last_sign_in_at),
        "second_factors": [each.kind for each in second_factors(user.factors)],
    }


def shape_with_hash(user: User) -> Shape:
    """Return the same with the password hash, a PHC string (or bcrypt's), or None."""
    return shape_of_user(user) | {"password_hash": user.password_hash}


def shape_of_event(event: Event) -> Shape:
    """Return an event."""
    return {
        "id": event.id,
        "at": instant(event.at),
        "name": event.name,
        "actor": event.actor,
        "target": event.target,
        "outcome": event.outcome,
        "address": event.address,
        "user_agent": event.user_agent,
        "request_id": event.request_id,
        "detail": dict(event.detail),
    }
