"""Conditions of an application's routes: roles, permissions, and how fresh a sign-in must be."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeAlias

from gatelodge.clock import Clock
from gatelodge.gate.refusals import ReauthenticationRequired
from gatelodge.gate.rules import SIGNED_IN, Holder, Rule

Names: TypeAlias = str | Enum | Iterable[str | Enum]
"""A role or a permission, or several of which one is enough: as text or as members of an enum."""


class Caller(Holder, Protocol):
    """Somebody who is signed in, and may be known to have proved it lately."""

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user last proved who they are; None: it is not known."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Who may call a route.

    Attributes:
        rule: the role and permission that are required.
        fresh: how long ago the user may have proved who they are, at most; None: any time.
    """

    rule: Rule
    fresh: timedelta | None = None

    def check(self, caller: Caller, clock: Clock) -> None:
        """Refuse somebody who does not meet the condition.

        Raises:
            Forbidden: a required role or permission is missing.
            ReauthenticationRequired: the last proof is too old.
            RuntimeError: a proof is asked for, and nobody knows when there was one.
        """
        self.rule.check(caller)
        if self.fresh is None:
            return
        if caller.authenticated_at is None:
            raise RuntimeError(
                "require(fresh=...) must know when the user last signed in: ask the server, with "
                "a freshness."
            )
        if clock.now() - caller.authenticated_at > self.fresh:
            raise ReauthenticationRequired(self.fresh)


def condition_for(
    role: Names, permission: Names, fresh: timedelta | None, *, otherwise: str
) -> Condition:
    """Return the condition of a `require`, which must ask for something.

    Args:
        role: as for `rule_for`.
        permission: as for `rule_for`.
        fresh: how long ago the user may have proved who they are, at most; None: any time.
        otherwise: what admits everybody who is signed in, for the message.

    Raises:
        ValueError: there is no condition, or a name is empty.
    """
    rule = rule_for(role, permission)
    if not rule.can_lack and fresh is None:
        raise ValueError(f"require() needs a condition; {otherwise} admits everybody signed in.")
    return Condition(rule, fresh)


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
