"""Rules: who may call a route. Every route names one; without a rule it cannot be made."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from gatelodge.errors import Refusal
from gatelodge.gate.refusals import Forbidden, NoToken


class Holder(Protocol):
    """Somebody who is signed in, with what a rule asks about."""

    @property
    def subject(self) -> str:
        """The user's id."""

    @property
    def roles(self) -> Collection[str]:
        """The roles that the user holds."""

    @property
    def permissions(self) -> Collection[str]:
        """What these roles permit."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call a route.

    Attributes:
        name: as printed in `docs/api.md`.
        public: whether everybody may call, with or without a token; then the rest is ignored.
        any_of: roles, of which the caller must hold at least one; empty: no role is required.
        permissions: the caller must have at least one of these; empty: none is required.
        missing: the refusal when there is no token.
        lacking: the refusal when the caller lacks a required role or permission.
        while_held_back: whether it admits a session that is held back too, because the route leads
            to a second factor (see `Principal.held_back`). `Gate.authorize` decides by it.
        while_impersonating: what it admits of whoever sees the application as another user does:
            requests that change nothing (`reading`), which is also what a route has that says
            nothing; `anything`; or `nothing`. `Gate.authorize` decides by it.

    A rule without roles and permissions admits everybody who is signed in. A rule with roles and
    permissions requires both.
    """

    name: str
    public: bool = False
    any_of: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    missing: type[Refusal] = NoToken
    lacking: type[Forbidden] = Forbidden
    while_held_back: bool = False
    while_impersonating: Literal["reading", "anything", "nothing"] = "reading"

    @property
    def can_lack(self) -> bool:
        """Whether the rule can refuse somebody who is signed in."""
        return bool(self.any_of or self.permissions)

    def admits_impersonator(self, *, changes: bool) -> bool:
        """Return whether the rule admits whoever sees the application as another user does.

        Args:
            changes: whether the request may change something, by its method.
        """
        if self.while_impersonating == "reading":
            return not changes
        return self.while_impersonating == "anything"

    def permits(self, roles: Collection[str], permissions: Collection[str]) -> bool:
        """Return whether the rule admits somebody with these roles and permissions."""
        if self.any_of and not any(role in roles for role in self.any_of):
            return False
        return not self.permissions or any(each in permissions for each in self.permissions)

    def check(self, caller: Holder) -> None:
        """Refuse somebody whom the rule does not admit.

        Raises:
            Forbidden: `lacking`: a required role or permission is missing.
        """
        if not self.permits(caller.roles, caller.permissions):
            raise self.lacking(caller=caller.subject)


ANYBODY = Rule("anybody", public=True)
SIGNED_IN = Rule("signed in")

IN_PERSON = Rule("signed in", while_impersonating="nothing")
"""For what is the user's own alone, even to look at: secrets, and pages that lead to changes."""

SIGNED_IN_SO_FAR = Rule("signed in", while_held_back=True, while_impersonating="nothing")
"""For routes that lead to a second factor: also for whoever must have one and has not proved it.
Nobody proves anything in the place of another."""
