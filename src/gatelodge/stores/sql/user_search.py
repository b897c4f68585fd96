"""How users are listed, searched and counted in SQLite, without reading all of them.

A page is found in one of two ways. Both list users in the order of `stores/user_order.py` and go on
after the same places, so that a list may change its way from one page to the next.

- **By the few.** A condition of the query that few users meet, by an index of its own, is asked
  first. All these users are read, and those that meet the other conditions are sorted.
- **In order.** Otherwise the list follows the index of its order, or that of a condition that is in
  this order too. It stops when it has enough users, or has looked at `EXAMINED` of them.

The statements are put together from the texts in this module; values are always parameters.
"""
# ruff: noqa: S608 - nothing that somebody typed is in a statement

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

from sqlalchemy import Connection

from gatelodge.accounts.search import Count, UserQuery
from gatelodge.clock import from_milliseconds, to_milliseconds
from gatelodge.ids import UserId
from gatelodge.stores.user_order import (
    INSTANTS,
    Place,
    Stretch,
    from_cursor,
    is_descending,
    rounded_up,
    stretches_of,
    to_cursor,
)

FEW = 3_000
"""How many users a condition is met by at most, for all of them to be read."""

EXAMINED = 2_000
"""After how many users that do not match a page ends."""

COUNTED = 100_000
"""How far entries of an index are counted where no user has to be read."""

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a query.

    Attributes:
        term: the condition for a row of `users`.
        source: what stands after FROM to find all users that meet it, by an index; empty: no index
            knows them.
        id: the column of their ids there.
        exact: whether everybody whom `source` finds meets the condition.
        in_order: whether `source` finds users in the order in which they were created.
    """

    term: str
    source: str = ""
    id: str = "id"
    exact: bool = True
    in_order: bool = False


def find_page(
    connection: Connection, query: UserQuery, after: str | None, limit: int
) -> tuple[list[UserId], str | None]:
    """Return the ids of a page of users, and where the next page goes on.

    Raises:
        ValueError: `after` is no text of this module for such a list.
    """
    since = None if after is None else from_cursor(query, after)
    search = Search(connection, query, since)
    if search.few is None or (search.few.in_order and search.is_by_creation):
        found, stopped = search.in_order(limit + 1)
    else:
        found, stopped = search.by_few(search.few, limit + 1), None
    if len(found) > limit:
        found = found[:limit]
        stopped = found[-1]
    following = None if stopped is None else to_cursor(query, stopped)
    return [place.user_id for place in found], following


def count_matching(connection: Connection, query: UserQuery, limit: int) -> Count:
    """Return how many users match; see `UserStore.count_matching`."""
    search = Search(connection, replace(query, order="created"))
    most = min(limit, COUNTED)
    if (number := search.count_by_index(most)) is not None:
        return Count(number, exact=number < most)
    if search.few is not None:
        number = search.count_few(search.few, limit)
        return Count(number, exact=number < limit)
    number, whole = search.count_in_order(limit)
    return Count(number, exact=number < limit and whole)


class Search:
    """The statements for one query on one connection."""

    def __init__(
        self, connection: Connection, query: UserQuery, since: Place | None = None
    ) -> None:
        """Put the conditions and the stretches together.

        Args:
            connection: where the statements are run.
            query: which users are wanted.
            since: the place after which the list goes on, or None for its beginning.
        """
        self._connection = connection
        self._since = since
        self._stretches = stretches_of(query)
        descending = is_descending(query)
        self._way, self._beyond = ("DESC", "<") if descending else ("ASC", ">")
        self._conditions = [*_states(query), *_periods(query, self._stretches)]
        self._values: dict[str, Any] = {"role": query.role, "factor": query.factor}
        if since is not None:
            key = 0 if since.key is None else _stored(since.key)
            self._values |= {"number": since.stretch, "key": key, "id": since.user_id}
        for name in chain(*_BOUNDS.values()):
            self._values[name] = _stored(rounded_up(getattr(query, name)))
        for number, stretch in enumerate(self._stretches):
            self._values |= {
                f"low{number}": _stored(stretch.low),
                f"high{number}": _stored(stretch.high),
            }

    @property
    def is_by_creation(self) -> bool:
        """Whether the list is sorted by when users were created."""
        return [each.column for each in self._stretches] == ["created_at"]

    @cached_property
    def few(self) -> Condition | None:
        """The condition that fewest users meet, if they are `FEW` at most, or None."""
        fewest, least = None, FEW + 1
        for condition in self._conditions:
            if condition.source and (number := self._count(condition.source, least)) < least:
                fewest, least = condition, number
        return fewest

    def by_few(self, few: Condition, limit: int) -> list[Place]:
        """Return the next `limit` places, of all users who meet a condition."""
        numbers = range(len(self._stretches))
        ranges = [self._range(number) for number in numbers]
        number = _cases(ranges, map(str, numbers))
        key = _cases(ranges, ("0" if each.absent else each.column for each in self._stretches))
        after = "number IS NOT NULL"
        if self._since is not None:
            after = (
                f"(number > :number OR number = :number AND (key, id) {self._beyond} (:key, :id))"
            )
        rows = self._rows(
            f"SELECT number, key, id FROM (SELECT {number} AS number, {key} AS key, users.id AS id "
            f"FROM {self._all_of(few)}) WHERE {after} "
            f"ORDER BY number, key {self._way}, id {self._way} LIMIT :limit",
            limit=limit,
        )
        return [self._place(*row) for row in rows]

    def in_order(self, limit: int) -> tuple[list[Place], Place | None]:
        """Return the next `limit` places, and where the search gave up before the end, or None."""
        found: list[Place] = []
        left = EXAMINED
        for number in range(self._since.stretch if self._since else 0, len(self._stretches)):
            found += self._follow(number, left, limit - len(found))
            if len(found) == limit:
                return found, None
            if (last := self._last_examined(number, left)) is not None:
                return found, last
            left -= self._count(self._line(number), left)
        return found, None

    def count_by_index(self, limit: int) -> int | None:
        """Return how many users match, up to `limit`; None if users have to be read for that."""
        if len(self._stretches) != 1:
            return 0 if not self._stretches else None
        if not self._conditions:
            return self._count(self._line(0), limit)
        bare = self._stretches[0].low is None and self._stretches[0].high is None
        if len(self._conditions) > 1 or not bare or not self.is_by_creation:
            return None
        (only,) = self._conditions
        return self._count(only.source, limit) if only.source and only.exact else None

    def count_few(self, few: Condition, limit: int) -> int:
        """Return how many match of those who meet a condition, up to `limit`."""
        anywhere = " OR ".join(self._range(number) for number in range(len(self._stretches)))
        return self._count(f"{self._all_of(few)} AND ({anywhere or 'FALSE'})", limit)

    def count_in_order(self, limit: int) -> tuple[int, bool]:
        """Return how many match of those that may be examined, and whether these are all."""
        found, left = 0, EXAMINED
        for number in range(len(self._stretches)):
            found += self._count(f"({self._examined(number)}) WHERE ok", limit, examined=left)
            left -= self._count(self._line(number), left)
            if found >= limit or not left:
                return found, False
        return found, True

    def _follow(self, number: int, most: int, limit: int) -> list[Place]:
        """Return up to `limit` places in a stretch, of the next `most` users in it."""
        rows = self._rows(
            f"SELECT key, id FROM ({self._examined(number)}) WHERE ok LIMIT :limit",
            examined=most,
            limit=limit,
        )
        return [self._place(number, *row) for row in rows]

    def _last_examined(self, number: int, most: int) -> Place | None:
        """Return the place of the last of the next `most` users, or None if there are fewer."""
        rows = self._rows(
            f"SELECT {self._stretches[number].column}, id FROM {self._line(number)} "
            f"{self._sorting(number)} LIMIT 1 OFFSET :skipped",
            skipped=most - 1,
        )
        return self._place(number, *rows[0]) if rows else None

    def _examined(self, number: int) -> str:
        """Return the query for the next users in a stretch: key, id, and whether they match.

        It has a limit. So SQLite runs it as a co-routine, and reads no more rows than are wanted.
        """
        terms = [each.term for each in self._conditions]
        earlier = self._stretches[number].besides
        terms += [f"NOT ({self._range(each)})" for each in range(len(earlier))]
        return (
            f"SELECT {self._stretches[number].column} AS key, id, {_all(terms)} AS ok "
            f"FROM {self._line(number)} {self._sorting(number)} LIMIT :examined"
        )

    def _line(self, number: int) -> str:
        """Return what stands after FROM for the users in a stretch who are still to be shown."""
        stretch = self._stretches[number]
        source = "users WHERE TRUE"
        if self.is_by_creation:
            leads = (self.few, *self._conditions)
            source = next((each.source for each in leads if each and each.in_order), source)
        if self._since is None or self._since.stretch != number:
            return f"{source} AND {self._range(number)}"
        place = "id" if stretch.absent else f"({stretch.column}, id)"
        value = ":id" if stretch.absent else "(:key, :id)"
        within = self._range(number, beyond=True)
        return f"{source} AND {within} AND {place} {self._beyond} {value}"

    def _range(self, number: int, *, beyond: bool = False) -> str:
        """Return the condition for the users in a stretch.

        Args:
            number: the number of the stretch.
            beyond: whether the bound where the list begins is left out, because there is a nearer
                one: SQLite looks for only one of them in the index.
        """
        stretch = self._stretches[number]
        if stretch.absent:
            return f"{stretch.column} IS NULL"
        terms = [f"{stretch.column} IS NOT NULL"]
        if stretch.low is not None and not (beyond and self._way == "ASC"):
            terms.append(f"{stretch.column} >= :low{number}")
        if stretch.high is not None and not (beyond and self._way == "DESC"):
            terms.append(f"{stretch.column} < :high{number}")
        return " AND ".join(terms)

    def _all_of(self, few: Condition) -> str:
        """Return what stands after FROM for matching users, from those who meet a condition."""
        others = _all([each.term for each in self._conditions if not (each is few and each.exact)])
        # A cross join is not turned round: SQLite reads the few first.
        return (
            f"(SELECT {few.id} AS chosen FROM {few.source}) "
            f"CROSS JOIN users ON users.id = chosen WHERE {others}"
        )

    def _sorting(self, number: int) -> str:
        way, column = self._way, self._stretches[number].column
        return (
            f"ORDER BY id {way}"
            if self._stretches[number].absent
            else f"ORDER BY {column} {way}, id {way}"
        )

    def _count(self, source: str, limit: int, **values: Any) -> int:
        counted = f"SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT :limit)"
        ((number,),) = self._rows(counted, limit=limit, **values)
        return int(number)

    def _rows(self, statement: str, **values: Any) -> Sequence[Row]:
        return self._connection.exec_driver_sql(statement, self._values | values).all()

    def _place(self, number: int, key: Any, user_id: str) -> Place:
        stretch = self._stretches[number]
        if stretch.absent:
            key = None
        elif stretch.column in INSTANTS:
            key = from_milliseconds(key)
        return Place(number, key, UserId(user_id))


def _states(query: UserQuery) -> Iterator[Condition]:
    """Yield the conditions on what users have and are."""
    if query.role is not None:
        holds = "EXISTS (SELECT 1 FROM user_roles WHERE user_id = users.id AND role = :role)"
        yield Condition(holds, "user_roles WHERE role = :role", id="user_id")
    if query.enabled is not None:
        yield _ENABLED if query.enabled else _DISABLED
    if query.factor is not None:
        yield _FACTORS[query.factor]
    if query.verified is not None:
        yield _VERIFIED if query.verified else _UNVERIFIED


def _indexed(index: str, term: str, *, among: str = "", in_order: bool = True) -> Condition:
    """Return a condition that an index of `users` knows.

    Args:
        index: its name.
        term: the condition.
        among: the condition of all users that are read; empty: the same.
        in_order: see `Condition`.
    """
    source = f"users INDEXED BY {index} WHERE {among or term}"
    return Condition(term, source, exact=not among, in_order=in_order)


_HAS = "EXISTS (SELECT 1 FROM json_each(factors) WHERE json_extract(value, '$.kind') = :factor)"
_ENABLED = Condition("disabled_at IS NULL")
_DISABLED = _indexed("ix_users_disabled", "disabled_at IS NOT NULL")
_VERIFIED = _indexed("ix_users_verified", "email_verified_at IS NOT NULL")
_UNVERIFIED = _indexed("ix_users_unverified", "email_verified_at IS NULL")
_SECOND = "factor_state = 2"
_FACTORS = {
    "any": _indexed("ix_users_factor_state", _SECOND),
    "none": _indexed("ix_users_factor_state", "factor_state < 2", in_order=False),
    **dict.fromkeys(("totp", "passkey"), _indexed("ix_users_factor_state", _HAS, among=_SECOND)),
    **dict.fromkeys(
        ("recovery_codes", "browser"),
        _indexed("ix_users_factor_state", _HAS, among="factor_state > 0", in_order=False),
    ),
}


def _periods(query: UserQuery, stretches: Sequence[Stretch]) -> Iterator[Condition]:
    """Yield the conditions on instants that are not those by which the list is sorted."""
    sorted_by = {each.column for each in stretches}
    for column, first, last in (
        ("created_at", query.created_from, query.created_before),
        ("last_sign_in_at", query.signed_in_from, query.signed_in_before),
    ):
        terms = [f"{column} >= :{_BOUNDS[column][0]}"] if first else []
        terms += [f"{column} < :{_BOUNDS[column][1]}"] if last else []
        if terms and column not in sorted_by:
            yield _indexed(f"ix_users_{column}", " AND ".join(terms), in_order=False)


_BOUNDS = {
    "created_at": ("created_from", "created_before"),
    "last_sign_in_at": ("signed_in_from", "signed_in_before"),
}


def _cases(ranges: Sequence[str], values: Iterable[str]) -> str:
    """Return the value of the first range in which a user is, or NULL."""
    cases = " ".join(
        f"WHEN {each} THEN {value}" for each, value in zip(ranges, values, strict=True)
    )
    return f"CASE {cases} END" if cases else "NULL"


def _all(terms: Sequence[str]) -> str:
    return " AND ".join(f"({each})" for each in terms) or "TRUE"


def _stored(value: str | datetime | None) -> str | int | None:
    return to_milliseconds(value) if isinstance(value, datetime) else value
