"""Who may call a route, from all guards that it has."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gatelodge.gate.conditions import Condition
from gatelodge.methods import Level, Methods, level_of

Names = frozenset[str]
"""Roles, permissions or methods, of which one is enough."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller must meet: all of it, as several guards of a route are all asked.

    Attributes:
        public: whether anybody may call; then the rest is empty.
        roles: the caller holds at least one role of each of these sets.
        permissions: the caller has at least one permission of each of these sets.
        fresh: how long ago the caller may have proved who they are, at most; None: as long as the
            session lasts.
        methods: the caller has proved who they are by at least one method of each of these sets.
        aal: how sure the proof must be, at least.
    """

    public: bool = False
    roles: frozenset[Names] = frozenset()
    permissions: frozenset[Names] = frozenset()
    fresh: timedelta | None = None
    methods: frozenset[Names] = frozenset()
    aal: Level = 1

    @classmethod
    def of(cls, conditions: Iterable[Condition]) -> "Access | None":
        """Return what several conditions require together; None if there is none."""
        every = list(conditions)
        asking = [each for each in every if not each.rule.public]
        if not asking:
            return cls(public=True) if every else None
        return cls(
            roles=_narrowest(each.rule.any_of for each in asking),
            permissions=_narrowest(each.rule.permissions for each in asking),
            fresh=min((each.fresh for each in asking if each.fresh is not None), default=None),
            methods=_narrowest(each.methods for each in asking),
            aal=max(each.aal for each in asking),
        )

    def and_of(self, conditions: Iterable[Condition]) -> "Access":
        """Return what this and several conditions require together."""
        other = Access.of(conditions)
        if other is None or other.public:
            return self
        if self.public:
            return other
        times = [each for each in (self.fresh, other.fresh) if each is not None]
        return Access(
            roles=_narrowest([*self.roles, *other.roles]),
            permissions=_narrowest([*self.permissions, *other.permissions]),
            fresh=min(times, default=None),
            methods=_narrowest([*self.methods, *other.methods]),
            aal=max(self.aal, other.aal),
        )

    @classmethod
    def from_json(cls, value: Any) -> "Access | None":
        """Return what `as_json` wrote, in this version or the one before.

        Raises:
            KeyError, TypeError: it did not write this.
        """
        if value is None:
            return None
        seconds = value["fresh_seconds"]
        return cls(
            public=value["public"],
            roles=frozenset(frozenset(names) for names in value["roles"]),
            permissions=frozenset(frozenset(names) for names in value["permissions"]),
            fresh=None if seconds is None else timedelta(seconds=seconds),
            methods=frozenset(frozenset(names) for names in value.get("methods", ())),
            aal=2 if value.get("aal") == 2 else 1,
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "public": self.public,
            "roles": _sorted(self.roles),
            "permissions": _sorted(self.permissions),
            "fresh_seconds": None if self.fresh is None else self.fresh.total_seconds(),
            "methods": _sorted(self.methods),
            "aal": self.aal,
        }

    @property
    def words(self) -> str:
        """It in words."""
        if self.public:
            return "anybody"
        parts = [f"role {' or '.join(names)}" for names in _sorted(self.roles)]
        parts += [" or ".join(names) for names in _sorted(self.permissions)]
        parts += [f"signed in by {' or '.join(names)}" for names in _sorted(self.methods)]
        if self.aal > 1:
            parts.append("signed in with a second factor")
        if self.fresh is not None:
            parts.append(f"signed in within {_duration(self.fresh)}")
        return " and ".join(parts) or "signed in"

    def admits(
        self, roles: Collection[str], permissions: Collection[str], methods: Methods
    ) -> bool:
        """Say whether somebody who is signed in by these methods, just now, may call."""
        return self.public or (
            all(not names.isdisjoint(roles) for names in self.roles)
            and all(not names.isdisjoint(permissions) for names in self.permissions)
            and all(not names.isdisjoint(methods) for names in self.methods)
            and level_of(methods) >= self.aal
        )

    def implies(self, other: "Access") -> bool:
        """Say whether everybody whom this admits is admitted by the other one too."""
        if other.public or self.public:
            return other.public
        if other.fresh is not None and (self.fresh is None or self.fresh > other.fresh):
            return False
        return (
            self.aal >= other.aal
            and _covers(self.roles, other.roles)
            and _covers(self.permissions, other.permissions)
            and _covers(self.methods, other.methods)
        )


def _narrowest(given: Iterable[Iterable[str]]) -> frozenset[Names]:
    """Return the sets that say something: without those that a narrower one makes true."""
    sets = {frozenset(names) for names in given} - {frozenset()}
    return frozenset(names for names in sets if not any(other < names for other in sets))


def _covers(asked: frozenset[Names], wanted: frozenset[Names]) -> bool:
    """Say whether whoever meets what is asked meets what is wanted."""
    return all(any(names <= each for names in asked) for each in wanted)


def _sorted(sets: frozenset[Names]) -> list[list[str]]:
    return sorted(sorted(names) for names in sets)


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
