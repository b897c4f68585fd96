"""How users are listed, searched and counted in MongoDB, without reading all of them.

A page is found in one of two ways. Both list users in the order of `stores/user_order.py` and go on
after the same places, so that a list may change its way from one page to the next.

- **By the few.** A condition of the query that few users meet, by an index of its own, is asked
  first. All these users are read, and those that meet the other conditions are sorted.
- **In order.** Otherwise the list follows the index of its order, or that of a condition that is in
  this order too. It stops when it has enough users, or has looked at `EXAMINED` of them.

What somebody typed is only ever a value in a comparison.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pymongo.asynchronous.collection import AsyncCollection

from gatelodge.accounts.search import Count, UserQuery
from gatelodge.credentials.factors import SECOND_FACTORS
from gatelodge.stores.mongo.names import NOT_VOID
from gatelodge.stores.mongo.records import Document
from gatelodge.stores.user_order import (
    INSTANTS,
    Column,
    Place,
    Stretch,
    from_cursor,
    is_descending,
    rounded_up,
    stretches_of,
    to_cursor,
)

FEW = 2_000
"""How many users a condition is met by at most, for all of them to be read."""

EXAMINED = 3_000
"""After how many users that do not match a page ends."""

_AT_FIRST = 4
"""How many users are looked at first, for each that is wanted."""

COUNTED = 20_000
"""How far entries of an index are counted where no user has to be read."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a query.

    Attributes:
        term: what the documents of users match who meet it.
        index: the index that knows them; empty: none does.
        among: what all documents match that are read by the index; None: `term`.
        in_order: whether the index finds users in the order in which they were created.
    """

    term: Document
    index: str = ""
    among: Document | None = None
    in_order: bool = False

    @property
    def source(self) -> Document:
        """What the documents match that are read by the index."""
        return self.term if self.among is None else self.among


async def find_page(
    users: AsyncCollection[Document], query: UserQuery, after: str | None, limit: int
) -> tuple[list[Document], str | None]:
    """Return the documents of a page of users, and where the next page goes on.

    Raises:
        ValueError: `after` is no text of this module for such a list.
    """
    since = None if after is None else from_cursor(query, after)
    search = Search(users, query, since)
    few = await search.find_few()
    if few is None or (few.in_order and search.is_by_creation):
        found, stopped = await search.in_order(few, limit + 1)
    else:
        found, stopped = await search.by_few(few, limit + 1), None
    if len(found) > limit:
        found = found[:limit]
        stopped = found[-1][0]
    following = None if stopped is None else to_cursor(query, stopped)
    return [document for _, document in found], following


async def count_matching(users: AsyncCollection[Document], query: UserQuery, limit: int) -> Count:
    """Return how many users match; see `UserStore.count_matching`."""
    search = Search(users, replace(query, order="created"))
    most = min(limit, COUNTED)
    if (number := await search.count_by_index(most)) is not None:
        return Count(number, exact=number < most)
    few = await search.find_few()
    if few is not None:
        number = await search.count_few(few, limit)
        return Count(number, exact=number < limit)
    number, whole = await search.count_in_order(limit)
    return Count(number, exact=number < limit and whole)


class Search:
    """The questions for one query."""

    def __init__(
        self, users: AsyncCollection[Document], query: UserQuery, since: Place | None = None
    ) -> None:
        """Put the conditions and the stretches together.

        Args:
            users: the collection.
            query: which users are wanted.
            since: the place after which the list goes on, or None for its beginning.
        """
        self._users = users
        self._since = since
        self._stretches = stretches_of(query)
        descending = is_descending(query)
        self._way, self._beyond = (-1, "$lt") if descending else (1, "$gt")
        self._conditions = [*_states(query), *_periods(query, self._stretches)]

    @property
    def is_by_creation(self) -> bool:
        """Whether the list is sorted by when users were created."""
        return [each.column for each in self._stretches] == ["created_at"]

    async def find_few(self) -> Condition | None:
        """Return the condition that fewest users meet, if they are `FEW` at most, or None."""
        fewest, least = None, FEW + 1
        for condition in self._conditions:
            if condition.index:
                number = await self._count(condition.source, condition.index, least)
                if number < least:
                    fewest, least = condition, number
        return fewest

    async def by_few(self, few: Condition, limit: int) -> list[tuple[Place, Document]]:
        """Return the next `limit` users with their places, of all who meet a condition."""
        found: list[tuple[Place, Document]] = []
        for number, part in self._parts(self._since):
            wanted = self._matching([few.source, part], number)
            pipeline = [{"$match": wanted}, {"$sort": self._sorting(number)}]
            found += await self._find(number, few.index, pipeline, limit - len(found))
            if len(found) == limit:
                break
        return found

    async def in_order(
        self, few: Condition | None, limit: int
    ) -> tuple[list[tuple[Place, Document]], Place | None]:
        """Return the next `limit` users, and where the search gave up before the end, if it did.

        It looks at a few users first, and then at more: MongoDB reads all that it may look at, even
        if the first of them are enough.

        Args:
            few: a condition whose index is in the order of the list, or None.
            limit: how many users are wanted.
        """
        found: list[tuple[Place, Document]] = []
        since, left, most = self._since, EXAMINED, _AT_FIRST * limit
        while left > 0:
            most = min(most, left)
            some, since = await self._look_at(few, since, most, limit - len(found))
            found += some
            if len(found) == limit or since is None:
                return found, None
            left -= most
            most *= _AT_FIRST
        return found, since

    async def _look_at(
        self, few: Condition | None, since: Place | None, most: int, limit: int
    ) -> tuple[list[tuple[Place, Document]], Place | None]:
        """Return up to `limit` of the next `most` users after a place, and the place of the last.

        It is None if there are no more users.
        """
        found: list[tuple[Place, Document]] = []
        left = most
        for number, part in self._parts(since):
            line, index = self._line(number, part, few)
            # One pass says who matches and where it ended. Two would not see the same users, while
            # others come and go.
            outcome = {
                "found": [{"$match": self._matching([], number)}, {"$limit": limit - len(found)}],
                "last": [{"$skip": left - 1}, {"$project": {self._stretches[number].column: 1}}],
                "seen": [{"$count": "number"}],
            }
            pipeline: list[Document] = [
                {"$match": line},
                {"$sort": self._sorting(number)},
                {"$limit": left},
                {"$facet": outcome},
            ]
            cursor = await self._users.aggregate(pipeline, hint=index)
            (seen,) = await cursor.to_list()
            found += [(self._place(number, each), each) for each in seen["found"]]
            if len(found) == limit:
                break
            if seen["last"]:
                return found, self._place(number, seen["last"][0])
            left -= sum(each["number"] for each in seen["seen"])
        return found, None

    async def count_by_index(self, limit: int) -> int | None:
        """Return how many users match, up to `limit`; None if users have to be read for that."""
        if len(self._stretches) != 1:
            return 0 if not self._stretches else None
        ((number, part),) = self._parts(self._since)
        if not self._conditions:
            line, index = self._line(number, part)
            return await self._count(line, index, limit)
        (stretch,) = self._stretches
        bare = stretch.low is None and stretch.high is None
        if len(self._conditions) > 1 or not bare or not self.is_by_creation:
            return None
        (only,) = self._conditions
        exact = only.index and only.among is None
        return await self._count(only.source, only.index, limit) if exact else None

    async def count_few(self, few: Condition, limit: int) -> int:
        """Return how many match of those who meet a condition, up to `limit`."""
        found = 0
        for number, part in self._parts(self._since):
            wanted = self._matching([few.source, part], number)
            found += await self._count(wanted, few.index, limit - found)
            if found == limit:
                break
        return found

    async def count_in_order(self, limit: int) -> tuple[int, bool]:
        """Return how many match of those that may be examined, and whether these are all."""
        found, left = 0, EXAMINED
        for number, part in self._parts(self._since):
            line, index = self._line(number, part)
            counted: list[Document] = [
                {"$match": line},
                {"$limit": left},
                {"$match": self._matching([], number)},
                {"$limit": limit - found},
                {"$count": "number"},
            ]
            cursor = await self._users.aggregate(counted, hint=index)
            found += sum([each["number"] async for each in cursor])
            left -= await self._count(line, index, left)
            if found == limit or not left:
                return found, False
        return found, True

    def _parts(self, since: Place | None) -> Iterator[tuple[int, Document]]:
        """Yield the parts of the list after a place, with the numbers of their stretches.

        A stretch that goes on after a place has two: the users with the same value and a later id,
        and those with a later value. Each of them is a range of the index.
        """
        first = 0
        if since is not None:
            first = since.stretch
            stretch = self._stretches[first]
            same = {"$eq": since.key}
            yield first, {stretch.column: same, "_id": {self._beyond: since.user_id}}
            if not stretch.absent:
                yield first, _range(stretch, {self._beyond: since.key})
            first += 1
        for number in range(first, len(self._stretches)):
            yield number, _range(self._stretches[number], {})

    def _line(
        self, number: int, part: Document, few: Condition | None = None
    ) -> tuple[Document, str]:
        """Return what documents match that are looked at in order, and the index that finds them.

        Args:
            number: the number of the stretch.
            part: the part of the list.
            few: the condition to follow, or None.
        """
        if self.is_by_creation:
            for each in (few, *self._conditions):
                if each is not None and each.in_order:
                    return {"$and": [each.source, part]}, each.index
        return part, f"{self._stretches[number].column}__id"

    def _matching(self, others: Sequence[Document], number: int) -> Document:
        """Return what matching documents in a stretch match, and these others."""
        terms = [*others, NOT_VOID, *(each.term for each in self._conditions)]
        if earlier := [_range(each, {}) for each in self._stretches[number].besides]:
            terms.append({"$nor": earlier})
        return {"$and": terms}

    def _sorting(self, number: int) -> Document:
        return {self._stretches[number].column: self._way, "_id": self._way}

    async def _find(
        self, number: int, index: str, pipeline: list[Document], limit: int
    ) -> list[tuple[Place, Document]]:
        cursor = await self._users.aggregate(
            [*pipeline, {"$limit": limit}], hint=index, batchSize=limit
        )
        return [(self._place(number, document), document) async for document in cursor]

    def _place(self, number: int, document: Document) -> Place:
        stretch = self._stretches[number]
        key = None if stretch.absent else document[stretch.column]
        return Place(number, key, document["_id"])

    async def _count(self, wanted: Document, index: str, limit: int) -> int:
        # Unlike an aggregation, this command reads no document where the index tells enough.
        found = await self._users.database.command(
            "count", self._users.name, query=wanted, hint=index, limit=limit
        )
        number: int = found["n"]
        return number


def _range(stretch: Stretch, beyond: Document) -> Document:
    """Return what the documents in a stretch match.

    Args:
        stretch: the stretch.
        beyond: a nearer bound where the list goes on, as an operator and a value, or nothing.
    """
    if stretch.absent:
        return {stretch.column: None}
    # The lowest value of its type: without it, documents that are no users would be there too.
    lowest = LONG_AGO if stretch.column in INSTANTS else ""
    low: Document = {} if "$gt" in beyond else {"$gte": stretch.low or lowest}
    high: Document = {} if "$lt" in beyond or stretch.high is None else {"$lt": stretch.high}
    return {stretch.column: low | high | beyond}


def _states(query: UserQuery) -> Iterator[Condition]:
    """Yield the conditions on what users have and are."""
    if query.role is not None:
        yield Condition({"roles": {"$eq": query.role}}, "roles_disabled_at")
    if query.enabled is not None:
        yield _ENABLED if query.enabled else _DISABLED
    if query.factor is not None:
        yield _FACTORS[query.factor]
    if query.verified is not None:
        yield _VERIFIED if query.verified else _UNVERIFIED


def _periods(query: UserQuery, stretches: Sequence[Stretch]) -> Iterator[Condition]:
    """Yield the conditions on instants that are not those by which the list is sorted."""
    sorted_by = {each.column for each in stretches}
    periods: tuple[tuple[Column, datetime | None, datetime | None], ...] = (
        ("created_at", query.created_from, query.created_before),
        ("last_sign_in_at", query.signed_in_from, query.signed_in_before),
    )
    for column, first, last in periods:
        if (first or last) and column not in sorted_by:
            bounds = Stretch(column, rounded_up(first), rounded_up(last))
            yield Condition(_range(bounds, {}), f"{column}__id")


LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
"""Before every instant that is stored."""

_SOME_INSTANT: Document = {"$gte": LONG_AGO}
EVERYBODY: Document = {"created_at": _SOME_INSTANT}
"""Matches all users, and no void document."""

_BY_FACTOR = "factors.kind_created_at__id"
_BY_VERIFIED = "email_verified_at_created_at__id"
_ENABLED = Condition({"disabled_at": None})
_DISABLED = Condition({"disabled_at": _SOME_INSTANT}, "created_at__id_disabled_at", in_order=True)
_VERIFIED = Condition({"email_verified_at": _SOME_INSTANT}, _BY_VERIFIED)
_UNVERIFIED = Condition(
    {"email_verified_at": None, "created_at": _SOME_INSTANT}, _BY_VERIFIED, in_order=True
)
_FACTORS = {
    **{
        kind: Condition({"factors.kind": {"$eq": kind}}, _BY_FACTOR, in_order=True)
        for kind in ("totp", "passkey", "recovery_codes", "browser")
    },
    "any": Condition({"factors.kind": {"$in": [*SECOND_FACTORS]}}, _BY_FACTOR, in_order=True),
    "none": Condition(
        {"factors.kind": {"$nin": [*SECOND_FACTORS]}},
        _BY_FACTOR,
        among={"factors.kind": {"$in": [None, "recovery_codes", "browser"]}},
    ),
}
