"""An application with fastapi-fullauth, as its quickstart shows, on SQLModel and aiosqlite.

`plain.py` serves it.
"""

import os

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi_fullauth import FullAuth, FullAuthConfig
from fastapi_fullauth.adapters import SQLModelAdapter
from fastapi_fullauth.dependencies import CurrentUser
from fastapi_fullauth.models.sqlmodel import RefreshTokenMixin, UserMixin
from plain import FILE, SECRET, add_bare_routes, content, making_tables
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import Relationship, SQLModel


class RefreshToken(RefreshTokenMixin, table=True):
    """The refresh tokens."""


class User(UserMixin, table=True):
    """Who can sign in."""

    refresh_tokens: list[RefreshToken] = Relationship()


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ.get(FILE, ':memory:')}")


app = FastAPI(lifespan=making_tables(engine, SQLModel.metadata))
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
