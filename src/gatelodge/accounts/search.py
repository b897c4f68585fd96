"""What one can look for among users."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from gatelodge.credentials.factors import FactorKind

UserOrder: TypeAlias = Literal["created", "username", "last_sign_in"]
"""By what users are sorted. Users who never signed in count as those who did so first."""

FactorWanted: TypeAlias = FactorKind | Literal["any", "none"]
"""`any`: a second factor of whatever kind; `none`: no second factor."""


@dataclass(frozen=True, slots=True)
class UserQuery:
    """Which users to list, and in which order. All conditions must hold.

    Attributes:
        text: the start of a username, an e-mail address or a name, as typed; empty: any. If there
            is one, the order is that of what matched: first usernames, then addresses, then names,
            each in their order; `order` and `descending` do not matter.
        role: the name of a role that the user holds, or None.
        enabled: whether the user is enabled; None: either.
        verified: whether the e-mail address is verified; None: either.
        factor: see `FactorWanted`; None: either.
        created_from: only users who were created at this instant or later, or None.
        created_before: only users who were created before this instant, or None.
        signed_in_from: only users who last signed in at this instant or later, or None.
        signed_in_before: only users who last signed in before this instant, or None. Users who
            never signed in are not among them.
        order: by what they are sorted; users with equal values by their ids.
        descending: whether the newest, or the last in the alphabet, comes first.
    """

    text: str = ""
    role: str | None = None
    enabled: bool | None = None
    verified: bool | None = None
    factor: FactorWanted | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    signed_in_from: datetime | None = None
    signed_in_before: datetime | None = None
    order: UserOrder = "created"
    descending: bool = True

    @property
    def is_for_all(self) -> bool:
        """Whether every user matches."""
        return self == UserQuery(order=self.order, descending=self.descending)


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are.

    Attributes:
        number: how many.
        exact: whether there are exactly as many; otherwise, about as many.
    """

    number: int
    exact: bool = True


def name_key(name: str) -> str:
    """Return the key by which names for display are searched.

    Upper and lower case, and how a character is written in Unicode, make no difference. A long name
    is cut first, because normalising takes quadratic time on hostile text, and its key is cut too.
    """
    folded = unicodedata.normalize(
        "NFKC", unicodedata.normalize("NFKC", name[:_LONGEST]).casefold()
    )
    return " ".join(folded.split())[:_LONGEST_KEY].rstrip()


_LONGEST = 400  # as many characters as a name of 100 may be typed with
_LONGEST_KEY = 100
