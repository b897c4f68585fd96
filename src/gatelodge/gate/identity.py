"""Forward-auth: the headers that name the caller, and the rule that a proxy asks for."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from gatelodge.gate.principal import Principal
from gatelodge.gate.rules import Rule


def identity_headers(principal: Principal) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell the application behind the proxy who the caller is."""
    return [
        (b"x-auth-user", principal.username.encode()),
        (b"x-auth-subject", principal.subject.encode()),
        (b"x-auth-actor", principal.acting.encode()),
        (b"x-auth-roles", ",".join(principal.roles).encode()),
        (b"x-auth-time", b"%d" % principal.authenticated_at),
        (b"x-auth-methods", ",".join(principal.methods).encode()),
    ]


def rule_of(roles: Iterable[str], permissions: Iterable[str]) -> Rule:
    """Return the rule that requires one of these roles and one of these permissions.

    An empty list requires none.
    """
    return Rule("asked for", any_of=_each_once(roles), permissions=_each_once(permissions))


def rule_asked_for(query: bytes) -> Rule | None:
    """Return the rule that a query string asks for, or None if the query is malformed.

    It may contain `role=…` and `permission=…`, each several times, and nothing else.
    """
    asked: dict[str, list[str]] = {"role": [], "permission": []}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in asked or not value:
            return None
        asked[name].append(value)
    return rule_of(asked["role"], asked["permission"])


def _each_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
