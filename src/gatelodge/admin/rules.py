"""The rules of the administration: each asks for a permission, never for a role.

Nobody administers in the place of another user.
"""

from gatelodge.accounts.permissions import (
    ADMINISTERS,
    EVENTS_READ,
    KEYS_MANAGE,
    LETTERS_MANAGE,
    ROLES_WRITE,
    SESSIONS_END,
    SETTINGS_READ,
    USERS_DELETE,
    USERS_IMPERSONATE,
    USERS_READ,
    USERS_WRITE,
)
from gatelodge.gate.rules import Rule


def _needs(name: str, *permissions: str) -> Rule:
    """Return a rule that asks for one of these permissions; if there are none, for `name`."""
    return Rule(name, permissions=permissions or (name,), while_impersonating="nothing")


ADMINISTER = _needs("any of the administration", *ADMINISTERS)
"""For the way into the console: whoever has any of these permissions."""

READ_USERS = _needs(USERS_READ)
WRITE_USERS = _needs(USERS_WRITE)
DELETE_USERS = _needs(USERS_DELETE)
WRITE_ROLES = _needs(ROLES_WRITE)
READ_ROLES = _needs("users:read or roles:write", USERS_READ, ROLES_WRITE)
END_SESSIONS = _needs(SESSIONS_END)
READ_EVENTS = _needs(EVENTS_READ)
MANAGE_LETTERS = _needs(LETTERS_MANAGE)
MANAGE_KEYS = _needs(KEYS_MANAGE)
READ_SETTINGS = _needs(SETTINGS_READ)
WRITE_MANY = _needs(
    "users:write, users:delete or sessions:end", USERS_WRITE, USERS_DELETE, SESSIONS_END
)
"""For acts on many users: each act asks for its own permission besides."""
IMPERSONATE = _needs(USERS_IMPERSONATE)
