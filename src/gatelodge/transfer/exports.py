"""Users and events as text, line by line: JSON lines, or CSV.

An export reads one page after the other, in the order of ids, and keeps none of them. So it needs
as much memory for a million records as for a thousand. The id of the last record is the cursor with
which another export goes on. While a page is turned into text, the next one is read.
"""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import Event, EventStore
from gatelodge.ids import UserId
from gatelodge.tasks import end
from gatelodge.transfer.shapes import Shape, shape_of_event, shape_of_user, shape_with_hash
from gatelodge.turns import in_turns

Format: TypeAlias = Literal["jsonl", "csv"]
"""`jsonl`: a JSON object on each line. `csv`: RFC 4180 with a header, for spreadsheets."""

R = TypeVar("R", User, Event)

PAGE = 1000
"""How many records are read at once."""

_RUNS_IN_SPREADSHEETS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""How formulas begin; some spreadsheets read wide signs like narrow ones."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of an export.

    Attributes:
        text: the lines, each with its end.
        count: how many records they hold.
        last: the id of the last of them, the cursor; empty if there are none.
    """

    text: str
    count: int
    last: str


@dataclass(frozen=True, slots=True)
class Export(Generic[R]):
    """What is exported, and how.

    Attributes:
        read: returns up to so many records whose ids follow an id (None: from the first).
        shape: returns the values of a record.
        names: the names of the values, in order.
        format: as what the records are written.
    """

    read: Callable[[str | None, int], Awaitable[list[R]]]
    shape: Callable[[R], Shape]
    names: Sequence[str]
    format: Format

    @property
    def header(self) -> str:
        """The line above all records; empty for JSON lines."""
        return _csv(self.names) if self.format == "csv" else ""

    async def pieces(self, after: str | None = None) -> AsyncIterator[Piece]:
        """Yield the records after an id, in pieces; without an id, the header comes first.

        Args:
            after: the id of the last record of another export, whose header is there; None: from
                the first record.

        Raises:
            StoreUnavailable: the database does not answer; go on after the last id.
        """
        head = self.header if after is None else ""
        records = await self.read(after, PAGE)
        if head and not records:
            yield Piece(head, 0, "")
        while records:
            following = asyncio.ensure_future(self.read(records[-1].id, PAGE))
            try:
                lines = await in_turns(self._line_of, records)
                yield Piece(head + "".join(lines), len(records), records[-1].id)
                records = await following
            finally:
                await end(following)
            head = ""

    def _line_of(self, record: R) -> str:
        shape = self.shape(record)
        if self.format == "jsonl":
            return f"{_DUMPS(shape)}\n"
        return _csv(_cell(shape[name]) for name in self.names)


def export_of_users(
    users: UserStore, as_format: Format, *, with_hashes: bool = False
) -> Export[User]:
    """Return the export of all users, the oldest first.

    Args:
        users: the stored users.
        as_format: as what they are written.
        with_hashes: whether the password hashes are written; no other secret ever is.
    """

    async def read(after: str | None, limit: int) -> list[User]:
        return await users.list_users(after=UserId(after) if after else None, limit=limit)

    shape = shape_with_hash if with_hashes else shape_of_user
    return Export(read, shape, USER_NAMES + (("password_hash",) if with_hashes else ()), as_format)


def export_of_events(events: EventStore, as_format: Format) -> Export[Event]:
    """Return the export of all events, the oldest first."""

    async def read(after: str | None, limit: int) -> list[Event]:
        return await events.list_since(after, limit=limit)

    return Export(read, shape_of_event, EVENT_NAMES, as_format)


USER_NAMES = (
    "id",
    "username",
    "name",
    "email",
    "email_verified_at",
    "language",
    "roles",
    "created_at",
    "disabled_at",
    "disabled_reason",
    "must",
    "last_sign_in_at",
    "second_factors",
)
EVENT_NAMES = (
    "id",
    "at",
    "name",
    "actor",
    "target",
    "outcome",
    "address",
    "user_agent",
    "request_id",
    "detail",
)

_DUMPS = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _csv(row: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue()


def _cell(value: object) -> str:
    """Return a value as a cell: on one line, and never a formula (OWASP, CSV Injection)."""
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, dict):
        return _DUMPS(value) if value else ""
    text = "" if value is None else " ".join(str(value).splitlines())
    return f"'{text}" if text.lstrip().startswith(_RUNS_IN_SPREADSHEETS) else text
