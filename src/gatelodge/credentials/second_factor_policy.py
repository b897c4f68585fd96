"""Who must have a second factor, as the operator decides."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

SecondFactorMode: TypeAlias = Literal["off", "offered", "required"]


@dataclass(frozen=True, slots=True)
class SecondFactorPolicy:
    """Who may have a second factor, and who must.

    Attributes:
        mode: `off`: nobody may add one; `offered`: everybody may; `required`: everybody must have
            one.
        roles: whoever holds one of these must have one, unless the mode is `off`.
    """

    mode: SecondFactorMode = "offered"
    roles: frozenset[str] = field(default_factory=frozenset)

    def requires(self, roles: Collection[str]) -> bool:
        """Return whether somebody with these roles must have a second factor."""
        if self.mode == "off":
            return False
        return self.mode == "required" or not self.roles.isdisjoint(roles)
