"""The users in the application's own database: one row for each, made at first sight.

An application has tables that refer to users, and its database wants the user to be in it. The
row holds the user's key, and what the application copies of the user. `LocalUsers` works with
SQLAlchemy 2 and SQLModel, with a `Session` or an `AsyncSession`. It touches this row only.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import UniqueConstraint, Uuid, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Mapper, Session, class_mapper, scoped_session
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.schema import Column

from gatelodge.user import User

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession  # needs greenlet, which few applications have

M = TypeVar("M")
U = TypeVar("U", bound=User)

MAX_TRIES = 4
"""How often the row is looked for. Two others who write at the same time make three of it."""

SUBJECT_LENGTH = 40
"""How many characters a subject has."""


class LocalUsers(Generic[M, U]):
    """Keeps a row for each user in a table of the application.

    **Whose transaction?** If the session is in no transaction, it holds nobody's work. Then a
    change of the row is committed at once, in a transaction of its own, and the session is in none
    again. If the session is in one, the change becomes part of it, and is stored or lost with the
    rest; nothing is committed or flushed here.

    **When two come first together**, the unique constraint of the database decides. Whoever lost
    goes back to a savepoint, and reads the row of the other one.
    """

    def __init__(
        self,
        model: type[M],
        *,
        key: str = "id",
        fill: Callable[[U], Mapping[str, object]] | None = None,
    ) -> None:
        """Check that the table can hold users; no database is used yet.

        Args:
            model: the class of the rows.
            key: the attribute that holds the user: `user.uuid` if the column's type is a UUID,
                `user.subject` if it is a text. A unique constraint, or the primary key, is on it.
            fill: returns what is copied, by attribute. The row is updated when it differs. None:
                nothing but the key.

        Raises:
            TypeError: the class is not mapped, or the column's type is neither.
            ValueError: there is no such column, it is not unique, or it is too short.
        """
        # It is not configured yet: relationships may name classes that come later in the module.
        self._mapper: Mapper[Any] = class_mapper(cast("type[Any]", model), configure=False)
        self._model = model
        self._key = key
        self._fill = fill
        self._identify = _identify(_unique_column(self._mapper, key), model)

    def keep(self, session: Session | scoped_session[Any], user: U) -> M:
        """Return the row of a user, as it is now.

        Raises:
            IntegrityError: the row breaks another constraint of the table.
            ValueError: `fill` has returned something that is not an attribute of the class.
        """
        own: Session = session() if isinstance(session, scoped_session) else session
        wanted = self._wanted(user)
        identity = self._identify(user)
        if _is_idle(own):
            with _not_expiring(own):
                return self._keep_alone(own, identity, wanted)
        with own.no_autoflush:
            return self._keep_among(own, identity, wanted)

    async def keep_async(self, session: "AsyncSession", user: U) -> M:
        """Return the row of a user, as it is now: `keep` for an `AsyncSession`."""
        return await session.run_sync(self.keep, user)

    def _wanted(self, user: U) -> Mapping[str, object]:
        wanted = self._fill(user) if self._fill else {}
        for name in wanted:
            if name == self._key or name not in self._mapper.all_orm_descriptors:
                what = "holds the user" if name == self._key else "does not exist"
                raise ValueError(f"fill= returns {name!r}: {self._model.__name__}.{name} {what}.")
        return wanted

    def _keep_alone(
        self, session: Session, identity: str | UUID, wanted: Mapping[str, object]
    ) -> M:
        """Keep the row in transactions of our own, and leave the session without one.

        No transaction reads before it writes: SQLite lets nobody write who has read an older state.
        """
        error: Exception | None = None
        written = False
        for _ in range(MAX_TRIES):
            with session.begin():
                row = self._find(session, identity)
            changed = wanted if row is None else _changed(row, wanted)
            if row is not None and (written or not changed):
                return row
            try:
                with session.begin():
                    if row is None:
                        error = self._insert(session, identity, wanted)
                    else:
                        _assign(row, changed)
                written = error is None
            except (StaleDataError, OperationalError) as lost:  # the row of a moment ago is no more
                error = lost
        raise error or RuntimeError("The row of a user is deleted again and again.")

    def _keep_among(
        self, session: Session, identity: str | UUID, wanted: Mapping[str, object]
    ) -> M:
        """Keep the row in the transaction of the application, whose next flush writes changes."""
        clash = None
        row = self._find(session, identity)
        if row is None:
            clash = self._insert(session, identity, wanted)
            row = self._find(session, identity, newest=clash is not None)
        if row is None:
            raise clash or RuntimeError("The row of a user has vanished in its own transaction.")
        _assign(row, _changed(row, wanted))
        return row

    def _find(self, session: Session, identity: str | UUID, *, newest: bool = False) -> M | None:
        """Return the row, or None.

        Args:
            session: the application's session.
            identity: the user.
            newest: whether to read the newest row that is committed, where the transaction would
                otherwise go on to see the database as it was at its beginning (MySQL).
        """
        query = select(self._model).where(getattr(self._model, self._key) == identity)
        if newest:
            query = query.with_for_update(read=True)
        return session.scalars(query).one_or_none()

    def _insert(
        self, session: Session, identity: str | UUID, wanted: Mapping[str, object]
    ) -> IntegrityError | None:
        """Insert the row behind a savepoint, and return what the database said against it.

        A session of its own does it: the application's would flush whatever is pending in it.
        """
        connection = session.connection(bind_arguments={"mapper": self._mapper})
        with Session(connection, join_transaction_mode="create_savepoint") as inner:
            inner.add(self._model(**{self._key: identity}, **wanted))
            try:
                inner.commit()
            except IntegrityError as clash:
                inner.rollback()
                return clash
        return None


def is_async(session: object) -> bool:
    """Say whether a session is for `keep_async`."""
    return hasattr(session, "run_sync")


def _is_idle(session: Session) -> bool:
    """Say whether a session holds no work of the application."""
    return not (session.in_transaction() or session.new or session.dirty or session.deleted)


@contextmanager
def _not_expiring(session: Session) -> Iterator[None]:
    """Let commits keep what is loaded: an attribute of the row must not need the database again."""
    usual, session.expire_on_commit = session.expire_on_commit, False
    try:
        yield
    finally:
        session.expire_on_commit = usual


def _assign(row: object, changed: Mapping[str, object]) -> None:
    for name, value in changed.items():
        setattr(row, name, value)


def _changed(row: object, wanted: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in wanted.items() if getattr(row, name) != value}


def _unique_column(mapper: Mapper[Any], key: str) -> Column[Any]:
    """Return the column of the key.

    Raises:
        ValueError: there is none, or two users could have the same row.
    """
    name = mapper.class_.__name__
    column = mapper.columns.get(key)
    if column is None:
        raise ValueError(
            f'{name} has no column {key!r}: name the one that holds the user, key="…".'
        )
    if not _is_unique(column):
        raise ValueError(
            f"{name}.{key} needs a unique constraint: without one, two requests that come together "
            "make two rows."
        )
    return column


def _is_unique(column: Column[Any]) -> bool:
    table = column.table
    constraints = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    alone: list[list[Any]] = [list(each.columns) for each in (table.primary_key, *constraints)]
    alone += [list(each.columns) for each in table.indexes if each.unique]
    return bool(column.unique) or any(each == [column] for each in alone)


def _identify(column: Column[Any], model: type) -> Callable[[User], str | UUID]:
    """Return the function that gives the key of a user, as the column's type wants it.

    Raises:
        TypeError: the column holds neither.
        ValueError: it is too short.
    """
    kind = column.type
    if kind.python_type is UUID:
        return lambda user: user.uuid
    if isinstance(kind, Uuid):
        return lambda user: str(user.uuid)
    if kind.python_type is not str:
        raise TypeError(
            f"{model.__name__}.{column.key} is neither a text nor a UUID. Leave it as it is, and "
            'add a column for the user: gatelodge_id, with key="gatelodge_id".'
        )
    length = getattr(kind, "length", None)
    if length is not None and length < SUBJECT_LENGTH:
        raise ValueError(
            f"{model.__name__}.{column.key} must have room for {SUBJECT_LENGTH} characters."
        )
    return lambda user: user.subject
