"""What each letter is given, for tests that write all of them."""

from collections.abc import Mapping

VALUES = {
    "at": "2026-05-04T12:00:00+00:00",
    "code": "K7QM-2XRD",
    "days": "7",
    "factor": "totp",
    "forgot_link": "https://id.example.com/forgot",
    "last": "yes",
    "left": "2",
    "link": "https://id.example.com/do#token=Zk3q9fJ0w8m1cV5tR7yB2nX4pL6sD0hG",
    "minutes": "10",
    "new_masked": "a…@example.org",
    "program": "Firefox",
    "role": "moderator",
    "sign_in_link": "https://id.example.com/sign-in",
    "stop_link": "https://id.example.com/stop#token=1k3q9fJ0w8m1cV5tR7yB2nX4pL6sD0hG",
    "system": "Windows",
    "undo_link": "https://id.example.com/undo#token=2k3q9fJ0w8m1cV5tR7yB2nX4pL6sD0hG",
    "username": "ann-of-green.gables",
}

_WHERE = ("username", "at", "program", "system")
_NAMES = {
    "account-deleted": ("username", "at"),
    "account-disabled": ("username", "at"),
    "account-enabled": ("username", "at"),
    "email-change": ("code", "link", "minutes"),
    "email-changed": (*_WHERE, "new_masked", "undo_link", "days"),
    "email-replaced": ("username", "at"),
    "email-set": ("username", "at"),
    "factor-added": (*_WHERE, "factor", "stop_link", "days"),
    "factor-removed": (*_WHERE, "factor", "last", "stop_link", "days"),
    "factors-reset": (*_WHERE, "stop_link", "days"),
    "invitation": ("link", "days"),
    "invitation-accepted": (*_WHERE, "stop_link", "days"),
    "new-device": (*_WHERE, "stop_link", "days"),
    "password-breached": ("username", "code", "link", "minutes"),
    "password-changed": (*_WHERE, "stop_link", "days"),
    "password-required": ("username", "code", "link", "minutes"),
    "recovery-code-used": (*_WHERE, "left", "stop_link", "days"),
    "recovery-codes-made": (*_WHERE, "stop_link", "days"),
    "refresh-token-reused": (*_WHERE, "stop_link", "days"),
    "reset-password": ("username", "code", "link", "minutes"),
    "role-granted": (*_WHERE, "role", "stop_link", "days"),
    "set-password": ("username", "link", "days"),
    "sign-in-code": ("username", "code", "minutes"),
    "sign-up-known-address": ("sign_in_link", "forgot_link"),
    "test": (),
    "username-changed": ("username", "at"),
    "verify-email": ("code", "link", "minutes"),
}

LETTERS: Mapping[str, Mapping[str, str]] = {
    kind: {name: VALUES[name] for name in names} for kind, names in _NAMES.items()
}
"""The values of each letter, by the name of its templates."""
