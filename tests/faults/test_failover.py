"""A replica set of three nodes loses its primary under load. People wait, and nothing is lost.

`GATELODGE_FAULTS` sets how often each fault happens. `make faults` lets each happen ten times,
prints a table, and holds the times too.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import httpx2
import pytest
from pymongo import MongoClient

from tests.faults.load import Answered, Load, Owner
from tests.support import figures
from tests.support.mongod import ReplicaSet, with_database
from tests.support.people import PASSWORD
from tests.support.server import Server

pytestmark = pytest.mark.faults

TIMES = int(os.environ.get("GATELODGE_FAULTS", "1"))
GAP_SECONDS = 5.0
ANSWER_SECONDS = 6.0
CHECKS_ANSWERED = 0.99
AT_ONCE = 8
WRITES = frozenset({"sign-up", "sign-in", "refresh", "password", "sign-out"})

NO_LIMITS = {
    f"sign_{limit}": "0"
    for limit in ("in_tries_per_account", "in_tries_per_address", "in_tries_in_all")
} | {"sign_ups_per_address": "0"}


def kill(three: ReplicaSet, primary: int) -> Callable[[], None]:
    """End the primary as a power cut would. Return what brings it back."""
    three.kill(primary)
    return lambda: three.restart(primary)


def pause(three: ReplicaSet, primary: int) -> Callable[[], None]:
    """Stop the primary. When it goes on, it believes for a moment that it is still the primary."""
    process = three.nodes[primary].process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    return lambda: process.send_signal(signal.SIGCONT)


def step_down(three: ReplicaSet, _primary: int) -> Callable[[], None]:
    """Let the primary stand back in good order."""
    three.step_down()
    return lambda: None


FAULTS = {"killed": kill, "paused": pause, "stepped down": step_down}


@dataclass(frozen=True, slots=True)
class Loss:
    """A fault, and the time from it until the set is whole again."""

    kind: str
    began_at: float
    ended_at: float

    def gap(self, answers: Iterable[Answered]) -> float:
        """Return the longest time in which no write was acknowledged."""
        acknowledged = sorted(
            each.answered_at for each in answers if each.what in WRITES and each.status == 200
        )
        inside = [at for at in acknowledged if self.began_at - 0.5 < at < self.ended_at]
        return max(later - earlier for earlier, later in pairwise(inside))

    def answers(self, answers: Iterable[Answered]) -> list[Answered]:
        """Return those that were asked for during the fault."""
        return [each for each in answers if self.began_at <= each.sent_at <= self.ended_at]


async def test_nothing_is_lost_with_a_primary(
    three: ReplicaSet, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    address = with_database(three.url, "failover")
    with Server(tmp_path, workers=2, database=address, **NO_LIMITS) as server:
        load, losses = Load(server), []
        async with load.running():
            for _ in range(TIMES):
                losses += [await lose(three, kind, load) for kind in FAULTS]
            await load.everybody_was_served()
        assert load.surprises == []
        assert load.left
        assert load.disabled
        assert all(each.retry_after for each in load.answers if each.status == 503)
        during = load.answers
        load.answers = []
        await nothing_is_lost(load, address)
        await load.close()
    if TIMES > 1:
        for line in table(losses, during):
            record_property(figures.NAME, line)
        hold_the_times(losses, during)


@contextlib.contextmanager
def secondaries_paused(three: ReplicaSet) -> Iterator[None]:
    """Stop both secondaries: the primary finds that it has no majority, and stands back."""
    primary = three.wait_for_primary()
    others = [node.process for number, node in enumerate(three.nodes) if number != primary]
    for process in others:
        assert process is not None
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in others:
            assert process is not None
            process.send_signal(signal.SIGCONT)


SLOW = {"held back": ReplicaSet.held_back} | ({"paused": secondaries_paused} if TIMES > 1 else {})


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
async def test_an_honest_client_of_slow_secondaries_stays_signed_in(
    three: ReplicaSet,
    tmp_path: Path,
    slow: Callable[[ReplicaSet], contextlib.AbstractContextManager[None]],
) -> None:
    """The rotation is written, and not confirmed for longer than the grace of one second."""
    address = with_database(three.url, tmp_path.name)
    with Server(tmp_path, database=address, refresh_grace="1s", **NO_LIMITS) as server:
        load = Load(server)
        owner = load.owners[0]
        await load.sign_up(owner.name)
        assert await load.open(owner)
        with slow(three):
            assert refusal(await load.refresh(owner)) == "outcome_unknown"
        assert load.answers[-1].took > 1
        assert load.answers[-1].retry_after
        while (answer := await load.refresh(owner)).status_code == 503:
            pass
        assert answer.status_code == 200, answer.text
        owner.take(answer)
        assert load.surprises == []
        await is_signed_in(load, owner)
        await load.close()


async def lose(three: ReplicaSet, kind: str, load: Load) -> Loss:
    """Let a fault happen to the primary, and undo it when everybody is served by another one."""
    primary = await asyncio.to_thread(three.wait_for_primary)
    began_at = time.monotonic()
    undo = await asyncio.to_thread(FAULTS[kind], three, primary)
    try:
        await load.everybody_was_served()
    finally:
        await asyncio.to_thread(undo)
    await asyncio.to_thread(three.wait_until_whole)
    return Loss(kind, began_at, time.monotonic())


async def nothing_is_lost(load: Load, address: str) -> None:
    """Check that what was acknowledged is there, and that nobody was taken for a thief."""
    with MongoClient(address) as client:
        database = client.get_default_database()
        there = Counter(each["username"] for each in database.users.find({}, ["username"]))
        assert database.events.count_documents({"name": "refresh_token.reused"}) == 0
    assert {name: there[name] for name in load.registered} == dict.fromkeys(load.registered, 1)
    owners = {owner.name for owner in load.owners}
    newcomers = [name for name in load.registered if name not in owners | load.perhaps_disabled]
    await in_turns(signs_in(load, name, 200) for name in newcomers)
    await in_turns(signs_in(load, name, 401) for name in load.disabled)
    await in_turns(is_signed_out(load, device) for device in load.left)
    await in_turns(is_signed_in(load, owner) for owner in load.owners)


async def in_turns(work: Iterable[Awaitable[None]]) -> None:
    """Await all of it, a few at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(each: Awaitable[None]) -> None:
        async with places:
            await each

    await asyncio.gather(*(one(each) for each in work))


async def signs_in(load: Load, name: str, status: int) -> None:
    """Check what a sign-in is answered."""
    assert (await load.sign_in(name, PASSWORD)).status_code == status, name


async def is_signed_out(load: Load, device: Owner) -> None:
    """Check that neither token of a device is good for anything."""
    assert (await load.check(device.access)).status_code == 401
    assert refusal(await load.refresh(device)) == "refresh_token_invalid"


async def is_signed_in(load: Load, owner: Owner) -> None:
    """Check that the tokens and the password of an owner are good."""
    assert (await load.check(owner.access)).status_code == 200
    assert (await load.refresh(owner)).status_code == 200
    answers = [await load.sign_in(owner.name, password) for password in owner.passwords]
    assert sorted(answer.status_code for answer in answers)[:1] == [200]


def refusal(answer: httpx2.Response) -> str:
    """Return the code of a refusal."""
    return str(answer.json()["code"])


def table(losses: list[Loss], answers: list[Answered]) -> list[str]:
    """Return the lines of a table with one line for each kind of fault."""
    head = f"{'primary':14}{'times':>6}{'gap: median':>13}{'max':>7}{'answers':>9}{'503':>6}"
    lines = [head + f"{'slowest':>9}{'checks':>8}{'answered':>10}"]
    for kind in FAULTS:
        of_kind = [loss for loss in losses if loss.kind == kind]
        gaps = [loss.gap(answers) for loss in of_kind]
        asked = [each for loss in of_kind for each in loss.answers(answers)]
        refused = [each.took for each in asked if each.status == 503]
        checks, good = checked(asked)
        lines.append(
            f"{kind:14}{len(gaps):6}{median(gaps):11.2f} s{max(gaps):5.2f} s{len(asked):9}"
            f"{len(refused):6}{max(refused, default=0):7.2f} s{checks:8}{good / checks:10.2%}"
        )
    return lines


def hold_the_times(losses: list[Loss], answers: list[Answered]) -> None:
    """Check how long writes rested, how soon a refusal came, and that checks went on."""
    assert median(loss.gap(answers) for loss in losses) <= GAP_SECONDS
    assert max(loss.gap(answers) for loss in losses) <= 2 * GAP_SECONDS
    assert max((each.took for each in answers if each.status == 503), default=0) <= ANSWER_SECONDS
    checks, good = checked(answers)
    assert good / checks >= CHECKS_ANSWERED


def checked(answers: Iterable[Answered]) -> tuple[int, int]:
    """Return how many checks there were, and how many of them were answered."""
    statuses = [each.status for each in answers if each.what == "check"]
    return len(statuses), statuses.count(200)
