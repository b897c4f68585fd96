"""Conditions of an application's routes: roles, permissions, and how a user has signed in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeAlias, get_args

from gatelodge.clock import Clock, is_recent
from gatelodge.credentials.refusals import ReauthenticationRequired
from gatelodge.gate.rules import SIGNED_IN, Holder, Rule
from gatelodge.methods import Level, level_of

Names: TypeAlias = str | Enum | Iterable[str | Enum]
"""A role or a permission, or several of which one is enough: as text or as members of an enum."""


class Caller(Holder, Protocol):
    """Somebody who is signed in, with when and how they proved who they are."""

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user last proved who they are; None: it is not known."""

    @property
    def methods(self) -> frozenset[str]:
        """How the user proved it; empty: it is not known."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Who may call a route.

    Attributes:
        rule: the role and permission that are required.
        fresh: how long ago the user may have proved who they are, at most; None: any time.
        methods: how the user must have proved it; of several methods, one is enough; empty: anyhow.
        aal: how sure the proof must be, at least (see `User.aal`).
    """

    rule: Rule
    fresh: timedelta | None = None
    methods: frozenset[str] = frozenset()
    aal: Level = 1

    @property
    def asks_for_proof(self) -> bool:
        """Whether it matters when or how the user has signed in."""
        return self.fresh is not None or bool(self.methods) or self.aal > 1

    def check(self, caller: Caller, clock: Clock) -> None:
        """Refuse somebody who does not meet the condition.

        Raises:
            Forbidden: a required role or permission is missing.
            ReauthenticationRequired: the last proof is too old, or not the one that is asked for;
                or nobody knows when or how there was one.
        """
        self.rule.check(caller)
        if self.asks_for_proof and not self._is_proved(caller, clock):
            any_proof = self.aal == 1 and not self.methods
            raise ReauthenticationRequired(self.fresh, self.aal, by_any_proof=any_proof)

    def _is_proved(self, caller: Caller, clock: Clock) -> bool:
        if level_of(caller.methods) < self.aal:
            return False
        if self.methods and self.methods.isdisjoint(caller.methods):
            return False
        if self.fresh is None:
            return True
        at = caller.authenticated_at
        return at is not None and is_recent(at, clock.now(), self.fresh)


def condition_for(
    role: Names = (),
    permission: Names = (),
    fresh: timedelta | None = None,
    methods: Names = (),
    aal: Level = 1,
) -> Condition:
    """Return the condition that a user meets who meets all of these; without any, all users do.

    Args:
        role: as for `rule_for`.
        permission: as for `rule_for`.
        fresh: how long ago the user may have proved who they are, at most; None: any time.
        methods: how the user must have proved it, such as `otp`; of several, one is enough.
        aal: how sure the proof must be: 2 needs a second factor, or a passkey.

    Raises:
        ValueError: a name is empty, or there is no such level.
    """
    if aal not in get_args(Level):
        raise ValueError("aal is 1 or 2: one factor, or several.")
    return Condition(rule_for(role, permission), fresh, frozenset(names_of(methods)), aal)


def asking(condition: Condition, *, otherwise: str) -> Condition:
    """Return a condition of a `require` that must ask for something.

    Args:
        condition: the condition.
        otherwise: what admits everybody who is signed in, for the message.

    Raises:
        ValueError: the condition admits everybody who is signed in.
    """
    if not condition.rule.can_lack and not condition.asks_for_proof:
        raise ValueError(f"require() needs a condition; {otherwise} admits everybody signed in.")
    return condition


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
        raise ValueError("The name of a role, permission or method is empty.")
    return names
