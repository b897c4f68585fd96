"""Who must have a second factor, as the operator decides.

The settings are the same as long as the process runs. So who is held back depends on the roles of a
user and on the methods of a session alone, and the gate may remember it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gatelodge.methods import Methods, level_of

SecondFactorMode: TypeAlias = Literal["off", "offered", "required"]


@dataclass(frozen=True, slots=True)
class SecondFactorPolicy:
    """Who may have a second factor, and who must.

    Attributes:
        mode: `off`: nobody may add one, but those that exist are asked for; `offered`: everybody
            may; `required`: everybody must have one.
        roles: whoever holds one of these must have one, unless the mode is `off`.
    """

    mode: SecondFactorMode = "offered"
    roles: frozenset[str] = field(default_factory=frozenset)

    def requires(self, roles: Collection[str]) -> bool:
        """Return whether somebody with these roles must have a second factor."""
        if self.mode == "off":
            return False
        return self.mode == "required" or not self.roles.isdisjoint(roles)

    def holds_back(self, roles: Collection[str], methods: Methods) -> bool:
        """Return whether a session only serves to prove a second factor, or to add one.

        Args:
            roles: the roles that its user holds now.
            methods: how the user has proved who they are in it.
        """
        return level_of(methods) < 2 and self.requires(roles)
