"""An application with fastapi-users, built as its documentation shows, on SQLAlchemy and aiosqlite.

`plain.py` serves it. A password hash costs the same as in Gatelodge.
"""

import os
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from plain import FILE, SECRET, add_bare_routes, content, making_tables
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

LIFE_SECONDS = 3600
_HASHES = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19456, parallelism=1),))


class Base(DeclarativeBase):
    """The tables."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """Who can sign in."""


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """A token of the database strategy."""


class UserRead(schemas.BaseUser[uuid.UUID]):
    """A user in an answer."""


class UserCreate(schemas.BaseUserCreate):
    """A user in a sign-up."""


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """The user manager that the library requires."""

    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ.get(FILE, ':memory:')}")
session_maker = async_sessionmaker(engine, expire_on_commit=False)


async def session() -> AsyncIterator[AsyncSession]:
    async with session_maker() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


async def users(opened: Session) -> AsyncIterator[Any]:
    yield SQLAlchemyUserDatabase(opened, User)


async def access_tokens(opened: Session) -> AsyncIterator[Any]:
    yield SQLAlchemyAccessTokenDatabase(opened, AccessToken)


async def manager(found: Annotated[Any, Depends(users)]) -> AsyncIterator[UserManager]:
    yield UserManager(found, PasswordHelper(_HASHES))


def jwt_strategy() -> JWTStrategy[User, uuid.UUID]:
    return JWTStrategy(SECRET, LIFE_SECONDS)


def database_strategy(found: Annotated[Any, Depends(access_tokens)]) -> Any:
    return DatabaseStrategy(found, LIFE_SECONDS)


jwt = AuthenticationBackend("jwt", BearerTransport("jwt/login"), jwt_strategy)
database = AuthenticationBackend("database", BearerTransport("database/login"), database_strategy)
library = FastAPIUsers[User, uuid.UUID](manager, [jwt, database])
by_jwt = library.current_user(active=True, get_enabled_backends=lambda: [jwt])
by_database = library.current_user(active=True, get_enabled_backends=lambda: [database])


app = FastAPI(lifespan=making_tables(engine, Base.metadata))
app.include_router(library.get_auth_router(jwt), prefix="/jwt")
app.include_router(library.get_auth_router(database), prefix="/database")
app.include_router(library.get_register_router(UserRead, UserCreate))


add_bare_routes(app)


@app.get("/check/jwt")
async def check_jwt(_user: Annotated[User, Depends(by_jwt)]) -> PlainTextResponse:
    return content()


@app.get("/check/database")
async def check_database(_user: Annotated[User, Depends(by_database)]) -> PlainTextResponse:
    return content()
