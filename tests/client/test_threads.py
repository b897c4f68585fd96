"""`SyncVerifier`: the same answers for threads, and for the children of a fork."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from gatelodge.client import IssuerUnavailable, NotSignedIn, SyncVerifier
from tests.client.conftest import Key
from tests.client.test_verifier import GOOD, silent
from tests.support.clock import FakeClock
from tests.support.issuer import KEYS, ME, LittleServer
from tests.support.server import Server

SECOND = timedelta(seconds=1)


@pytest.fixture
async def verifier(issuer: LittleServer, clock: FakeClock, key: Key) -> AsyncIterator[SyncVerifier]:
    """Return a verifier whose issuer knows ann."""
    issuer.publish(key.jwk)
    issuer.say(ME, httpx2.Response(200, json=GOOD).content)
    verifier = SyncVerifier(issuer.address, clock=clock)
    yield verifier
    await asyncio.to_thread(verifier.close)


async def test_threads_share_keys_and_answers(
    issuer: LittleServer, verifier: SyncVerifier, key: Key, clock: FakeClock
) -> None:
    token = key.sign(issuer.address, clock)

    users = await asyncio.gather(*(asyncio.to_thread(verifier.check, token) for _ in range(50)))

    assert {user.username for user in users} == {"ann"}
    assert issuer.asked == [KEYS, ME]


async def test_what_memory_knows_needs_no_other_thread(
    issuer: LittleServer, verifier: SyncVerifier, key: Key, clock: FakeClock
) -> None:
    token = key.sign(issuer.address, clock)
    user = await asyncio.to_thread(verifier.check, token)

    assert verifier.check(token) is user  # in the event loop that the issuer needs to answer


async def test_refusals_reach_the_thread_that_asked(
    issuer: LittleServer, verifier: SyncVerifier, key: Key, clock: FakeClock
) -> None:
    token = key.sign(issuer.address, clock)
    with pytest.raises(NotSignedIn):
        await asyncio.to_thread(verifier.check, token[:-3] + "AAA")

    issuer.say(ME, b"", status=500)
    with pytest.raises(IssuerUnavailable):
        await asyncio.to_thread(verifier.check, token)


async def test_after_its_end_no_thread_is_left_and_the_next_check_starts_again(
    issuer: LittleServer, verifier: SyncVerifier, key: Key, clock: FakeClock
) -> None:
    await asyncio.to_thread(verifier.check, key.sign(issuer.address, clock))
    (first,) = running()

    await asyncio.to_thread(verifier.close)
    verifier.close()
    assert not first.is_alive()

    await asyncio.to_thread(verifier.check, key.sign(issuer.address, clock))
    assert len(running()) == 1


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gatelodge-verifier"]


async def test_where_no_thread_runs_nobody_waits_for_ever(
    issuer: LittleServer,
    verifier: SyncVerifier,
    key: Key,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As under uWSGI without `enable-threads`; here the thread is busy."""
    token, release = key.sign(issuer.address, clock), threading.Event()
    await asyncio.to_thread(verifier.check, token)
    assert verifier._loop is not None
    verifier._loop.call_soon_threadsafe(release.wait)
    monkeypatch.setattr("gatelodge.client.threads.MAX_WAIT_SECONDS", 0.1)
    clock.advance(SECOND)

    with pytest.raises(IssuerUnavailable):
        await asyncio.to_thread(verifier.check, token)
    assert caplog.text.count("does the web server allow threads?") == 1
    (first,) = running()
    await asyncio.to_thread(verifier.close)
    assert caplog.text.count("does the web server allow threads?") == 2

    release.set()  # it ends late, and leaves alone what has begun meanwhile
    clock.advance(timedelta(seconds=5))
    assert (await asyncio.to_thread(verifier.check, token)).username == "ann"
    await asyncio.to_thread(first.join)
    clock.advance(SECOND)
    assert (await asyncio.to_thread(verifier.check, token)).username == "ann"


async def test_whoever_waits_while_it_is_closed_is_told(
    issuer: LittleServer, verifier: SyncVerifier, key: Key, clock: FakeClock
) -> None:
    issuer.answers[ME] = silent
    waiting = asyncio.create_task(
        asyncio.to_thread(verifier.check, key.sign(issuer.address, clock))
    )
    while ME not in issuer.asked:
        issuer.is_asked.clear()
        await issuer.is_asked.wait()

    await asyncio.to_thread(verifier.close)

    with pytest.raises(IssuerUnavailable):
        await waiting


async def test_it_may_be_closed_at_every_turn_of_its_loop(
    issuer: LittleServer, verifier: SyncVerifier, key: Key, clock: FakeClock
) -> None:
    """Nothing of a library is cancelled before its first step: Python would complain of it."""
    token = key.sign(issuer.address, clock)
    for turns in range(40):
        clock.advance(SECOND)
        await asyncio.to_thread(verifier.check, token)
        clock.advance(SECOND)
        loop, closed = verifier._loop, threading.Event()
        assert loop is not None

        loop.call_soon_threadsafe(loop.create_task, verifier._check(token, verifier._checks))
        loop.call_soon_threadsafe(close_after, turns, verifier, closed)

        await asyncio.to_thread(closed.wait)
    gc.collect()


def close_after(turns: int, verifier: SyncVerifier, closed: threading.Event) -> None:
    """Have another thread close the verifier, so many turns of its event loop from now."""
    if turns > 0:
        asyncio.get_running_loop().call_soon(close_after, turns - 1, verifier, closed)
        return

    def close() -> None:
        verifier.close()
        closed.set()

    threading.Thread(target=close).start()
    while verifier._loop is not None:
        time.sleep(0)


async def test_checks_beside_closing_are_answered_or_told(
    issuer: LittleServer, verifier: SyncVerifier, key: Key, clock: FakeClock
) -> None:
    """Closing ends only what was there; a check that comes meanwhile starts anew."""
    token = key.sign(issuer.address, clock)

    def check() -> bool:
        try:
            return verifier.check(token).username == "ann"
        except IssuerUnavailable:
            return False

    for _ in range(50):
        clock.advance(SECOND)
        await asyncio.gather(
            *(asyncio.to_thread(check) for _ in range(4)), asyncio.to_thread(verifier.close)
        )
        clock.advance(timedelta(seconds=5))  # a load of the keys that was ended is tried again
        assert await asyncio.to_thread(check)
    gc.collect()


FORKED = """
import os, sys, time
from datetime import timedelta
from gatelodge.client import NotSignedIn, SyncVerifier

verifier = SyncVerifier(sys.argv[1], freshness=timedelta(0))
token = sys.argv[2]
assert verifier.check(token).username == "ann"
for _ in range(3):
    child = os.fork()
    if child == 0:
        with verifier:
            assert verifier.check(token).username == "ann"
            try:
                verifier.check(token + "A")
            except NotSignedIn:
                os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert verifier.check(token).username == "ann"
print("done")
"""


def test_beside_the_real_server_also_after_a_fork(server: Server) -> None:
    """Web servers load the application, and then fork their workers."""
    person = {"username": "ann", "password": "correct horse battery"}
    httpx2.post(f"{server.url}/api/auth/signup", json=person | {"email": "ann@example.com"})
    token = httpx2.post(f"{server.url}/api/auth/signin", json=person).json()["accessToken"]
    issuer = f"http://localhost:{server.port}"

    done = subprocess.run(
        [sys.executable, "-c", FORKED, issuer, token],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
    with SyncVerifier(issuer, freshness=timedelta(0)) as verifier:
        assert verifier.check(token).username == "ann"
        out = httpx2.post(
            f"{server.url}/api/auth/signout", headers={"Authorization": f"Bearer {token}"}
        )
        assert out.status_code == 200
        with pytest.raises(NotSignedIn):
            verifier.check(token)
