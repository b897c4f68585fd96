"""How things stand: the figures with which the console begins."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from gatelodge import __version__
from gatelodge.accounts.permissions import EVENTS_READ, LETTERS_MANAGE, SETTINGS_READ
from gatelodge.accounts.search import Count
from gatelodge.admin.authority import Administrator
from gatelodge.admin.kept import Kept
from gatelodge.admin.letters import count_letters
from gatelodge.clock import Clock
from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.doctor.findings import Finding
from gatelodge.doctor.service import examine_running
from gatelodge.gate.feed import FeedState
from gatelodge.master_key import MasterKey
from gatelodge.sessions.service import SessionService
from gatelodge.settings import Settings
from gatelodge.stores import Stores
from gatelodge.tallies import TallyService

DAYS = 30
"""Of how many days there are figures, today included."""

SIGN_INS = ("session.opened",)
FAILURES = ("sign_in.failed",)
REFUSALS = ("attempts.limited", "request.refused")
"""The events that are counted, by what they mean here."""

_KEPT = timedelta(seconds=10)
_KEPT_FINDINGS = timedelta(minutes=1)
_KEPT_CLOSED_DAYS = timedelta(hours=1)
"""Of days that are over: only a deletion changes how many users were made then."""


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day (UTC).

    Attributes:
        day: the day.
        new_users: how many users were made who still exist.
        sign_ins: how often somebody signed in; None: not for whoever looks.
        failures: how many sign-ins failed, likewise.
        refusals: how many requests were refused, or had to wait, likewise.
    """

    day: date
    new_users: int
    sign_ins: int | None = None
    failures: int | None = None
    refusals: int | None = None


@dataclass(frozen=True, slots=True)
class LetterCounts:
    """How many letters wait, and how many were given up in the last days."""

    waiting: Count
    given_up: Count


@dataclass(frozen=True, slots=True)
class ServerState:
    """How the process that answers is doing.

    Attributes:
        version: the version of Gatelodge.
        database: what kind of database it uses.
        hash_threads: how many passwords it hashes at once at most.
        hash_running: how many it hashes now.
        hash_waiting: how many wait for that.
        feed: whether it is told of changes, and answers from memory.
        findings: what the doctor remarks, the worst first; None: it is still looking.
    """

    version: str
    database: Literal["sqlite", "mongodb"]
    hash_threads: int
    hash_running: int
    hash_waiting: int
    feed: FeedState
    findings: Sequence[Finding] | None


@dataclass(frozen=True, slots=True)
class Overview:
    """How things stand.

    Attributes:
        users: how many users there are; None: they are still being counted.
        sessions: how many sessions sign somebody in, likewise.
        days: the last days, the oldest first.
        letters: None: not for whoever looks.
        server: None: not for whoever looks.
    """

    users: Count | None
    sessions: Count | None
    days: list[Day]
    letters: LetterCounts | None
    server: ServerState | None


class OverviewAdministration:
    """Shows administrators how things stand. Each process keeps the figures for a few seconds."""

    def __init__(
        self,
        stores: Stores,
        tallies: TallyService,
        sessions: SessionService,
        pool: HashingPool,
        settings: Settings,
        secret: MasterKey,
        clock: Clock,
    ) -> None:
        """Prepare the figures; nothing is read yet.

        Args:
            stores: the stores.
            tallies: knows how often events happened.
            sessions: counts the sessions.
            pool: hashes the passwords of this process.
            settings: the settings in force.
            secret: the secret key, for the doctor.
            clock: tells the current time.
        """
        self._stores = stores
        self._pool = pool
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._users = Kept(stores.users.count_users, _KEPT, clock)
        self._sessions = Kept(sessions.count, _KEPT, clock)
        self._today = Kept(self._find_today, _KEPT, clock)
        self._closed = self._keep_closed()
        self._closed_before = self._today_is()
        self._tallied = tallies
        self._tallies = Kept(self._find_tallies, _KEPT, clock)
        self._letters = Kept(self._find_letters, _KEPT, clock)
        self._findings = Kept(self._find_findings, _KEPT_FINDINGS, clock)

    async def show(self, by: Administrator) -> Overview:
        """Return how things stand, as far as somebody may see it who may see users.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        may = by.rights.permissions
        users, sessions, days, letters, server = await asyncio.gather(
            self._users.soon(),
            self._sessions.soon(),
            self._find_days(with_tallies=EVENTS_READ in may),
            self._letters.get() if LETTERS_MANAGE in may else _nothing(),
            self._find_server() if SETTINGS_READ in may else _nothing(),
        )
        return Overview(users, sessions, days, letters, server)

    async def count_sessions(self) -> Count | None:
        """Return how many sessions sign somebody in, or None if they are still being counted."""
        return await self._sessions.soon()

    async def close(self) -> None:
        """Stop finding out."""
        for each in (
            self._users,
            self._sessions,
            self._today,
            self._closed,
            self._tallies,
            self._letters,
            self._findings,
        ):
            await each.close()

    async def _find_days(self, *, with_tallies: bool) -> list[Day]:
        if self._closed_before != self._today_is():  # a day is over
            self._closed, self._closed_before = self._keep_closed(), self._today_is()
        made = await self._closed.get() | await self._today.get()
        told = await self._tallies.get() if with_tallies else None
        return [_day(each, made.get(each, 0), told) for each in self._days()]

    async def _find_today(self) -> dict[date, int]:
        """Return how many users were made today."""
        return await self._count_created(self._days()[-1:])

    async def _find_closed(self) -> dict[date, int]:
        """Return how many users were made on the days before."""
        return await self._count_created(self._days()[:-1])

    async def _count_created(self, days: Sequence[date]) -> dict[date, int]:
        bounds = [_midnight(each) for each in (*days, days[-1] + timedelta(days=1))]
        return dict(zip(days, await self._stores.users.count_created(bounds), strict=True))

    async def _find_tallies(self) -> Mapping[date, Mapping[str, int]]:
        days = self._days()
        return await self._tallied.list_days(days[0], days[-1])

    async def _find_letters(self) -> LetterCounts:
        letters = self._stores.letters
        return LetterCounts(
            await count_letters(letters, "waiting"), await count_letters(letters, "given_up")
        )

    async def _find_server(self) -> ServerState:
        return ServerState(
            version=__version__,
            database="sqlite" if self._settings.is_file else "mongodb",
            hash_threads=self._pool.threads,
            hash_running=self._pool.running,
            hash_waiting=self._pool.waiting,
            feed=self._stores.feed.state(),
            findings=await self._findings.soon(),
        )

    async def _find_findings(self) -> list[Finding]:
        return await examine_running(
            self._stores, self._settings, self._secret, self._clock, os.environ
        )

    def _keep_closed(self) -> Kept[dict[date, int]]:
        return Kept(self._find_closed, _KEPT_CLOSED_DAYS, self._clock)

    def _today_is(self) -> date:
        return self._clock.now().date()

    def _days(self) -> list[date]:
        today = self._today_is()
        return [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]


async def _nothing() -> None:
    """Return nothing."""


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _day(day: date, new_users: int, told: Mapping[date, Mapping[str, int]] | None) -> Day:
    if told is None:
        return Day(day, new_users)
    counts = told.get(day, {})
    sign_ins, failures, refusals = (
        sum(counts.get(name, 0) for name in names) for names in (SIGN_INS, FAILURES, REFUSALS)
    )
    return Day(day, new_users, sign_ins, failures, refusals)
