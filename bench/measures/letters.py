"""How fast letters that wait are sent, with how much memory, and how soon that can be stopped."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from bench.mail_sink import MailSink
from bench.mongod import Mongod
from bench.report import Row
from bench.server import Gatelodge
from bench.sizes import Sizes
from gatelodge.clock import SystemClock, to_milliseconds
from gatelodge.ids import new_id
from gatelodge.letters.store import LETTER_PREFIX, Letter
from gatelodge.master_key import MasterKey
from gatelodge.settings import Settings
from gatelodge.stores import open_stores
from gatelodge.stores.mongo.records import Document, to_document

_SOME_SECONDS = 2.0
_BATCH = 10_000
_COLUMNS = [each.name for each in fields(Letter)]


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how one process works the queue off, on each database."""
    rows = _rows(sizes, folder / "sqlite", "")
    with Mongod(folder / "mongod") as mongod:
        return rows + _rows(sizes, folder / "mongodb", mongod.url)


def _rows(sizes: Sizes, folder: Path, database: str) -> list[Row]:
    name = "MongoDB" if database else "SQLite"
    data = folder / "data"
    data.mkdir(parents=True)
    settings = Settings(data_dir=data, database=database)
    open_stores(settings.database_address).database.migrate()
    count_sent = _fill(settings, sizes.letters)
    with MailSink() as sink:
        given = {"smtp_url": sink.url, "mail_from": "no-reply@example.com"}
        if database:
            given["database"] = database
        with Gatelodge(folder, **given) as server:
            _wait_until(lambda: count_sent() > 0)
            before, began = count_sent(), time.perf_counter()
            first = server.memory()[-1]
            highest = first.rss
            for _ in range(int(sizes.letter_seconds / _SOME_SECONDS)):
                time.sleep(_SOME_SECONDS)
                highest = max(highest, server.memory()[-1].rss)
            sent, seconds = count_sent() - before, time.perf_counter() - began
            stopping = time.perf_counter()
        stopped = time.perf_counter() - stopping
    waiting = f"{sizes.letters:,} letters wait; {sent:,} sent"
    growth = (highest - first.rss) / 1024 / 1024
    return [
        Row(
            f"letters, {name}",
            sent / seconds,
            "/s",
            f"one process, a mail server beside; {waiting}",
        ),
        Row(f"letters, memory, {name}", growth, "MiB", "growth of the process meanwhile"),
        Row(f"letters, stop, {name}", stopped, "s", "from SIGTERM to the end, amid sending"),
    ]


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError("no letter was sent")
        time.sleep(0.05)


def _fill(settings: Settings, count: int) -> Callable[[], int]:
    """Queue letters, and return a function that counts those that were sent."""
    key = MasterKey.from_file(settings.data_dir / "secret.key")
    letters = _letters(key, count)
    if settings.database:
        return _into_mongodb(settings.database, letters)
    return _into_sqlite(settings.database_address, letters)


def _letters(key: MasterKey, count: int) -> Iterator[Letter]:
    now = SystemClock().now()
    text = json.dumps({"values": {}, "to": None, "language": None, "proof": None}).encode()
    for number in range(count):
        letter_id = new_id(LETTER_PREFIX, now)
        yield Letter(
            id=letter_id,
            kind="test",
            to=f"user{number}@example.com",
            to_key=f"user{number}@example.com",
            message_id=f"{letter_id}@localhost",
            created_at=now,
            due_at=now,
            sealed_values=key.seal("letters", text, letter_id.encode()),
            written=True,
        )


def _into_sqlite(path: str, letters: Iterator[Letter]) -> Callable[[], int]:
    columns = ", ".join(f'"{name}"' for name in _COLUMNS)
    marks = ", ".join("?" * len(_COLUMNS))
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA synchronous = OFF")
        file.executemany(
            f"INSERT INTO letters ({columns}) VALUES ({marks})",
            ([_stored(getattr(each, name)) for name in _COLUMNS] for each in letters),
        )
        file.commit()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def count_sent() -> int:
        with closing(sqlite3.connect(path)) as file:
            count: int = file.execute(
                "SELECT count(*) FROM letters WHERE ended_at IS NOT NULL"
            ).fetchone()[0]
            return count

    return count_sent


def _stored(value: Any) -> Any:
    return to_milliseconds(value) if isinstance(value, datetime) else value


def _into_mongodb(address: str, letters: Iterator[Letter]) -> Callable[[], int]:
    with MongoClient[Document](address) as client:
        collection = client.get_default_database()["letters"]
        while some := [to_document(each) for each in islice(letters, _BATCH)]:
            collection.insert_many(some, ordered=False)

    def count_sent() -> int:
        with MongoClient[Document](address) as client:
            found = client.get_default_database()["letters"]
            return found.count_documents({"ended_at": {"$exists": True}})

    return count_sent
