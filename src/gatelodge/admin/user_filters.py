"""What the page of users looks for, as its address says it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self, TypeVar

from gatelodge.accounts.search import FactorWanted, UserOrder, UserQuery
from gatelodge.errors import InvalidRequest

V = TypeVar("V")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

MAX_TEXT = 254
"""How many characters one can look for: no e-mail address is longer."""

STATES: Mapping[str, bool] = {"enabled": True, "disabled": False}
ANSWERS: Mapping[str, bool] = {"yes": True, "no": False}
FACTORS: Mapping[str, FactorWanted] = {
    "any": "any",
    "totp": "totp",
    "passkey": "passkey",
    "none": "none",
}
ORDERS: Mapping[str, tuple[UserOrder, bool]] = {
    "newest": ("created", True),
    "oldest": ("created", False),
    "username": ("username", False),
    "seen": ("last_sign_in", True),
    "unseen": ("last_sign_in", False),
}
"""The orders, each with what it sorts by, and whether it descends. The first one is the usual."""

DAYS = ("from", "until", "seen_from", "seen_until")
CONDITIONS = ("role", "state", "verified", "factor", *DAYS)
"""The names of the conditions in the address, besides `q`, what is looked for."""


@dataclass(frozen=True, slots=True)
class UserFilters:
    """What the page of users looks for.

    Attributes:
        values: the values in the address, by name; those that are empty are left out.
        query: the same, as the store understands it.
    """

    values: Mapping[str, str]
    query: UserQuery

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """Return what an address looks for.

        Raises:
            InvalidRequest: a value is none of those that the page offers.
        """
        names = ("q", *CONDITIONS, "order")
        values = {name: _CONTROL.sub(" ", given.get(name, "")).strip() for name in names}
        values = {name: value for name, value in values.items() if value}
        if len(values.get("q", "")) > MAX_TEXT:
            raise InvalidRequest(field="q")
        order, descending = _one_of(ORDERS, "order", values) or next(iter(ORDERS.values()))
        return cls(
            values,
            UserQuery(
                text=values.get("q", ""),
                role=values.get("role"),
                enabled=_one_of(STATES, "state", values),
                verified=_one_of(ANSWERS, "verified", values),
                factor=_one_of(FACTORS, "factor", values),
                created_from=start_of_day("from", values),
                created_before=end_of_day("until", values),
                signed_in_from=start_of_day("seen_from", values),
                signed_in_before=end_of_day("seen_until", values),
                order=order,
                descending=descending,
            ),
        )

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions that are set, by name."""
        return {name: self.values[name] for name in CONDITIONS if name in self.values}

    def without(self, name: str) -> dict[str, str]:
        """Return the values without one of them."""
        return {each: value for each, value in self.values.items() if each != name}


def _one_of(choices: Mapping[str, V], name: str, values: Mapping[str, str]) -> V | None:
    """Return what a value means, or None if there is none.

    Raises:
        InvalidRequest: it is none of the choices.
    """
    if name not in values:
        return None
    if values[name] not in choices:
        raise InvalidRequest(field=name)
    return choices[values[name]]


def start_of_day(name: str, values: Mapping[str, str]) -> datetime | None:
    """Return when a day begins (UTC), or None if none is given.

    Raises:
        InvalidRequest: it is no day.
    """
    if name not in values:
        return None
    try:
        return datetime.combine(date.fromisoformat(values[name]), time(), UTC)
    except ValueError:
        raise InvalidRequest(field=name) from None


def end_of_day(name: str, values: Mapping[str, str]) -> datetime | None:
    """Return when a day ends.

    Raises:
        InvalidRequest: it is no day, or none that has an end.
    """
    start = start_of_day(name, values)
    try:
        return start and start + timedelta(days=1)
    except OverflowError:
        raise InvalidRequest(field=name) from None
