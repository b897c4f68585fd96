"""A database of the version before goes on under this one: its people, sessions and tokens.

`make.py` tells what lived in it, and how the files came about.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from bson import json_util
from pydantic import SecretStr

from gatelodge.app import House, build
from gatelodge.audit import COMMAND
from gatelodge.ids import SessionId
from gatelodge.settings import Settings
from gatelodge.stores.sql.database import SqlDatabase, create_sqlite_engine
from gatelodge.stores.sql.tables import metadata
from tests.support.clock import NOON, FakeClock
from tests.support.mongod import new_mongodb, observed
from tests.support.people import PASSWORD

BEFORE = Path(__file__).parent / "before_0005"
LATE = "frank"
"""Who is left out of MongoDB's documents, for a server of the version before to add later."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """What clients hold: each person's ids and tokens, by name."""

    secret_key: str
    at: datetime
    people: dict[str, dict[str, str]]

    @classmethod
    def of(cls, store: str) -> "Held":
        """Read what is held of one store's database."""
        told = json.loads((BEFORE / f"{store}.held.json").read_text())
        return cls(told["secret_key"], datetime.fromisoformat(told["at"]), told["people"])


def restore_sqlite(path: Path) -> None:
    """Make the file that the version before left."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.executescript((BEFORE / "sqlite.sql").read_text())


def documents_of_mongodb(*, late: bool) -> Iterator[tuple[str, Document]]:
    """Yield the documents and their collections: those that come late, or all others."""
    user_id = Held.of("mongodb").people[LATE]["user_id"]
    for line in (BEFORE / "mongodb.json").read_text().splitlines():
        kept = json_util.loads(line)
        if "collection" not in kept:
            ((collection, document),) = kept.items()
            if (user_id in (document["_id"], document.get("user_id"))) is late:
                yield collection, document


def restore_mongodb(address: str) -> None:
    """Make the database that the version before left, with its indexes, but for one person."""
    database = observed(address)
    for line in (BEFORE / "mongodb.json").read_text().splitlines():
        kept = json_util.loads(line)
        if "collection" in kept:
            collection = database.create_collection(kept["collection"])
            for index in kept["indexes"]:
                collection.create_index(
                    list(index["key"].items()), name=index["name"], sparse=index["sparse"]
                )
    add_documents(address, late=False)


def add_documents(address: str, *, late: bool) -> None:
    """Write documents as the version before writes them."""
    database = observed(address)
    for collection, document in documents_of_mongodb(late=late):
        database[collection].insert_one(document)


@pytest.fixture(params=["sqlite", "mongodb"])
def store(request: pytest.FixtureRequest) -> str:
    """Name the store."""
    return str(request.param)


@pytest.fixture
def held(store: str) -> Held:
    """Return what clients hold."""
    return Held.of(store)


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, store: str, held: Held, tmp_path: Path
) -> Iterator[Settings]:
    """Yield the settings of a server over the restored database."""
    secret_key = SecretStr(held.secret_key)
    if store == "sqlite":
        restore_sqlite(tmp_path / "gatelodge.db")
        yield Settings(data_dir=tmp_path, secret_key=secret_key)
        return
    with new_mongodb(request.getfixturevalue("mongodb_url")) as address:
        restore_mongodb(address)
        yield Settings(data_dir=tmp_path, database=address, secret_key=secret_key)


@pytest.fixture
def clock(held: Held) -> FakeClock:
    """Return a clock at the moment at which the server of the version before was stopped."""
    return FakeClock(held.at)


@pytest.fixture
async def house(settings: Settings, clock: FakeClock) -> AsyncIterator[House]:
    """Yield the house, opened as the server opens it."""
    built = build(settings, clock)
    await asyncio.to_thread(built.stores.database.migrate)
    async with built.serve():
        yield built


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def traded(client: httpx2.AsyncClient, refresh_token: str) -> httpx2.Response:
    return await client.post("/api/auth/refresh", json={"refreshToken": refresh_token})


async def signed_in(client: httpx2.AsyncClient, name: str) -> httpx2.Response:
    return await client.post("/api/auth/signin", json={"username": name, "password": PASSWORD})


async def test_access_tokens_that_are_out_are_let_in(
    client: httpx2.AsyncClient, held: Held
) -> None:
    ann = await client.get("/api/auth/me", headers=bearing(held.people["ann"]["access_token"]))
    assert ann.status_code == 200
    assert ann.json()["id"] == held.people["ann"]["user_id"]
    assert ann.json()["session"]["id"] == held.people["ann"]["session_id"]
    assert (ann.json()["name"], ann.json()["emailVerified"]) == ("", False)
    assert ann.json()["roles"] == ["user", "moderator"]

    erin = await client.get("/api/auth/me", headers=bearing(held.people["erin"]["access_token"]))
    assert erin.json()["emailVerified"] is True

    for board, name, status in (
        ("mod", "ann", 200),
        ("admin", "carol", 200),
        ("admin", "ann", 403),
    ):
        headers = bearing(held.people[name]["access_token"])
        assert (await client.get(f"/api/test/{board}", headers=headers)).status_code == status


async def test_what_had_ended_before_stays_ended(client: httpx2.AsyncClient, held: Held) -> None:
    """A session that was signed out, and one of a user who was disabled."""
    for name in ("left", "dave"):
        headers = bearing(held.people[name]["access_token"])
        assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
        assert (await traded(client, held.people[name]["refresh_token"])).status_code == 401
    assert (await signed_in(client, "dave")).status_code == 401


async def test_refresh_tokens_rotate_on(client: httpx2.AsyncClient, held: Held) -> None:
    """The newest one is traded; the one before it, within the grace, brings the same again."""
    ann = held.people["ann"]
    lost = await traded(client, ann["former_refresh_token"])
    assert lost.json()["refreshToken"] == ann["refresh_token"]

    pair = (await traded(client, ann["refresh_token"])).json()

    me = await client.get("/api/auth/me", headers=bearing(pair["accessToken"]))
    assert me.json()["session"]["id"] == ann["session_id"]
    assert (await traded(client, pair["refreshToken"])).status_code == 200


async def test_a_stolen_token_still_ends_its_session(
    client: httpx2.AsyncClient, held: Held, clock: FakeClock, house: House
) -> None:
    clock.advance(house.sessions.limits.grace + house.sessions.limits.clock_skew)

    reused = await traded(client, held.people["ann"]["former_refresh_token"])

    assert reused.json()["code"] == "refresh_token_reused"
    headers = bearing(held.people["ann"]["access_token"])
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 401


async def test_cookies_go_on(client: httpx2.AsyncClient, held: Held) -> None:
    """A browser that has only its refresh cookie left is given new ones."""
    cookie = {"Cookie": f"gatelodge-refresh={held.people['bob']['refresh_token']}"}

    me = await client.get("/api/auth/me", headers=cookie)

    assert me.json()["session"]["id"] == held.people["bob"]["session_id"]
    assert {"gatelodge-access", "gatelodge-refresh"} == set(me.cookies)


async def test_people_sign_in_by_the_passwords_they_had(
    client: httpx2.AsyncClient, house: House, held: Held
) -> None:
    answer = (await signed_in(client, "ann")).json()
    assert answer["id"] == held.people["ann"]["user_id"]
    user = await house.accounts.get_by_username("ann")
    (opened, former) = await house.sessions.list_own(user, before=None, limit=9)
    assert former.id == held.people["ann"]["session_id"]
    assert opened.methods == former.methods == ("pwd",)
    assert opened.authenticated_at == held.at

    wrong = {"currentPassword": "not the password", "newPassword": "eight wild geese"}
    headers = bearing(answer["accessToken"])
    refused = await client.post("/api/auth/password", json=wrong, headers=headers)
    assert refused.json()["code"] == "current_password_wrong"
    right = wrong | {"currentPassword": PASSWORD}
    assert (await client.post("/api/auth/password", json=right, headers=headers)).status_code == 200
    assert (await signed_in(client, "ann")).status_code == 401


async def test_grants_and_disabling_count_on_the_next_request(
    client: httpx2.AsyncClient, house: House, held: Held
) -> None:
    """So the changes that a check must see are still told: on SQLite by triggers."""
    headers = bearing(held.people["ann"]["access_token"])
    ann = await house.accounts.get_by_username("ann")
    assert (await client.get("/api/test/admin", headers=headers)).status_code == 403
    await house.accounts.grant(ann, "admin", COMMAND)
    assert (await client.get("/api/test/admin", headers=headers)).status_code == 200
    await house.accounts.withdraw(ann, "admin", COMMAND)
    assert (await client.get("/api/test/admin", headers=headers)).status_code == 403
    await house.accounts.disable(ann, COMMAND)
    assert (await client.get("/api/test/admin", headers=headers)).status_code == 401
    await house.accounts.enable(await house.accounts.get_by_username("dave"), COMMAND)
    assert (await signed_in(client, "dave")).status_code == 200


async def test_new_people_sign_up_and_taken_names_stay_taken(client: httpx2.AsyncClient) -> None:
    wanted = {"username": "gina", "email": "gina@example.com", "password": PASSWORD}
    assert (await client.post("/api/auth/signup", json=wanted)).status_code == 200
    assert (await signed_in(client, "gina")).status_code == 200
    for taken in ({"username": "Ann"}, {"email": "ANN@example.com"}):
        assert (await client.post("/api/auth/signup", json=wanted | taken)).status_code == 400


async def test_old_records_read_as_what_they_meant(house: House, held: Held) -> None:
    users = {
        user.username: user for user in await house.stores.users.list_users(after=None, limit=9)
    }
    verified = {name for name, user in users.items() if user.email_verified_at is not None}
    assert verified == {"erin"}
    assert users["dave"].disabled_at == held.at
    for user in users.values():
        assert (user.name, user.language, user.disabled_reason, user.must) == ("", None, None, ())
    for name, each in held.people.items():
        session = await house.stores.sessions.find(SessionId(each["session_id"]))
        if name == LATE and session is None:
            continue
        assert session is not None
        assert (session.methods, session.client_id) == (("pwd",), None)
        assert session.authenticated_at == session.created_at == NOON


# SQLite


def test_a_file_of_the_version_before_gets_todays_tables(tmp_path: Path) -> None:
    """Nothing of it is lost: indexes, triggers and counters are those of a new file."""
    old, new = SqlDatabase(tmp_path / "old.db"), SqlDatabase(tmp_path / "new.db")
    restore_sqlite(old.path)
    rows = _rows_of(old.path)

    first, *_ = old.migrate()

    assert first.startswith("0005")
    new.migrate()
    assert _schema_of(old.path) == _schema_of(new.path)
    assert rows.items() <= _rows_of(old.path).items()
    with create_sqlite_engine(old.path).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    with closing(sqlite3.connect(old.path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []


def _schema_of(path: Path) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as file:
        return set(file.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master"))


def _rows_of(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as file:
        tables = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: file.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in tables
        }


# MongoDB


@pytest.mark.parametrize("store", ["mongodb"], indirect=True)
async def test_a_server_of_the_version_before_may_go_on_writing(
    client: httpx2.AsyncClient, house: House, settings: Settings, held: Held
) -> None:
    """While an upgrade rolls through: somebody signs up and in there, and is known here."""
    late = held.people[LATE]
    assert (await signed_in(client, LATE)).status_code == 401

    await asyncio.to_thread(add_documents, settings.database_address, late=True)

    headers = bearing(late["access_token"])
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 200
    assert (await traded(client, late["refresh_token"])).status_code == 200
    session = await house.stores.sessions.find(SessionId(late["session_id"]))
    assert session is not None
    assert (session.methods, session.authenticated_at) == (("pwd",), NOON)
    assert (await signed_in(client, LATE)).status_code == 200


@pytest.mark.parametrize("store", ["mongodb"], indirect=True)
def test_the_documents_of_the_version_before_stay_as_they_are(settings: Settings) -> None:
    """They are read as what they mean today; a migration writes to none of them."""
    before = _documents_at(settings.database_address)

    build(settings).stores.database.migrate()

    assert _documents_at(settings.database_address) == before


def _documents_at(address: str) -> dict[str, list[Document]]:
    database = observed(address)
    return {name: list(database[name].find().sort("_id")) for name in ("users", "sessions")}
