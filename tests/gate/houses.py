"""Houses over one database, like several workers or nodes, and users who are cheap to make."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from gatelodge.accounts.store import Rights, User
from gatelodge.app import House, build
from gatelodge.clock import Clock
from gatelodge.data_folder import DATABASE
from gatelodge.gate.principal import Principal
from gatelodge.ids import SessionId
from gatelodge.methods import BY_PASSWORD, Methods
from gatelodge.sessions.impersonation import Impersonations
from gatelodge.sessions.lookup import principal_of
from gatelodge.sessions.store import Session, SessionStore
from gatelodge.settings import Settings
from gatelodge.stores.mongo.feed import MAX_STALENESS
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from tests.contracts.builders import a_session, a_user, an_event
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.held import Held
from tests.support.mongod import with_database

STALENESS = MAX_STALENESS.total_seconds()

Answer = Principal | type[InvalidToken] | type[ExpiredToken]


@dataclass(frozen=True, slots=True)
class Device:
    """A user's session and its access token, made without a password hash."""

    user: User
    session: Session
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the token."""
        return {"Authorization": f"Bearer {self.token}"}


@contextlib.asynccontextmanager
async def houses(
    folder: Path, database: str, clock: Clock | None = None, number: int = 2, **changes: Any
) -> AsyncIterator[list[House]]:
    """Yield houses that serve one database. Each acts like a separate process.

    Args:
        folder: the data folder.
        database: the address of the database; empty: SQLite in the folder.
        clock: tells the time; None: the real time.
        number: how many houses there are.
        changes: settings that differ; they are not checked.
    """
    settings = Settings(data_dir=folder, database=database).model_copy(update=changes)
    built = [build(settings, clock) for _ in range(number)]
    if not database:
        migrated(settings.data_dir / DATABASE)
    await asyncio.to_thread(built[0].stores.database.migrate)
    async with contextlib.AsyncExitStack() as opened:
        for house in built:
            await opened.enter_async_context(house.serve())
        await asyncio.gather(*(trusted(house) for house in built))
        yield built


class Neighbours:
    """Two houses over one database, opened once for all examples.

    It is no dataclass, so Hypothesis does not print its fields.

    Attributes:
        houses: the two houses.
        runner: the event loop that they run in.
        tells: whether the database sends its changes. Otherwise each check asks for them.
    """

    def __init__(self, houses: list[House], runner: asyncio.Runner, *, tells: bool) -> None:
        """Keep the houses with their event loop."""
        self.houses = houses
        self.runner = runner
        self.tells = tells


@contextlib.contextmanager
def two_neighbours(
    request: pytest.FixtureRequest, factory: pytest.TempPathFactory, **changes: Any
) -> Iterator[Neighbours]:
    """Yield two houses over a new database.

    Args:
        request: says which kind of database.
        factory: makes the folder.
        changes: settings that differ; they are not checked.
    """
    folder, database = factory.mktemp("gate"), ""
    if request.param == "mongodb":
        url = request.getfixturevalue("mongodb_url")
        database = with_database(url, f"gatelodge_test_{secrets.token_hex(6)}")
    with asyncio.Runner() as runner:
        opened = houses(folder, database, FakeClock(), **changes)
        yield Neighbours(runner.run(opened.__aenter__()), runner, tells=request.param == "mongodb")
        runner.run(opened.__aexit__(None, None, None))


async def trusted(house: House) -> None:
    """Wait until the house may answer from memory."""
    async with asyncio.timeout(20):
        while not house.gate.feed.catch_up():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


async def new_device(
    house: House,
    user: User | None = None,
    *roles: str,
    life: timedelta | None = None,
    methods: Methods = BY_PASSWORD,
) -> Device:
    """Return a new session of a user.

    Without a user, a new one is made. It holds the role `user` and these roles.
    """
    now = house.clock.now()
    if user is None:
        user = a_user(f"u{secrets.token_hex(8)}", roles=("user", *roles), created_at=now)
        await house.stores.users.add(user, an_event())
    session = a_session(
        user_id=user.id,
        epoch=user.epoch,
        created_at=now,
        last_used_at=now,
        authenticated_at=now,
        methods=methods,
        expires_at=now + (life or house.sessions.limits.life),
    )
    await house.stores.sessions.add(session)
    token = house.access_tokens.issue(
        subject=user.id,
        session_id=session.id,
        roles=user.roles,
        authenticated_at=session.authenticated_at,
        methods=session.methods,
    )
    return Device(user, session, token)


async def asked(house: House, token: str) -> Answer:
    """Return what the gate answers to a token."""
    try:
        return await house.gate.authenticate(token)
    except (InvalidToken, ExpiredToken) as refusal:
        return type(refusal)


async def read(house: House, device: Device) -> Answer:
    """Return the answer that is right now, read only from the database."""
    claims = await house.access_tokens.verify(device.token)
    user = await house.stores.users.find(claims.subject)
    session = await house.stores.sessions.find(claims.session_id)
    if user is None or session is None or not session.is_live(user, house.clock.now()):
        return InvalidToken
    rights, impersonation = Rights.of(user.roles, await house.stores.roles.list_roles()), None
    if session.impersonator is not None:
        policy = house.second_factor_policy
        standing = Impersonations(house.stores.sessions, policy, house.clock)
        if (impersonation := await standing.find(session, rights)) is None:
            return InvalidToken
    return principal_of(user, session, rights, house.second_factor_policy, impersonation)


class Counted:
    """A store that counts the gate's reads, and passes them on to a real store."""

    def __init__(self, sessions: SessionStore) -> None:
        """Take the place of this store."""
        self._sessions = sessions
        self.reads = 0

    async def find_with_rights(self, session_id: SessionId) -> tuple[Session, User, Rights] | None:
        """Count the read, and pass it on."""
        self.reads += 1
        return await self._sessions.find_with_rights(session_id)


def reading_through(house: House, sessions: Counted | Held) -> House:
    """Return the same house with a gate that reads through this store."""
    lookup = replace(house.lookup, sessions=cast("SessionStore", sessions))
    gate = replace(house.gate, lookup=lookup)
    return house.replaced(gate=gate, admission=replace(house.admission, gate=gate))


@contextlib.asynccontextmanager
async def fill_in_flight(house: House, device: Device) -> AsyncIterator[asyncio.Task[Answer]]:
    """Hold up a check after it has read the records and before memory keeps them.

    It goes on when the context ends.
    """
    sessions = Held(house.stores.sessions, "find_with_rights")
    filling = asyncio.create_task(asked(reading_through(house, sessions), device.token))
    await sessions.arrived.wait()
    yield filling
    sessions.let_go.set()
    await filling


async def refused_in_time(house: House, device: Device) -> bool:
    """Say whether the token is refused in time, and stays refused."""
    deadline = time.monotonic() + (STALENESS if house.gate.feed.state().kind == "stream" else 0)
    while await asked(house, device.token) is not InvalidToken:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.002)
    return all([await asked(house, device.token) is InvalidToken for _ in range(20)])
