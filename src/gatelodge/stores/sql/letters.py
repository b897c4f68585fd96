"""Letters in SQLite."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from gatelodge.audit import Event
from gatelodge.letters.store import Letter, LetterState, LetterStore
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import make
from gatelodge.stores.sql.tables import letters


class SqlLetters(LetterStore):
    """The letters in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database

    @override
    async def add(self, letter: Letter) -> bool:
        values = {name: getattr(letter, name) for name in _COLUMNS}
        return await self._database.change(_ADD, values) == 1

    @override
    async def find(self, letter_id: str) -> Letter | None:
        query = select(letters).where(_letter.id == letter_id)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return None if row is None else Letter(*row)

    @override
    async def list_letters(
        self, *, before: str | None, limit: int, states: Collection[LetterState] = ()
    ) -> list[Letter]:
        query = select(letters).order_by(_letter.id.desc()).limit(limit)
        if before is not None:
            query = query.where(_letter.id < before)
        if states:
            query = query.where(_letter.state.in_(list(states)))
        rows = await self._database.scan(lambda connection: connection.execute(query).all())
        return [Letter(*row) for row in rows]

    @override
    async def claim(self, now: datetime, until: datetime, *, limit: int) -> list[Letter]:
        due = {"now": now, "most": limit}
        if await self._database.read(lambda each: each.execute(_DUE, due).first()) is None:
            return []  # nobody waits for the writer to hear that

        def claim(connection: Connection) -> list[Letter]:
            rows = connection.execute(_CLAIM, due | {"until": until}).all()
            return [Letter(*row) for row in rows]

        return await self._database.write(claim)

    @override
    async def write(self, letter: Letter, *, subject: str | None, sealed_values: bytes) -> bool:
        values: dict[str, Any] = {"sealed_values": sealed_values, "written": True}
        if subject is not None:
            values["subject"] = subject
        return await self._change_claimed(letter, values)

    @override
    async def finish(
        self,
        letter: Letter,
        state: LetterState,
        at: datetime,
        *,
        error: str = "",
        event: Event | None = None,
    ) -> bool:
        values: dict[str, Any] = {"state": state, "ended_at": at, "error": error}
        if state != "given_up":
            values["sealed_values"] = None
        if state == "dropped":
            values |= {"to": "", "to_key": ""}
        return await self._change_claimed(letter, values, event)

    @override
    async def postpone(
        self, letter: Letter, until: datetime, *, failed: bool = False, error: str = ""
    ) -> bool:
        values: dict[str, Any] = {"due_at": until, "failures": _letter.failures + int(failed)}
        if failed:
            values["error"] = error
        return await self._change_claimed(letter, values)

    @override
    async def retry(
        self, letter_id: str, at: datetime, event: Event, *, claims_end_by: datetime
    ) -> bool:
        given_up = _letter.state == "given_up"
        unclaimed = or_(
            _letter.claims <= _letter.failures,
            _letter.due_at <= at,
            _letter.due_at > claims_end_by,
        )
        change = (
            update(letters)
            .where(_letter.id == letter_id, or_(given_up, and_(_WAITS, unclaimed)))
            .values(
                state="waiting",
                due_at=at,
                failures=case((given_up, 0), else_=_letter.failures),
                claims=case((given_up, 0), else_=_letter.claims),
                ended_at=None,
            )
        )
        return await self._database.write(lambda connection: make(connection, change, event))

    @override
    async def count_guess(self, letter_id: str, limit: int) -> bool:
        few = update(letters).where(_letter.id == letter_id, _letter.guesses < limit)
        return await self._database.change(few.values(guesses=_letter.guesses + 1)) == 1

    @override
    async def count_before(self, letter: Letter, kinds: Collection[str], since: datetime) -> int:
        return await self._count(
            _letter.to_key == letter.to_key,  # one that is dropped has no address any more
            _letter.created_at >= since,
            _letter.kind.in_(list(kinds)),
            or_(_letter.id < letter.id, and_(_letter.written, _letter.id > letter.id)),
        )

    @override
    async def count_waiting(self, *, due_by: datetime | None = None) -> int:
        due = () if due_by is None else (_letter.due_at <= due_by,)
        return await self._count(_WAITS, *due)

    @override
    async def count(self, state: LetterState, *, limit: int) -> int:
        some = select(_letter.id).where(_letter.state == state).limit(limit).subquery()
        return await self._database.count(select(func.count()).select_from(some))

    @override
    async def sweep(self, ended_before: datetime, *, limit: int) -> int:
        old = select(_letter.id).where(_letter.ended_at < ended_before).limit(limit)
        change = delete(letters).where(_letter.id.in_(old))
        return await self._database.change(change)

    async def _change_claimed(
        self, letter: Letter, values: dict[str, Any], event: Event | None = None
    ) -> bool:
        """Change a letter, if it is still claimed as this one says."""
        claimed = _letter.id == letter.id, _WAITS, _letter.due_at == letter.due_at
        change = update(letters).where(*claimed).values(values)
        return await self._database.write(lambda connection: make(connection, change, event))

    async def _count(self, *conditions: Any) -> int:
        query = select(func.count()).select_from(letters).where(*conditions)
        return await self._database.count(query)


_letter = letters.c
_COLUMNS = [column.name for column in letters.columns]
_ADD = insert(letters).on_conflict_do_nothing()
_WAITS = _letter.state == "waiting"
_DUE = (
    select(_letter.id)
    .where(_WAITS, _letter.due_at <= bindparam("now", type_=_letter.due_at.type))
    .order_by(_letter.due_at, _letter.id)
    .limit(bindparam("most"))
)
_CLAIM = (
    update(letters)
    .where(_letter.id.in_(_DUE))
    .values(
        due_at=bindparam("until", type_=_letter.due_at.type),
        claims=_letter.claims + 1,
    )
    .returning(*letters.columns)
)
