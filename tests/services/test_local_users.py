"""The users in an application's own database, on real SQLite files."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, ForeignKey, String, Uuid, create_engine, event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
    validates,
)
from sqlmodel import Field, SQLModel

from gatelodge.local_users import LocalUsers
from gatelodge.user import User

RACES = 50

ANN = User(
    subject="usr_" + 36 * "a",
    username="ann",
    name="Ann",
    email="ann@example.com",
    email_verified=True,
    roles=frozenset({"user"}),
    permissions=frozenset(),
    expires_at=datetime(2026, 11, 26, tzinfo=UTC),
    session_id="ses_1",
)
ANNA = replace(ANN, username="anna")


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    email: Mapped[str | None] = mapped_column(unique=True)
    points: Mapped[int] = mapped_column(default=7)
    notes: Mapped[list["Note"]] = relationship(back_populates="owner")

    @validates("username")
    def check(self, _: str, name: str) -> str:
        assert name, "a username is not empty"
        return name


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    owner: Mapped[Account] = relationship(back_populates="notes")


class Person(Base):
    """The table of an application that has had integers for keys."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    gatelodge_id: Mapped[str | None] = mapped_column(String(40), unique=True)
    username: Mapped[str]


class Hero(SQLModel, table=True):
    id: UUID = Field(primary_key=True)
    username: str
    token: UUID = Field(default_factory=uuid4)


def copied(user: User) -> dict[str, object]:
    return {"username": user.username, "email": user.email}


ACCOUNTS = LocalUsers(Account, fill=copied)
PEOPLE = LocalUsers(Person, key="gatelodge_id", fill=lambda user: {"username": user.username})
HEROES = LocalUsers(Hero, fill=lambda user: {"username": user.username})


def begin_as_told(engine: Engine) -> None:
    """Let transactions begin when SQLAlchemy says so, as its manual tells for SQLite."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    event.listen(engine, "begin", begin)


def begin(connection: Any) -> None:
    """Begin a transaction."""
    connection.exec_driver_sql("BEGIN")


@pytest.fixture(params=["as the driver begins", "as told", "as told, WAL"])
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return the engine of an application, with its tables."""
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"PRAGMA journal_mode={'WAL' if 'WAL' in request.param else 'DELETE'}"
        )
    if "as told" in request.param:
        begin_as_told(engine)
    Base.metadata.create_all(engine)
    SQLModel.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Return the engine of an application that is asynchronous."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'async.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


def stored(engine: Engine, what: Any = Account.username) -> list[Any]:
    """Return what is durable."""
    with Session(engine) as session:
        return list(session.scalars(select(what)))


def statements_of(engine: Engine) -> list[str]:
    """Return the list to which all statements are added from now on."""
    seen: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, *rest: Any) -> None:
        seen.append(statement.partition(" ")[0])

    return seen


def test_the_row_is_made_at_first_sight_and_then_only_read(engine: Engine) -> None:
    with Session(engine) as session:
        row = ACCOUNTS.keep(session, ANN)
        assert (row.id, row.username, row.points) == (ANN.uuid, "ann", 7)
    assert stored(engine) == ["ann"]  # nobody has committed here

    seen = statements_of(engine)
    with Session(engine) as session:
        assert ACCOUNTS.keep(session, ANN).email == "ann@example.com"
    assert [each for each in seen if each != "BEGIN"] == ["SELECT"]


def test_the_row_follows_what_it_copies(engine: Engine) -> None:
    with Session(engine) as session:
        ACCOUNTS.keep(session, ANN).points = 9
        session.commit()
        row = ACCOUNTS.keep(session, ANNA)
        assert (row.username, row.points) == ("anna", 9)
        session.rollback()
    assert stored(engine) == ["anna"]


def test_the_type_of_the_column_decides_what_the_key_is(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Person(username="older"))
        session.commit()
        assert PEOPLE.keep(session, ANN).gatelodge_id == ANN.subject
        assert PEOPLE.keep(session, ANN).id == 2


def test_a_session_of_a_thread_does_too(engine: Engine) -> None:
    """Flask-SQLAlchemy has such a one."""
    session = scoped_session(sessionmaker(engine))
    assert ACCOUNTS.keep(session, ANN).username == "ann"
    session.remove()
    assert stored(engine) == ["ann"]


def test_sqlmodel_keeps_its_own_defaults(engine: Engine) -> None:
    with Session(engine) as session:
        token = HEROES.keep(session, ANN).token
        assert HEROES.keep(session, ANNA).token == token
    assert stored(engine, Hero.username) == ["anna"]


@pytest.mark.parametrize("second", [ANN, ANNA], ids=["insert", "update"])
def test_in_a_transaction_of_the_application_nothing_is_committed(
    engine: Engine, second: User
) -> None:
    if second is ANNA:
        with Session(engine) as session:
            ACCOUNTS.keep(session, ANN)
    before = stored(engine)
    for ends_well in (False, True):
        with Session(engine) as session:
            session.add(Person(username="half done"))
            session.flush()
            assert ACCOUNTS.keep(session, second).username == second.username
            if ends_well:
                session.commit()
            else:
                session.rollback()
        assert stored(engine) == ([second.username] if ends_well else before)
        assert stored(engine, Person.username) == (["half done"] if ends_well else [])


def test_the_session_is_left_as_it_was(engine: Engine) -> None:
    with Session(engine) as session:
        person = Person(username="older")
        session.add(person)
        session.commit()
        assert person.username == "older"
        session.commit()
        session.expire_on_commit = False
        for user in (ANN, ANN, ANNA):
            row = ACCOUNTS.keep(session, user)
            assert not session.in_transaction()
            seen = statements_of(engine)
            assert (row.username, row.points, row.id) == (user.username, 7, user.uuid)
            assert seen == []
            with session.begin():  # it would refuse to begin in a transaction
                session.add(Note(text="milk", owner=row))
    assert len(stored(engine, Note.id)) == 3


def test_what_the_application_has_not_finished_is_not_flushed(engine: Engine) -> None:
    with Session(engine) as session:
        note = Note(text="milk")  # its owner is not known yet: flushed now, it would fail
        session.add(note)
        note.owner = ACCOUNTS.keep(session, ANN)
        session.commit()
        assert note.owner_id == ANN.uuid


@pytest.mark.parametrize("within", [False, True])
def test_what_another_transaction_inserts_first_is_read(engine: Engine, within: bool) -> None:
    """The other one comes between our look and our insert."""
    if within and event.contains(engine, "begin", begin):
        pytest.skip("SQLite lets nobody write who has read an older state")
    came: list[bool] = []

    def come_first(*_: Any) -> None:
        if came:
            return
        came.append(True)
        with Session(engine) as other:
            ACCOUNTS.keep(other, ANN).points = 3
            other.commit()

    event.listen(Account, "before_insert", come_first)
    try:
        with Session(engine) as session:
            if within:  # the driver begins none yet, so that the other one may write
                session.connection()
            row = ACCOUNTS.keep(session, ANN)
            assert (row.username, row.points) == ("ann", 3)
    finally:
        event.remove(Account, "before_insert", come_first)
    assert stored(engine) == ["ann"]


@pytest.mark.parametrize("deleted", [1, 100])
def test_what_another_transaction_deletes_is_made_anew(engine: Engine, deleted: int) -> None:
    left = [deleted]

    def delete(*_: Any) -> None:
        if left[0]:
            left[0] -= 1
            with engine.connect() as other:
                other.exec_driver_sql("DELETE FROM accounts")
                other.commit()

    with Session(engine) as session:
        ACCOUNTS.keep(session, ANN)
        session.commit()
        event.listen(Account, "before_update", delete)
        event.listen(session, "after_commit", delete)
        try:
            if deleted == 1:
                assert ACCOUNTS.keep(session, ANNA).username == "anna"
            else:
                with pytest.raises(RuntimeError, match="again and again"):
                    ACCOUNTS.keep(session, ANNA)
        finally:
            event.remove(Account, "before_update", delete)


def test_another_constraint_of_the_table_is_no_race(engine: Engine) -> None:
    other = replace(ANN, subject="usr_" + 36 * "b")
    with Session(engine) as session:
        ACCOUNTS.keep(session, ANN)
        with pytest.raises(IntegrityError, match="email"):
            ACCOUNTS.keep(session, other)
    assert stored(engine) == ["ann"]


def race(engine: Engine, act: Callable[[Session, User], object], *users: User) -> None:
    """Let several threads act at the same time."""
    start = threading.Barrier(len(users))

    def run(user: User) -> None:
        with Session(engine) as session:
            start.wait(10)
            act(session, user)

    with ThreadPoolExecutor(len(users)) as threads:
        for outcome in [threads.submit(run, user) for user in users]:
            outcome.result()


def test_two_threads_that_come_first_together_make_one_row(engine: Engine) -> None:
    for number in range(RACES):
        user = replace(ANN, subject=f"usr_{number:036}", email=None)
        race(engine, ACCOUNTS.keep, user, user)
    with Session(engine) as session:
        assert session.scalar(select(func.count(Account.id))) == RACES


def test_two_threads_that_bring_news_together_lose_no_request(engine: Engine) -> None:
    for number in range(RACES):
        news = replace(ANN, username=f"ann{number}")
        race(engine, ACCOUNTS.keep, news, news)
        assert stored(engine) == [news.username]


def test_two_requests_that_commit_their_own_work_make_one_row(engine: Engine) -> None:
    """The row and what refers to it are stored together."""

    def write_note(session: Session, user: User) -> None:
        ACCOUNTS.keep(session, user)
        session.add(Note(text="milk", owner_id=user.uuid))
        session.commit()

    for number in range(RACES):
        user = replace(ANN, subject=f"usr_{number:036}", email=None)
        race(engine, write_note, user, user)
    assert len(stored(engine, Note.id)) == 2 * RACES


async def test_an_asynchronous_session_does_the_same(async_engine: AsyncEngine) -> None:
    async def come(user: User) -> tuple[str, int]:
        async with AsyncSession(async_engine) as session:
            row = await ACCOUNTS.keep_async(session, user)
            return row.username, row.points  # it is loaded: no attribute waits for the database

    for number in range(RACES):
        user = replace(ANN, subject=f"usr_{number:036}", email=None)
        assert await asyncio.gather(come(user), come(user)) == [("ann", 7)] * 2
    assert await come(replace(user, username="anna")) == ("anna", 7)
    async with AsyncSession(async_engine) as session:
        assert await session.scalar(select(func.count(Account.id))) == RACES


def test_a_text_column_for_uuids_holds_the_uuid_as_text() -> None:
    class Loose(Base):
        __tablename__ = "loose"
        id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)

    assert LocalUsers(Loose)._identify(ANN) == str(ANN.uuid)


@pytest.mark.parametrize(
    ("key", "error", "says"),
    [
        ("id", TypeError, "neither a text nor a UUID"),
        ("no", ValueError, "has no column 'no'"),
        ("username", ValueError, "needs a unique constraint"),
        ("short", ValueError, "room for 40 characters"),
    ],
)
def test_a_table_that_cannot_hold_users_is_refused_at_once(
    key: str, error: type[Exception], says: str
) -> None:
    class Base(DeclarativeBase):
        pass

    class Wrong(Base):
        __tablename__ = "wrong"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str]
        short: Mapped[str] = mapped_column(String(36), unique=True)
        later: Mapped["Later"] = relationship()  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(error, match=says):
        LocalUsers(Wrong, key=key)


@pytest.mark.parametrize("name", ["id", "nickname"])
def test_fill_may_name_only_other_attributes(engine: Engine, name: str) -> None:
    with Session(engine) as session, pytest.raises(ValueError, match=f"Account.{name}"):
        LocalUsers(Account, fill=lambda _: {name: "x"}).keep(session, ANN)
