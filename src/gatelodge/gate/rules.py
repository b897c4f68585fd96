"""Who may call a route. Every route names one of these; one that names none cannot be made."""

from dataclasses import dataclass

from gatelodge.errors import Refusal
from gatelodge.gate.refusals import AdminRequired, Forbidden, NoToken


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call.

    Attributes:
        name: as printed in `docs/api.md`.
        public: whether the caller need not be known; then nothing else is looked at.
        any_of: roles of which the caller holds at least one; none means anyone signed in.
        missing: the refusal when there is no token.
        lacking: the refusal when the caller is known and may not.
    """

    name: str
    public: bool = False
    any_of: tuple[str, ...] = ()
    missing: type[Refusal] = NoToken
    lacking: type[Forbidden] = Forbidden

    def permits(self, roles: tuple[str, ...]) -> bool:
        """Say whether somebody who is signed in and holds these roles may."""
        return not self.any_of or any(role in roles for role in self.any_of)


ANYBODY = Rule("anybody", public=True)
SIGNED_IN = Rule("signed in")
ADMIN = Rule("admin", any_of=("admin",), lacking=AdminRequired)
