"""No background task ends in silence: an error that nobody foresaw is logged, and it goes on."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest

from gatelodge import tasks
from gatelodge.app import House
from gatelodge.errors import StoreUnavailable
from gatelodge.stores import open_stores
from gatelodge.stores.mongo import MongoDatabase, connection
from gatelodge.stores.sql import feed as sql_feed
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.tasks import when_told_to_end
from tests.support.clock import FakeClock
from tests.support.mongod import wait_until
from tests.support.run import runs

SOON = timedelta(milliseconds=5)

_FAR_FUTURE = "UPDATE signing_keys SET created_at = 9223372036854775807"
"""It makes keys that cannot be read: no datetime holds that instant."""

_LONG_AGO = "UPDATE signing_keys SET created_at = 0"


@pytest.fixture(autouse=True)
def _logged_from_warnings_on(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, "gatelodge"):
        yield


HARD_OF_HEARING = """
import asyncio, multiprocessing, os, signal
from gatelodge.tasks import end_with_parent

async def work():
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    end_with_parent()
    print(os.getpid(), flush=True)
    await asyncio.sleep(60)

child = multiprocessing.get_context("fork").Process(target=lambda: asyncio.run(work()))
child.start()
child.join()
"""
"""A process whose child hears only the second signal, as one that is still starting may."""


async def until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds that another task makes true."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - the code under test offers no event
            await asyncio.sleep(0.005)


def failures(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, bool]]:
    """Return the failed tasks: what failed, the error, and whether there is a traceback."""
    return [
        (*_what_and_error(record), bool(record.exc_info))
        for record in caplog.records
        if record.getMessage() == "task.failed"
    ]


def _what_and_error(record: logging.LogRecord) -> tuple[str, str]:
    details: dict[str, str] = record.details  # type: ignore[attr-defined]
    return details["task"].rpartition(".")[2], details["error"]


async def execute(house: House, statement: str) -> None:
    """Change the database in a way that the server does not expect."""
    database = house.stores.database
    assert isinstance(database, SqlDatabase)
    await database.write(lambda connection: connection.exec_driver_sql(statement))


class Work:
    """Work that raises these errors, one at each call, and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.done = 0

    async def do(self) -> None:
        """Raise the next error, or succeed."""
        if self.errors:
            raise self.errors.pop(0)
        self.done += 1


async def test_what_work_was_called_with_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It may be a letter, with the address of somebody."""

    async def send(_letter: str) -> None:
        raise StoreUnavailable

    await tasks.start(partial(send, "ann@example.com"))

    assert failures(caplog) == [("send", "StoreUnavailable", False)]
    (record,) = caplog.records
    assert "ann@" not in str(record.__dict__)


async def test_whatever_work_raises_is_logged_and_the_work_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even a cancellation that is not meant for the task, such as that of a future it waits for."""
    work = Work(RuntimeError("secret"), StoreUnavailable(), asyncio.CancelledError())
    task = asyncio.create_task(tasks.repeat(work.do, SOON))
    await until(lambda: work.done >= 2)
    await tasks.end(task)
    assert task.cancelled()
    assert failures(caplog) == [
        ("do", "RuntimeError", True),
        ("do", "StoreUnavailable", False),
        ("do", "CancelledError", True),
    ]
    assert "secret" not in caplog.messages


async def test_a_task_that_fails_once_says_so(caplog: pytest.LogCaptureFixture) -> None:
    await tasks.start(Work(RuntimeError()).do)
    assert failures(caplog) == [("do", "RuntimeError", True)]


async def test_a_cancelled_task_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(tasks.repeat(work, SOON, at_once=True))
    await begun.wait()
    await tasks.end(task)
    assert (task.cancelled(), failures(caplog)) == (True, [])


async def test_the_pruning_of_sqlite_goes_on(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_feed, "PRUNE_EVERY", SOON)
    monkeypatch.setattr(sql_feed, "MAX_CHANGES", 2**64)  # SQLite has no number that large
    stores = open_stores(house.settings.database_address)
    await stores.database.start()
    await stores.feed.follow(lambda _changed: None)
    await until(lambda: ("_prune_changes", "OverflowError", True) in failures(caplog))
    monkeypatch.setattr(sql_feed, "MAX_CHANGES", 0)
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "gatelodge"):
        await until(lambda: "changes.pruned" in caplog.messages)
    await stores.feed.leave()
    await stores.database.stop()


async def test_a_reload_of_the_keys_that_fails_says_so(
    house: House, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The feed named a key; a second later, a request that needs the keys reads them again."""
    kid = house.signing_keys.signing_key()[0]
    await execute(house, _FAR_FUTURE)
    assert house.gate.feed.catch_up()
    await until(lambda: ("refresh", "OverflowError", True) in failures(caplog))
    await execute(house, _LONG_AGO)
    clock.advance(timedelta(seconds=1))
    assert await house.signing_keys.find(kid) is not None


async def test_the_keys_are_kept_in_step_after_an_unforeseen_error(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.signing_keys.step_every = SOON
    await execute(house, _FAR_FUTURE)
    task = asyncio.create_task(house.signing_keys.keep_in_step())
    await until(lambda: ("_step", "OverflowError", True) in failures(caplog))
    await execute(house, _LONG_AGO)
    house.signing_keys.ring.records = ()
    await until(lambda: house.signing_keys.ring.records)
    await tasks.end(task)


async def test_a_chore_on_mongodb_goes_on(
    mongodb_address: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_CHORES_EVERY", SOON)
    database = MongoDatabase(mongodb_address)
    work = Work(RuntimeError(), KeyError())
    database.repeat(work.do)
    await database.start()
    await until(lambda: work.done)
    await database.stop()
    assert failures(caplog) == [("do", "RuntimeError", True), ("do", "KeyError", True)]


async def test_the_stream_of_mongodb_is_followed_again(
    mongodb_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory is not trusted in between."""
    stores = open_stores(mongodb_address)
    await asyncio.to_thread(stores.database.migrate)
    await stores.database.start()
    heard: list[str | None] = []

    def forget(changed: str | None) -> None:
        heard.append(changed)
        if len(heard) == 1:
            raise RuntimeError

    await stores.feed.follow(forget)
    await until(lambda: failures(caplog))
    assert not stores.feed.catch_up()
    await until(stores.feed.catch_up)
    assert failures(caplog) == [("_follow_once", "RuntimeError", True)]
    await stores.feed.leave()
    await stores.database.stop()


def test_a_child_that_misses_the_end_of_its_parent_is_told_again() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HARD_OF_HEARING], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()

    wait_until(lambda: not runs(child), "the child goes on without its parent", 20)


async def test_what_stays_open_hears_of_a_signal_and_so_does_who_heard_before() -> None:
    """When it is undone, only the other one hears."""
    heard: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: heard.append("before"))
    try:
        undo = when_told_to_end(lambda: heard.append("ours"))
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert sorted(heard) == ["before", "ours"]

        undo()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert sorted(heard) == ["before", "before", "ours"]
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_signal_that_ends_the_process_at_once_still_does() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        undo = when_told_to_end(lambda: None)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        undo()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)

    async def elsewhere() -> None:
        when_told_to_end(lambda: None)()

    await asyncio.to_thread(lambda: asyncio.run(elsewhere()))

    assert signal.getsignal(signal.SIGINT) is before
