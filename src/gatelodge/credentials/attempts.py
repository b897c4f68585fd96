"""Counted attempts: the limits on guessing passwords (security.md, section 8).

A failure counts for three keys: the name that was tried, the address that the try came from, and
all tries together. After too many failures a key is blocked for a while. Further failures make that
time longer. Names that no user has are counted too, so that a refusal does not tell whether a name
exists. `docs/decisions/0012-counted-attempts.md` explains the rules.
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

HARD_STOP = 100
"""Consecutive failures after which a name is blocked (NIST SP 800-63B-4, section 3.2.2)."""

_EVERYBODY = "everybody"
_SECOND = timedelta(seconds=1)
_IPV6_SITE_BITS = 64  # the prefix of an IPv6 address that one customer has


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """The limits on tries; see `Limit`.

    Attributes:
        account: failures for one name, from all addresses.
        address: failures from one address, for all names.
        everybody: all failures together.
        sign_up: sign-ups from one address; successful ones count too.
    """

    account: Limit
    address: Limit
    everybody: Limit
    sign_up: Limit

    @classmethod
    def of(cls, *, account: int, address: int, everybody: int, sign_ups: int) -> Self:
        """Return limits with these numbers of tries; 0 turns a limit off."""
        return cls(
            account=Limit(account, hard_stop=HARD_STOP),
            # Many people share these keys: the wait grows more slowly.
            address=Limit(address, doubles_after=address or 1),
            everybody=Limit(everybody, doubles_after=everybody or 1),
            sign_up=Limit(sign_ups, period=timedelta(hours=1), first_wait=None),
        )


@dataclass(frozen=True, slots=True)
class _Counter:
    """A key that failures are counted for.

    Attributes:
        key: the kind and the value, such as `address:192.0.2.7`.
        limit: how many failures are allowed.
        limits_concurrency: whether the tries in progress may not be more than the failures that
            are still allowed.
        reset_by_success: whether a success deletes the counted failures.
    """

    key: str
    limit: Limit
    limits_concurrency: bool = True
    reset_by_success: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """A try that wants to be admitted.

    Attributes:
        counted: the keys that a failure would count for.
        origin: where the try comes from.
    """

    counted: Sequence[_Counter]
    origin: Origin


class Attempt:
    """A try that was admitted and is in progress until the context ends.

    The caller reports the outcome with `fail` or `succeed`.
    """

    def __init__(
        self, guard: "AttemptGuard", counted: Sequence[_Counter], kept: Collection[str]
    ) -> None:
        """Begin the try; `kept` are the keys for which the store has failures."""
        self._guard = guard
        self._counted = counted
        self._kept = kept

    def __enter__(self) -> Self:
        """Return the attempt."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the try, so that a waiting one can be admitted."""
        self._guard.semaphore.leave([each.key for each in self._counted if each.limits_concurrency])

    async def fail(self) -> None:
        """Count a failure for every key of the try."""
        await self._guard.count(self._counted)

    async def succeed(self) -> None:
        """Delete the failures of the keys that a success resets."""
        for each in self._counted:
            if each.reset_by_success and each.key in self._kept:
                await self._guard.store.forget(each.key)


@dataclass(frozen=True, slots=True)
class AttemptGuard:
    """Admits tries, and refuses those whose keys have too many failures.

    Attributes:
        store: keeps the failures, so that they survive a restart.
        audit: logs the tries that are refused.
        clock: tells the current time.
        limits: how many failures are allowed.
        key: the HMAC key for names. Names are stored and logged only as a keyed hash, because a
            name that no user has may be a password, typed into the wrong field (ASVS 16.2.5).
        processes: the number of worker processes that share the store on this machine.
        semaphore: counts the tries in progress in this process.
    """

    store: AttemptStore
    audit: AuditLog
    clock: Clock
    limits: AttemptLimits
    key: bytes = field(repr=False)
    processes: int = 1
    semaphore: KeyedSemaphore = field(default_factory=KeyedSemaphore)

    def by_name(self, username_key: str, origin: Origin) -> Try:
        """Return a try to sign in with a name; it counts for name, address and everybody.

        Args:
            username_key: the folded name; a user need not exist.
            origin: where the try comes from.
        """
        name = f"account:{self.hash_of(username_key)}"
        counted = [_Counter(name, self.limits.account, reset_by_success=True)]
        if place := place_of(origin.address):
            counted.append(_Counter(f"address:{place}", self.limits.address))
        counted.append(_Counter(_EVERYBODY, self.limits.everybody, limits_concurrency=False))
        return Try([each for each in counted if each.limit.tries], origin)

    def by_user(self, user_id: UserId, known_by: str, origin: Origin) -> Try:
        """Return a try of a user who is known already; failures of strangers do not block it.

        Args:
            user_id: the user whose password is tried.
            known_by: the session id or the address by which the user is known.
            origin: where the try comes from.
        """
        counted = _Counter(
            f"known:{user_id}:{known_by}", self.limits.account, reset_by_success=True
        )
        return Try([counted] if counted.limit.tries else [], origin)

    def hash_of(self, name: str) -> str:
        """Return the keyed hash of a name, for the store and the log: 32 hexadecimal digits."""
        digest = hmac.digest(self.key, name.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return digest[:16].hex()

    async def begin(self, wanted: Try) -> Attempt:
        """Admit a try, waiting while too many tries of one of its keys are in progress.

        The tries in progress are never more than the failures that are still allowed, divided by
        the number of processes. So a thousand guesses sent at once are checked hardly more often
        than a thousand guesses sent one after the other.

        Raises:
            TooManyAttempts: one of the keys is blocked.
            HashingBusy: too many tries wait for one of the keys.
        """
        waited_for: str | None = None
        while True:
            try:
                entered = await self._try_to_enter(wanted)
            except BaseException:
                self.semaphore.wake(waited_for)
                raise
            if isinstance(entered, Attempt):
                return entered
            if entered != waited_for:
                self.semaphore.wake(waited_for)  # the next one may not need the key that is full
            await self.semaphore.wait(entered)
            waited_for = entered

    async def _try_to_enter(self, wanted: Try) -> Attempt | str:
        """Admit a try, or return the key whose limit of tries in progress is reached."""
        kept = await self._refuse_blocked(wanted)
        full = self._find_full_key(wanted, kept)
        if full is not None:
            return full
        self.semaphore.enter([each.key for each in wanted.counted if each.limits_concurrency])
        return Attempt(self, wanted.counted, kept)

    async def count(self, counted: Sequence[_Counter]) -> None:
        """Count a failure for each of these keys."""
        at = self.clock.now()
        await asyncio.gather(
            *(self.store.count_failure(each.key, each.limit, at) for each in counted)
        )

    async def count_sign_up(self, origin: Origin) -> None:
        """Count a sign-up for its address.

        Raises:
            TooManyAttempts: the limit of sign-ups from this address within an hour is reached.
        """
        place, limit = place_of(origin.address), self.limits.sign_up
        if not place or not limit.tries:
            return
        wanted = Try([_Counter(f"sign-up:{place}", limit)], origin)
        await self._refuse_blocked(wanted)
        at = self.clock.now()
        kept = await self.store.count_failure(wanted.counted[0].key, limit, at)
        if kept.failures > limit.tries:  # others were counted at the same moment
            raise self._refusal(wanted, wanted.counted[0], _remaining_wait(kept, limit, at))

    async def forgive(self, username_key: str) -> bool:
        """Delete the failures of a name. Return whether there were any."""
        return await self.store.forget(f"account:{self.hash_of(username_key)}")

    async def sweep(self) -> int:
        """Delete the records that are not needed any more; return how many."""
        return await self.store.remove_quiet(self.clock.now())

    async def _refuse_blocked(self, wanted: Try) -> dict[str, Attempts]:
        """Return the stored failures, by key.

        Raises:
            TooManyAttempts: one of the keys is blocked.
        """
        if not wanted.counted:
            return {}
        kept = await self.store.find([each.key for each in wanted.counted])
        at = self.clock.now()
        for each in wanted.counted:
            wait = _remaining_wait(kept.get(each.key), each.limit, at)
            if wait > timedelta(0):
                raise self._refusal(wanted, each, wait)
        return kept

    def _refusal(self, wanted: Try, key: _Counter, wait: timedelta) -> TooManyAttempts:
        """Log that a key is blocked, and return the refusal."""
        detail = {"of": key.key.partition(":")[0]}
        by = nobody_known(wanted.origin)
        self.audit.note("attempts.limited", by, outcome="refused", detail=detail)
        return TooManyAttempts(retry_after=-(-wait // _SECOND))

    def _find_full_key(self, wanted: Try, kept: dict[str, Attempts]) -> str | None:
        """Return a key whose limit of tries in progress is reached, or None.

        The limit is the number of failures that are still allowed, divided by the number of
        processes, but at least one.
        """
        at = self.clock.now()
        for each in wanted.counted:
            record = kept.get(each.key)
            left = each.limit.tries - (record.failures_at(at) if record else 0)
            most = max(1, left // self.processes)
            if each.limits_concurrency and self.semaphore.inside(each.key) >= most:
                return each.key
        return None


def place_of(address: str) -> str:
    """Return the key of a network address: an IPv4 address, or the /64 network of an IPv6 address.

    Empty for loopback, and for text that is no address: with a proxy on this machine that the
    settings do not name, all requests come from loopback.
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
        return str(ip_network((ip.packed, _IPV6_SITE_BITS), strict=False))
    return str(ip)


def _remaining_wait(kept: Attempts | None, limit: Limit, at: datetime) -> timedelta:
    """Return how long a key is still blocked; after the hard stop, always the longest wait."""
    if kept is None:
        return timedelta(0)
    stopped = limit.hard_stop and kept.streak >= limit.hard_stop
    return max(kept.blocked_until - at, limit.longest_wait if stopped else timedelta(0))
