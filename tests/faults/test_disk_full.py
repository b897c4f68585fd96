"""The disk is full: sign-ups are refused with the right answer, and nothing is lost."""

import asyncio
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from gatelodge.app import House
from tests.faults.sign_ups import database_file, read_kept
from tests.support.crowd import Crowd, sign_up
from tests.support.people import Person, signed_in
from tests.support.server import Server

pytestmark = pytest.mark.faults

CROWD = 60
ROOM_BYTES = 600_000  # enough for some sign-ups of the crowd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a server that hashes as ever: else the sign-ups of a crowd are written together."""
    with Server(tmp_path, in_new_process=True) as running:
        yield running


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has prlimit")


@only_linux
async def test_a_server_that_can_write_no_more_keeps_what_it_answered(server: Server) -> None:
    """Sign-ups get 200 or 503 and never 500, reads go on, and all is well when there is room."""
    async with Crowd(server) as client:
        early = Person("early", client)
        await early.sign_up()
        await early.sign_in()

        with no_more_room(server):
            codes = await sign_up_all(client, "crowd")
            assert set(codes.values()) <= {"kept", "outcome_unknown", "store_unavailable"}, codes
            assert {"kept", "outcome_unknown"} <= set(codes.values()), Counter(codes.values())
            assert (await early.get("/api/test/user")).status_code == 200

        assert (await sign_up(client, "later")).status_code == 200

    server.kill()
    server.start()
    kept = read_kept(server)
    assert kept.integrity == "ok"
    assert len(kept.users) == len(set(kept.users))
    assert {"early", "later"} | names(codes, "kept") <= kept.complete
    assert not names(codes, "store_unavailable") & set(kept.users), "a refused user is there"


@only_linux
async def test_a_log_that_can_be_written_no_more_fails_no_sign_up(server: Server) -> None:
    """The log may be on another disk, which is full while the database has room."""
    with server.log.open("r+b") as log:
        log.truncate(2**30)  # a sparse file: it takes no room

    with limit_files(server, 2**29):
        async with Crowd(server) as client:
            response = await sign_up(client, "ann")

    assert response.status_code == 200, response.text
    assert "ann" in read_kept(server).complete


@pytest.mark.real_hash
@pytest.mark.parametrize("room", [0, 4, 6])
async def test_what_is_refused_for_a_full_database_was_not_done(
    house: House, client: httpx2.AsyncClient, room: int
) -> None:
    """The database may become full at any step of a sign-up.

    Whoever is told "nothing was changed" can rely on it.
    """
    await signed_in(client, house, "early")
    await set_most_pages(house, await page_count(house) + room)

    codes = await sign_up_all(client, "crowd")

    await set_most_pages(house, 1_000_000)
    users = {user.username for user in await house.stores.users.list_users(after=None, limit=1000)}
    assert {"kept", "store_unavailable"} <= set(codes.values()), Counter(codes.values())
    assert {"early"} | names(codes, "kept") <= users
    assert not names(codes, "store_unavailable") & users, "a refused user is there"
    assert (await sign_up(client, "later")).status_code == 200


async def sign_up_all(client: httpx2.AsyncClient, prefix: str) -> dict[str, str]:
    """Let a crowd sign up at once. Return for each name `kept`, or the code of the refusal."""

    async def one(name: str) -> tuple[str, str]:
        response = await sign_up(client, name)
        assert response.status_code in {200, 503}, response.text
        return name, "kept" if response.status_code == 200 else response.json()["code"]

    return dict(await asyncio.gather(*(one(f"{prefix}{number}") for number in range(CROWD))))


def names(codes: dict[str, str], code: str) -> set[str]:
    """Return the names that got this answer."""
    return {name for name, given in codes.items() if given == code}


async def page_count(house: House) -> int:
    """Return how many pages the database has now."""
    pages: int = await house.stores.database.write(
        lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar()
    )
    return pages


async def set_most_pages(house: House, pages: int) -> None:
    """Limit the database to so many pages. The limit holds for the connection that writes."""
    await house.stores.database.write(
        lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar()
    )


@contextmanager
def no_more_room(server: Server) -> Iterator[None]:
    """Limit the server's write-ahead log to a little more than its size now."""
    log = database_file(server).with_suffix(".db-wal")
    with limit_files(server, log.stat().st_size + ROOM_BYTES):
        yield


@contextmanager
def limit_files(server: Server, size: int) -> Iterator[None]:
    """Limit the size of every file that the server writes, as if its disk were full.

    Linux also sends a signal at the limit. Python ignores it, so a write fails with EFBIG.
    """
    everyone = processes_of(server)
    for pid in everyone:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield
    for pid in everyone:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def processes_of(server: Server) -> list[int]:
    """Return the ids of the server's process and its workers: they are one process group."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if group_of(pid) == server.pid]


def group_of(pid: int) -> int | None:
    """Return the process group of a process, or None if the process has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
