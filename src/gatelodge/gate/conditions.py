"""Conditions of an application's routes: the roles and permissions that they require."""

from collections.abc import Iterable
from enum import Enum
from typing import TypeAlias

from gatelodge.gate.rules import SIGNED_IN, Rule

Names: TypeAlias = str | Enum | Iterable[str | Enum]
"""A role or a permission, or several of which one is enough: as text or as members of an enum."""


def rule_for(role: Names = (), permission: Names = ()) -> Rule:
    """Return the rule that admits whoever meets all of these conditions; without any, all users.

    Args:
        role: the role that the user must hold; of several, one is enough.
        permission: the permission that the user must have; of several, one is enough.

    Raises:
        ValueError: a name is empty.
    """
    roles, permissions = names_of(role), names_of(permission)
    parts = [f"role {' or '.join(roles)}"] if roles else []
    parts += [" or ".join(permissions)] if permissions else []
    name = " and ".join(parts) or SIGNED_IN.name
    return Rule(name, any_of=roles, permissions=permissions)


def text_of(name: str | Enum) -> str:
    """Return the name of a role or permission as text."""
    return str(name.value) if isinstance(name, Enum) else name


def names_of(given: Names) -> tuple[str, ...]:
    """Return the names as text.

    Raises:
        ValueError: a name is empty.
    """
    several = [given] if isinstance(given, str | Enum) else list(given)
    names = tuple(text_of(each) for each in several)
    if not all(names):
        raise ValueError("The name of a role or permission is empty.")
    return names
