"""A town: a database with very many users and events, as it would be after some years.

`python -m bench.town FOLDER` makes `FOLDER/gatelodge.db`, with 1,000,000 users and 5,000,000 events
unless `--users` and `--events` say otherwise. With `--database` it fills a MongoDB database.

The rows are written straight into the database, as a version before would have left them: without
indexes for searching and without the keys of names. Then `migrate` makes these, as at an upgrade.
The same numbers always make the same people.
"""

import argparse
import json
import random
import sqlite3
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from bench.people import PASSWORD
from gatelodge.audit import EVENT_PREFIX
from gatelodge.clock import SystemClock, from_milliseconds, to_milliseconds
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.data_folder import DATABASE
from gatelodge.ids import SESSION_PREFIX, USER_PREFIX, id_from_bytes
from gatelodge.stores import open_stores
from gatelodge.stores.mongo.records import Document
from gatelodge.stores.sql.gradual import INDEXES

YEARS = timedelta(days=3 * 365)
"""How long users have been signing up: more of them each year."""

DAYS_OF_EVENTS = timedelta(days=300)

_BATCH = 5_000

_GIVEN = """
Ada Alan Amir Ana Anders Ann Anna Aoife Arjun Astrid Bao Bea Ben Björn Bruno Carla Chen Chloé
Clara Dalia Daniel Deniz Diego Dilan Eda Elena Eli Émile Emma Eva Fatima Felix Fiona Franz Freya
Gabriel Greta Hana Hans Ida Ines Ingrid Ivan Jana Jean João Jonas José Julia Kai Karin Kenji
Lara Lars Lea Leila Lena Li Lina Luca Lucía Magda Maja Marc Maria Mateo Maya Mei Mia Mikael Mina
Mohamed Nadia Nils Nina Noah Nora Olga Oskar Paul Petra Pia Priya Rafael Ravi Rosa Ruth Sam Sara
Sofia Søren Sven Tariq Tea Thomas Till Uma Vera Viktor Wanda Yara Yusuf Zoë
""".split()  # noqa: SIM905 - a list of a hundred lines otherwise
_FAMILY = """
Adler Ahmed Almeida Andersson Bauer Becker Berg Bianchi Brandt Braun Brown Castillo Chen Clark
Costa Cruz Dahl Diaz Dubois Eriksen Evans Fernández Fischer Fontaine Fuchs García Gómez Graf
Gupta Haas Hansen Hartmann Hernández Hoffmann Holm Ito Ivanov Jansen Jensen Johansson Jones Kaya
Keller Khan Kim Klein Koch Kowalski Krause Kumar Lang Larsen Lee Lehmann Lindqvist López Lund
Maier Marino Martin Martínez Meyer Mohr Moreau Müller Nguyen Nielsen Novák Nowak O’Brien Olsen
Ortiz Park Patel Pérez Peters Popov Ramírez Ricci Richter Rossi Roth Ruiz Sánchez Sato Schäfer
Schmidt Schneider Schulz Silva Singh Smith Sommer Suzuki Tanaka Taylor Torres Vogel Wagner Wang
Weber Weiß White Winter Wolf Wong Yilmaz Young Zhang Zimmermann
""".split()  # noqa: SIM905 - a list of a hundred lines otherwise
_DOMAINS = (
    *("example.com",) * 5,
    *("example.org",) * 3,
    *("mail.example", "post.example", "uni.example", "works.example"),
)
_ROLES = (("admin", 0.000_02), ("moderator", 0.002), ("support", 0.008), ("editor", 0.02))
"""Which part of the users holds each role, besides `user`."""

_BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile Safari/604.1",
)
_KINDS = (
    *(("session.opened", "success"),) * 40,
    *(("session.refreshed", "success"),) * 25,
    *(("session.ended", "success"),) * 12,
    *(("sign_in.failed", "refused"),) * 12,
    *(("user.signed_up", "success"),) * 4,
    *(("user.email_verified", "success"),) * 2,
    *(("password.changed", "success"), ("factor.added", "success")),
    *(("role.granted", "success"), ("refresh_token.reused", "refused")),
    ("attempts.limited", "refused"),
)


@dataclass(frozen=True, slots=True)
class Town:
    """Who lives there, and what happened.

    Attributes:
        users: how many users there are.
        events: how many events there are.
        now: the present.
    """

    users: int
    events: int
    now: datetime

    def people(self) -> Iterator[Document]:
        """Yield the documents of all users, the oldest first, as the version before has them."""
        chance = random.Random(self.users)
        stored = PasswordHasher().hash(PASSWORD)
        began = to_milliseconds(self.now - YEARS)
        span = to_milliseconds(self.now) - began
        for number in range(self.users):
            created = began + int(span * ((number + 1) / self.users) ** 0.6)
            yield _person(number, created, to_milliseconds(self.now), stored, chance)

    def happened(self, ids: list[str]) -> Iterator[Document]:
        """Yield the documents of all events, the oldest first.

        Args:
            ids: the ids of the users.
        """
        chance = random.Random(self.events)
        began = to_milliseconds(self.now - DAYS_OF_EVENTS)
        span = to_milliseconds(self.now) - began
        for number in range(self.events):
            yield _event(began + span * number // self.events, ids, chance)


def _id(prefix: str, at: int, chance: random.Random) -> str:
    return id_from_bytes(prefix, at.to_bytes(6, "big") + chance.randbytes(16))


def _person(number: int, created: int, now: int, stored: str, chance: random.Random) -> Document:
    given, family = chance.choice(_GIVEN), chance.choice(_FAMILY)
    plain = "".join(
        c for c in f"{given}.{family}".lower() if c.isascii() and (c.isalpha() or c == ".")
    )
    username = f"{plain}{number}" if chance.random() < 0.7 else f"{plain[:4].strip('.')}-{number}"
    address = (
        f"{username if chance.random() < 0.6 else plain + str(number)}@{chance.choice(_DOMAINS)}"
    )
    person: Document = {
        "_id": _id(USER_PREFIX, created, chance),
        "username": username.title() if chance.random() < 0.1 else username,
        "username_key": username,
        "email": address,
        "email_key": address,
        "password_hash": stored,
        "roles": ["user", *(role for role, part in _ROLES if chance.random() < part)],
        "created_at": created,
        "epoch": 0,
        "name": f"{given} {family}" if chance.random() < 0.8 else "",
        "must": [],
    }
    if not number:  # somebody who administers, with nothing in the way
        return person | {"roles": ["user", "admin"]}
    if chance.random() < 0.6:
        person["email_verified_at"] = created + 60_000
    if chance.random() < 0.01:
        person["disabled_at"] = created + (now - created) // 2
    if chance.random() < 0.85:
        person["last_sign_in_at"] = now - int((now - created) * chance.random() ** 3)
    if chance.random() < 0.1:
        person["factors"] = list(_factors(created, chance))
    return person


def _factors(created: int, chance: random.Random) -> Iterator[Document]:
    kinds = chance.choice((("totp",), ("totp",), ("passkey",), ("totp", "passkey")))
    for kind in (*kinds, "recovery_codes"):
        factor: Document = {"_id": _id("fac", created, chance), "kind": kind, "name": "Phone"}
        factor |= {"created_at": created, "counter": 0, "digests": [], "transports": []}
        if kind == "totp":
            factor["sealed_secret"] = chance.randbytes(60)
        elif kind == "passkey":
            factor |= {
                "credential_id": chance.randbytes(16).hex(),
                "public_key": chance.randbytes(77),
            }
        else:
            factor["digests"] = [chance.randbytes(32) for _ in range(10)]
        yield factor


def _event(at: int, ids: list[str], chance: random.Random) -> Document:
    name, outcome = chance.choice(_KINDS)
    user = ids[int(len(ids) * chance.random() ** 2)]  # some come more often
    about_session = name.startswith(("session.", "refresh_token."))
    return {
        "_id": _id(EVENT_PREFIX, at, chance),
        "at": at,
        "name": name,
        "actor": None if outcome == "refused" else user,
        "target": _id(SESSION_PREFIX, at, chance) if about_session else user,
        "address": f"203.0.{chance.randrange(256)}.{chance.randrange(256)}",
        "user_agent": chance.choice(_BROWSERS),
        "request_id": f"req_{at:x}{chance.randrange(1 << 32):08x}",
        "detail": {"factor": "password"} if name.startswith("session.") else {},
        "outcome": outcome,
    }


def build_file(path: Path, town: Town) -> None:
    """Make an SQLite file, and migrate it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = open_stores(str(path)).database
    database.migrate()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA synchronous = OFF")
        file.execute("PRAGMA cache_size = -524288")
        for index in INDEXES:
            file.execute(f"DROP INDEX {index.name}")
        ids = _people_into(file, town.people())
        file.executemany(_EVENT, (_row(each, _EVENT_COLUMNS) for each in town.happened(ids)))
        file.execute("DELETE FROM changes")  # no server follows the changes yet
        file.commit()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.migrate(print)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _people_into(file: sqlite3.Connection, people: Iterator[Document]) -> list[str]:
    ids = []
    while some := list(islice(people, _BATCH)):
        ids += [each["_id"] for each in some]
        file.executemany(_USER, [_row(each, _USER_COLUMNS) for each in some])
        file.executemany(_ROLE, [(each["_id"], role) for each in some for role in each["roles"]])
        file.executemany(_PASSKEY, [(key, each["_id"]) for each in some for key in _passkeys(each)])
    return ids


def _passkeys(person: Document) -> Iterator[str]:
    for factor in person.get("factors", ()):
        if "credential_id" in factor:
            yield factor["credential_id"]


def _row(document: Document, columns: Iterable[str]) -> list[Any]:
    return [_plain(document.get("_id" if name == "id" else name)) for name in columns]


def _plain(value: Any) -> Any:
    """Return a value as it is in a row."""
    if not isinstance(value, list | dict):
        return value
    return json.dumps(value, default=lambda each: b64encode(each).decode()).replace('"_id"', '"id"')


_USER_COLUMNS = (
    *("id", "username", "username_key", "email", "email_key", "password_hash", "epoch"),
    *(
        "created_at",
        "email_verified_at",
        "disabled_at",
        "last_sign_in_at",
        "name",
        "must",
        "factors",
    ),
)
_EVENT_COLUMNS = (
    *("id", "at", "name", "actor", "target", "address", "user_agent", "request_id", "detail"),
    "outcome",
)


def _insert(table: str, columns: Iterable[str]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(names.split(', ')))})"


_USER = _insert("users", _USER_COLUMNS)
_EVENT = _insert("events", _EVENT_COLUMNS)
_ROLE = _insert("user_roles", ("user_id", "role"))
_PASSKEY = _insert("passkeys", ("credential_id", "user_id"))


def build_mongodb(address: str, town: Town) -> None:
    """Fill an empty MongoDB database, and migrate it."""
    ids = []
    with MongoClient[Document](address, w=1, journal=False) as client:
        database = client.get_default_database()
        people = town.people()
        while some := list(islice(people, _BATCH)):
            ids += [each["_id"] for each in some]
            database["users"].insert_many([_dated(each) for each in some], ordered=False)
            database["names"].insert_many([*_claims(some)], ordered=False)
        _events_into(database["events"], town.happened(ids))
    open_stores(address).database.migrate(print)


def _events_into(events: Collection[Document], happened: Iterator[Document]) -> None:
    while some := list(islice(happened, _BATCH)):
        events.insert_many([_dated(each) for each in some], ordered=False)


def _claims(people: list[Document]) -> Iterator[Document]:
    for person in people:
        keys = [f"{each}:{person[f'{each}_key']}" for each in ("username", "email")]
        for key in (*keys, *(f"passkey:{each}" for each in _passkeys(person))):
            yield {"_id": key, "user_id": person["_id"]}


def _dated(document: Document) -> Document:
    """Return a document with instants, and without what is None."""
    factors = [_dated(each) for each in document.get("factors", ())]
    found = {
        name: from_milliseconds(value) if name == "at" or name.endswith("_at") else value
        for name, value in document.items()
        if value is not None
    }
    return found | ({"factors": factors} if factors else {})


def main() -> None:
    """Make a town, and say how long it took."""
    parser = argparse.ArgumentParser(prog="python -m bench.town", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="where the SQLite file is made")
    parser.add_argument("--database", help="the address of a MongoDB database, to be filled")
    parser.add_argument("--users", type=int)
    parser.add_argument("--events", type=int)
    given = parser.parse_args()
    began = time.monotonic()
    usual = (200_000, 1_000_000) if given.database else (1_000_000, 5_000_000)
    town = Town(given.users or usual[0], given.events or usual[1], SystemClock().now())
    if given.database:
        build_mongodb(given.database, town)
    elif given.folder is None:
        parser.error("name a folder, or a --database")
    else:
        build_file(given.folder / DATABASE, town)
    print(f"{town.users:,} users, {town.events:,} events: {time.monotonic() - began:.0f} seconds")


if __name__ == "__main__":
    main()
