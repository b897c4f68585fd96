"""The user's row in the application's own database, as a dependency of FastAPI."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from gatelodge.fastapi import Gatelodge, local_user, require
from tests.embedded.applications import running
from tests.gate.houses import new_device


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))


def copied(user: Any) -> dict[str, object]:
    return {"username": user.username}


@pytest.fixture
async def with_threads(auth: Gatelodge, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """Return an application with a `Session`."""
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    Base.metadata.create_all(engine)

    def get_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    local = local_user(Account, session=get_session, fill=copied)

    @app.get("/me")
    def me(account: Annotated[Account, local]) -> str:
        return account.username

    @app.post("/notes")
    def write(
        account: Annotated[Account, local], session: Annotated[Session, Depends(get_session)]
    ) -> int:
        with session.begin():
            session.add(note := Note(owner_id=account.id))
            session.flush()
            return note.id

    yield app
    engine.dispose()


@pytest.fixture
async def with_tasks(auth: Gatelodge, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """Return an application with an `AsyncSession`."""
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session

    opened = Depends(get_session)
    local = local_user(Account, session=opened, fill=copied)

    @app.get("/me")
    async def me(account: Annotated[Account, local]) -> str:
        return account.username

    @app.post("/notes")
    async def write(
        account: Annotated[Account, local], session: Annotated[AsyncSession, opened]
    ) -> int:
        async with session.begin():
            session.add(note := Note(owner_id=account.id))
            await session.flush()
            return note.id

    @app.get("/edit")
    async def edit(
        account: Annotated[
            Account,
            local_user(Account, session=opened, fill=copied, user=require(role="moderator")),
        ],
    ) -> str:
        return account.username

    yield app
    await engine.dispose()


async def test_a_route_gets_the_row_of_the_user_and_refers_to_it(
    with_threads: FastAPI, auth: Gatelodge
) -> None:
    await write_twice(with_threads, auth)


async def test_so_it_does_with_an_asynchronous_session(
    with_tasks: FastAPI, auth: Gatelodge
) -> None:
    await write_twice(with_tasks, auth)


async def write_twice(app: FastAPI, auth: Gatelodge) -> None:
    """Let a new user come twice at the same time."""
    async with running(app, auth) as site:
        device = await new_device(site.house)

        async def write() -> Any:
            return (await site.client.post("/notes", headers=device.headers)).json()

        assert sorted(await asyncio.gather(write(), write())) == [1, 2]
        me = await site.client.get("/me", headers=device.headers)
        assert me.json() == device.user.username
        assert (await site.client.get("/me")).status_code == 401


async def test_another_dependency_may_say_who_it_is(with_tasks: FastAPI, auth: Gatelodge) -> None:
    async with running(with_tasks, auth) as site:
        device, mia = await new_device(site.house), await new_device(site.house, None, "moderator")

        assert (await site.client.get("/edit", headers=device.headers)).status_code == 403
        edited = await site.client.get("/edit", headers=mia.headers)
        assert edited.json() == mia.user.username
        document = (await site.client.get("/openapi.json")).json()
        assert {"gatelodge": []} in document["paths"]["/edit"]["get"]["security"]
