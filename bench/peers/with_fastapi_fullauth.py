"""An application with fastapi-fullauth, as its quickstart shows, on SQLModel and aiosqlite.

`plain.py` serves it.
"""

import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi_fullauth import FullAuth, FullAuthConfig
from fastapi_fullauth.adapters import SQLModelAdapter
from fastapi_fullauth.dependencies import CurrentUser
from fastapi_fullauth.models.sqlmodel import RefreshTokenMixin, UserMixin
from plain import FILE, SECRET, add_bare_routes, content
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import Relationship, SQLModel


class RefreshToken(RefreshTokenMixin, table=True):
    """The refresh tokens."""


class User(UserMixin, table=True):
    """Who can sign in."""

    refresh_tokens: list[RefreshToken] = Relationship()


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ.get(FILE, ':memory:')}")


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)
library = FullAuth(
    adapter=SQLModelAdapter(
        session_maker=async_sessionmaker(engine, expire_on_commit=False),
        user_model=User,
        refresh_token_model=RefreshToken,
    ),
    config=FullAuthConfig(SECRET_KEY=SECRET),
)
library.init_app(app)
add_bare_routes(app)


@app.get("/check")
async def check(_user: CurrentUser) -> PlainTextResponse:
    return content()
