"""Make databases as the version before makes them: `python -m tests.upgrades.make FOLDER`.

It runs on that version's own code, so that nothing in the files is what today's code believes of
it. For the files in `before_0005/`, which commit d0aeaf5 made:

    git archive d0aeaf5 src | tar -x -C /tmp/before
    PYTHONPATH=/tmp/before/src:. .venv/bin/python -m tests.upgrades.make tests/upgrades/before_0005

For each store there are two files: the whole database, as SQL text or as Extended JSON, and what
clients hold of it (ids, tokens and the server's secret key, all made for this purpose alone).
"""

import asyncio
import contextlib
import json
import secrets
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bson import json_util
from pymongo import MongoClient

import gatelodge
from gatelodge.accounts.service import NewUser
from gatelodge.app import House, build
from gatelodge.audit import Origin
from gatelodge.errors import Refusal
from gatelodge.settings import Settings
from tests.support.clock import NOON, FakeClock
from tests.support.mongod import ReplicaSet, with_database

PASSWORD = "correct horse battery"
ORIGIN = Origin(address="192.0.2.7", user_agent="Browser/1.0")
A_MINUTE = timedelta(minutes=1)
DATABASE = "before"


async def live_in(house: House, clock: FakeClock) -> dict[str, Any]:
    """Let people come and do what they do; return what each of them holds afterwards."""
    await house.setup.invite()
    for name, roles in (
        ("ann", ["user", "moderator"]),
        ("bob", ["user"]),
        ("carol", ["user", "admin"]),
        ("dave", ["user"]),
        ("frank", ["user"]),
    ):
        await house.accounts.create(NewUser(name, f"{name}@example.com", PASSWORD, roles))
    erin = await house.accounts.prepare(NewUser("erin", "erin@example.com", PASSWORD))
    await house.stores.users.add(replace(erin, verified_at=NOON - A_MINUTE))

    held = {"ann": await _sign_in(house, "ann", "bearer")}
    held["left"] = await _sign_in(house, "ann", "bearer")
    held["bob"] = await _sign_in(house, "bob", "cookie")
    held["carol"] = await _sign_in(house, "carol", "bearer")
    held["dave"] = await _sign_in(house, "dave", "bearer")
    held["erin"] = await _sign_in(house, "erin", "bearer")
    held["frank"] = await _sign_in(house, "frank", "bearer")
    with contextlib.suppress(Refusal):
        await house.sign_in.sign_in("frank", "not the password", "bearer", ORIGIN)

    clock.advance(A_MINUTE)
    await house.accounts.disable(await house.accounts.get_by_username("dave"))
    left = await house.sessions.find_by_refresh_token(held["left"]["refresh_token"], ORIGIN)
    assert left is not None
    await house.sessions.sign_out(left.user_id, left.id, ORIGIN)
    traded = await house.sessions.refresh(held["ann"]["refresh_token"], ORIGIN)
    held["ann"] = _of(traded) | {"former_refresh_token": held["ann"]["refresh_token"]}
    return held


async def _sign_in(house: House, name: str, delivery: Any) -> dict[str, str]:
    return _of(await house.sign_in.sign_in(name, PASSWORD, delivery, ORIGIN))


def _of(signed_in: Any) -> dict[str, str]:
    pair = signed_in.tokens
    return {
        "user_id": signed_in.user.id,
        "session_id": signed_in.session.id,
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
    }


async def make(folder: Path, name: str, database: str) -> None:
    """Make one database and write down what is held of it."""
    secret_key, clock = secrets.token_urlsafe(32), FakeClock()
    with tempfile.TemporaryDirectory() as nowhere:
        settings = Settings(data_dir=Path(nowhere), database=database, secret_key=secret_key)
        house = build(settings, clock)
        house.stores.database.migrate()
        async with house.open():
            held = await live_in(house, clock)
            await asyncio.sleep(0.2)
    told = {"at": clock.instant.isoformat(), "secret_key": secret_key, "people": held}
    (folder / f"{name}.held.json").write_text(json.dumps(told, indent=1) + "\n")


def dump_sqlite(path: Path) -> str:
    """Return the whole file as SQL, one statement a line."""
    with closing(sqlite3.connect(path)) as file:
        return "".join(f"{statement}\n" for statement in file.iterdump())


def dump_mongodb(address: str) -> str:
    """Return every document and every index as Extended JSON, one document a line."""
    with MongoClient[dict[str, Any]](address, tz_aware=True) as client:
        database = client.get_default_database()
        lines = []
        for name in sorted(database.list_collection_names()):
            indexes = [each for each in database[name].list_indexes() if each["name"] != "_id_"]
            lines.append(json_util.dumps({"collection": name, "indexes": indexes}))
            lines += [json_util.dumps({name: each}) for each in database[name].find().sort("_id")]
        return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Make both."""
    sys.stdout.write(f"made by {gatelodge.__file__}\n")
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as nowhere:
        file = Path(nowhere) / "gatelodge.db"
        asyncio.run(make(folder, "sqlite", str(file)))
        (folder / "sqlite.sql").write_text(dump_sqlite(file))
        with ReplicaSet(Path(nowhere) / "mongod") as replica_set:
            address = with_database(replica_set.url, DATABASE)
            asyncio.run(make(folder, "mongodb", address))
            (folder / "mongodb.json").write_text(dump_mongodb(address))


if __name__ == "__main__":
    main()
