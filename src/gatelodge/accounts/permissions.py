"""The permissions that Gatelodge itself asks for. Applications add their own."""

from gatelodge.marks import N_

USERS_READ = "users:read"
USERS_WRITE = "users:write"
USERS_DELETE = "users:delete"
ROLES_WRITE = "roles:write"
SESSIONS_END = "sessions:end"
EVENTS_READ = "events:read"
LETTERS_MANAGE = "letters:manage"
KEYS_MANAGE = "keys:manage"
SETTINGS_READ = "settings:read"
USERS_IMPERSONATE = "users:impersonate"

MEANINGS: dict[str, str] = {
    USERS_READ: N_("See users, their roles, factors and sessions"),
    USERS_WRITE: N_("Create, invite, edit and disable users, and grant and take roles"),
    USERS_DELETE: N_("Delete users"),
    ROLES_WRITE: N_("Make, edit and delete roles"),
    SESSIONS_END: N_("End sessions of users"),
    EVENTS_READ: N_("Read what has happened"),
    LETTERS_MANAGE: N_("See letters and send them again"),
    KEYS_MANAGE: N_("Rotate and retire signing keys"),
    SETTINGS_READ: N_("See the settings in force"),
    USERS_IMPERSONATE: N_("See the application as a user sees it"),
}
"""What each permission lets its holder do, in a phrase for people."""

ADMINISTERS = tuple(each for each in MEANINGS if each != USERS_IMPERSONATE)
"""The permissions that the role `admin` always has and cannot lose.

So whoever holds `admin` can administer, and the rule that somebody holds it is all that keeps an
installation from locking itself out. `users:impersonate` is nobody's until a command grants it.
"""
