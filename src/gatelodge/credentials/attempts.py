"""Counted attempts: how often a password may be guessed (security.md, section 8).

A failure counts for the name that was tried, for the address it came from, and for everybody
together. Who has failed too often waits, each time twice as long. Names that nobody has are
counted like those of users, so that a refusal tells nothing.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from types import TracebackType
from typing import Self

from gatelodge.audit import AuditLog, Origin, nobody_known
from gatelodge.clock import Clock
from gatelodge.credentials.keyed_semaphore import KeyedSemaphore
from gatelodge.credentials.refusals import TooManyAttempts
from gatelodge.credentials.store import Attempts, AttemptStore, Limit
from gatelodge.ids import UserId

FULL_STOP = 100
"""Failures without a success between them that end it (NIST SP 800-63B-4, section 3.2.2)."""

_EVERYBODY = "everybody"
_SECOND = timedelta(seconds=1)
_SITE_BITS = 64  # of an IPv6 address: what one customer has


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How many tries may fail; see `Limit`.

    Attributes:
        account: for one name, wherever they come from.
        address: from one address, whatever the names.
        everybody: all together.
        sign_up: sign-ups from one address, failed or not.
    """

    account: Limit
    address: Limit
    everybody: Limit
    sign_up: Limit

    @classmethod
    def of(cls, *, account: int, address: int, everybody: int, sign_ups: int) -> Self:
        """Return the limits with these numbers of tries, of which 0 turns one off."""
        return cls(
            account=Limit(account, full_stop=FULL_STOP),
            address=Limit(address, again=address or 1),  # many people may share it
            everybody=Limit(everybody, again=everybody or 1),
            sign_up=Limit(sign_ups, period=timedelta(hours=1), first_wait=None),
        )


@dataclass(frozen=True, slots=True)
class _Key:
    """A key that failures count for.

    Attributes:
        in_turns: whether no more are let in at a time than may still fail.
        forgiven: whether a success makes up for what had failed.
    """

    key: str
    limit: Limit
    in_turns: bool = True
    forgiven: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """What a try counts for, and where it comes from."""

    counted: Sequence[_Key]
    origin: Origin


class Attempt:
    """A try that was let in, while the context lasts; say how it went."""

    def __init__(
        self, guard: "AttemptGuard", counted: Sequence[_Key], kept: Collection[str]
    ) -> None:
        """Begin it; for the keys in `kept` something had failed."""
        self._guard = guard
        self._counted = counted
        self._kept = kept

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Make room for the next one."""
        self._guard.turns.leave([each.key for each in self._counted if each.in_turns])

    async def fail(self) -> None:
        """Count a failure, for every key."""
        await self._guard.count(self._counted)

    async def succeed(self) -> None:
        """Forget what a success makes up for."""
        for each in self._counted:
            if each.forgiven and each.key in self._kept:
                await self._guard.store.forget(each.key)


@dataclass(frozen=True, slots=True)
class AttemptGuard:
    """Let tries in, and refuse whoever has failed too often.

    Attributes:
        store: keeps what failed, so that it survives a restart.
        key: under which names are kept and logged, since one that nobody has may be a password
            that slipped into the wrong field (ASVS 16.2.5).
        processes: that share the store on this machine.
    """

    store: AttemptStore
    audit: AuditLog
    clock: Clock
    limits: AttemptLimits
    key: bytes = field(repr=False)
    processes: int = 1
    turns: KeyedSemaphore = field(default_factory=KeyedSemaphore)

    def by_name(self, username_key: str, origin: Origin) -> Try:
        """Return what a try to sign in by this name counts for."""
        name = f"account:{self.hash_of(username_key)}"
        counted = [_Key(name, self.limits.account, forgiven=True)]
        if place := place_of(origin.address):
            counted.append(_Key(f"address:{place}", self.limits.address))
        counted.append(_Key(_EVERYBODY, self.limits.everybody, in_turns=False))
        return Try([each for each in counted if each.limit.tries], origin)

    def by_user(self, user_id: UserId, known_by: str, origin: Origin) -> Try:
        """Return what a try counts for by somebody whom we know, and no stranger locks out.

        Args:
            user_id: whom we take them for.
            known_by: the session or the place that we know them by.
            origin: where the try comes from.
        """
        counted = _Key(f"known:{user_id}:{known_by}", self.limits.account, forgiven=True)
        return Try([counted] if counted.limit.tries else [], origin)

    def hash_of(self, name: str) -> str:
        """Return by what a name is kept and logged: 128 bits in hexadecimal digits."""
        digest = hmac.digest(self.key, name.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return digest[:16].hex()

    async def begin(self, wanted: Try) -> Attempt:
        """Let a try in, which counts while it lasts and says itself how it went.

        No more are under way at a time than may still fail, divided among the processes: who comes
        with a thousand guesses at once has hardly more of them looked at than one after the other.

        Raises:
            TooManyAttempts: too many have failed.
            HashingBusy: too many wait for their turn.
        """
        waited_for: str | None = None
        while True:
            try:
                entered = await self._enter(wanted)
            except BaseException:
                self.turns.wake(waited_for)
                raise
            if isinstance(entered, Attempt):
                return entered
            if entered != waited_for:
                self.turns.wake(waited_for)  # there is room for somebody who needs no other key
            await self.turns.wait(entered)
            waited_for = entered

    async def _enter(self, wanted: Try) -> Attempt | str:
        """Let a try in, or return a key for which no one else may try at this moment."""
        kept = await self._refuse_blocked(wanted)
        full = self._first_full(wanted, kept)
        if full is not None:
            return full
        self.turns.enter([each.key for each in wanted.counted if each.in_turns])
        return Attempt(self, wanted.counted, kept)

    async def count(self, counted: Sequence[_Key]) -> None:
        """Count a failure for every key."""
        at = self.clock.now()
        await asyncio.gather(
            *(self.store.count_failure(each.key, each.limit, at) for each in counted)
        )

    async def count_sign_up(self, origin: Origin) -> None:
        """Count a sign-up for the address it comes from.

        Raises:
            TooManyAttempts: so many have come from there within the hour.
        """
        place, limit = place_of(origin.address), self.limits.sign_up
        if not place or not limit.tries:
            return
        wanted = Try([_Key(f"sign-up:{place}", limit)], origin)
        await self._refuse_blocked(wanted)
        at = self.clock.now()
        kept = await self.store.count_failure(wanted.counted[0].key, limit, at)
        if kept.failures > limit.tries:  # of many at once, some come too late
            raise self._refusal(wanted, wanted.counted[0], _wait(kept, limit, at))

    async def forgive(self, username_key: str) -> bool:
        """Forget what has failed for a name. True when there was something."""
        return await self.store.forget(f"account:{self.hash_of(username_key)}")

    async def sweep(self) -> int:
        """Forget what is of no more use; say how many records."""
        return await self.store.remove_quiet(self.clock.now())

    async def _refuse_blocked(self, wanted: Try) -> dict[str, Attempts]:
        """Return what is kept of each key.

        Raises:
            TooManyAttempts: one of them has to wait.
        """
        if not wanted.counted:
            return {}
        kept = await self.store.find([each.key for each in wanted.counted])
        at = self.clock.now()
        for each in wanted.counted:
            wait = _wait(kept.get(each.key), each.limit, at)
            if wait > timedelta(0):
                raise self._refusal(wanted, each, wait)
        return kept

    def _refusal(self, wanted: Try, key: _Key, wait: timedelta) -> TooManyAttempts:
        """Return the refusal of a try whose key has to wait, and log it."""
        detail = {"of": key.key.partition(":")[0]}
        by = nobody_known(wanted.origin)
        self.audit.note("attempts.limited", by, outcome="refused", detail=detail)
        return TooManyAttempts(retry_after=-(-wait // _SECOND))

    def _first_full(self, wanted: Try, kept: dict[str, Attempts]) -> str | None:
        """Return a key for which no one else may try at this moment, or None.

        As many may try at a time as may still fail, divided among the processes; at least one.
        """
        at = self.clock.now()
        for each in wanted.counted:
            record = kept.get(each.key)
            left = each.limit.tries - (record.lately(at) if record else 0)
            if each.in_turns and self.turns.inside(each.key) >= max(1, left // self.processes):
                return each.key
        return None


def place_of(address: str) -> str:
    """Return what an address is counted by: itself, or the /64 that an IPv6 address is in.

    Nothing for the machine itself, and for what is no address: from there everybody seems to come
    where a proxy was not named in the settings.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return ""
    if isinstance(ip, IPv6Address):
        return str(ip_network((ip.packed, _SITE_BITS), strict=False))
    return str(ip)


def _wait(kept: Attempts | None, limit: Limit, at: datetime) -> timedelta:
    """Return how long nothing may be tried; at the full stop, always a while longer."""
    if kept is None:
        return timedelta(0)
    stopped = limit.full_stop and kept.streak >= limit.full_stop
    return max(kept.blocked_until - at, limit.longest_wait if stopped else timedelta(0))
