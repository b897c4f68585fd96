"""Counted attempts: the limits on guessing passwords (security.md, section 8).

A failure counts for three keys: the name that was tried, the address that the try came from, and
all tries together. After too many failures a key is blocked for a while. Further failures make that
time longer. Names that no user has are counted too, so that a refusal does not tell whether a name
exists. `docs/decisions/0012-counted-attempts.md` explains the rules.
"""

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal, Self, TypeAlias, TypeVarTuple

from gatelodge.audit import AuditLog, Event, Origin, nobody_known
from gatelodge.clock import Clock
from gatelodge.credentials.hashing_pool import HashingPool, Place
from gatelodge.credentials.lines import Lines
from gatelodge.credentials.refusals import HashingBusy, TooManyAttempts
from gatelodge.credentials.store import AttemptStore, Limit, Reservation
from gatelodge.errors import Refusal
from gatelodge.hang_up import ended_by_hang_up
from gatelodge.ids import UserId

Ts = TypeVarTuple("Ts")

OnSuccess: TypeAlias = Literal["keep", "forget", "count"]

HARD_STOP = 100
"""Consecutive failures after which a name is blocked (NIST SP 800-63B-4, section 3.2.2)."""

_CODES = (
    Limit(5, first_wait=timedelta(minutes=5), doubles_after=5, hard_stop=HARD_STOP),
    Limit(10, timedelta(hours=1), first_wait=None),
    Limit(25, timedelta(days=1), first_wait=None, longest_wait=timedelta(days=1)),
)
"""How many codes of second factors may be wrong, for one user (security.md, section 8).

At most 20 in any hour, and 50 in any 24 hours: these may be the end of one period and the beginning
of the next, so each period allows half of them.
"""

KNOWN_BY = ("aal1", "aal2")
"""What somebody who proves a second factor is known by: a session of one factor, or of two.

All sessions of a level are counted together, so there are few tries, however many sessions there
are; and whoever has only proved the password does not use up the tries of who has proved both.
"""

_ASK_AGAIN_SECONDS = 0.05
"""How often the first of a line asks the store for a try; another process may have ended one."""

_PATIENCE_SECONDS = 5.0
"""How long a try waits while too many others of its keys are in progress."""

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
        letter: letters that were asked for from one address.
    """

    account: Limit
    address: Limit
    everybody: Limit
    sign_up: Limit
    letter: Limit

    @classmethod
    def of(cls, *, account: int, address: int, everybody: int, sign_ups: int) -> Self:
        """Return limits with these numbers of tries; 0 turns a limit off."""
        return cls(
            account=Limit(account, hard_stop=HARD_STOP),
            # Many people share these keys: the wait grows more slowly.
            address=Limit(address, doubles_after=address or 1),
            everybody=Limit(everybody, doubles_after=everybody or 1),
            sign_up=Limit(sign_ups, period=timedelta(hours=1), first_wait=None),
            letter=Limit(sign_ups, period=timedelta(hours=1), first_wait=None),
        )


@dataclass(frozen=True, slots=True)
class _Counter:
    """A key that failures are counted for.

    Attributes:
        key: the kind and the value, such as `address:192.0.2.7`.
        limit: how many failures are allowed.
        reserves: whether each try is reserved before its check. Else the limit may be exceeded by
            the tries that are in progress when it is reached.
        on_success: what a success does with the counted failures: it leaves them as they are
            (`keep`), deletes them (`forget`), or counts as one more, because a second factor must
            still complete it (`count`).
    """

    key: str
    limit: Limit
    reserves: bool = True
    on_success: OnSuccess = "keep"


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
    """A try that has a place in the hashing pool, and a reservation for each key that needs one."""

    def __init__(self, store: AttemptStore, counted: Sequence[_Counter]) -> None:
        """Prepare the try; nothing is reserved yet."""
        self._store = store
        self._counted = counted
        self._reserved: dict[str, Reservation] = {}
        self._place: Place | None = None

    def give_up(self) -> bool:
        """Keep the check from beginning. Return False if it has begun."""
        return self._place is None or self._place.give_up()

    async def enter(self, pool: HashingPool | None, at: datetime) -> dict[str, timedelta]:
        """Take a place, and reserve the try. Return the keys that refuse it; empty: it may begin.

        Args:
            pool: where the check runs; None: it needs no place.
            at: the current time.

        Raises:
            HashingBusy: the pool's queue is full.
        """
        # First: when the pool is full, nothing is written.
        self._place = pool.take() if pool is not None else None
        wanted = [each for each in self._counted if each.reserves]
        self._reserved = {each.key: Reservation(each.key) for each in wanted}
        waits = await asyncio.gather(
            *(self._store.reserve(self._reserved[each.key], each.limit, at) for each in wanted)
        )
        refused = {
            each.key: wait for each, wait in zip(wanted, waits, strict=True) if wait is not None
        }
        if refused:
            for key in refused:
                del self._reserved[key]
            await self._leave()
        return refused

    async def run(self, check: Callable[[*Ts], bool], *args: *Ts) -> bool:
        """Return whether the check succeeds, which runs on a thread of the pool."""
        assert self._place is not None, "the try was not admitted"  # noqa: S101
        return await self._place.run(check, *args)

    async def end(self, right: bool, at: datetime) -> None:
        """Count the outcome of the check."""
        await (self._succeed(at) if right else self._fail(at))

    async def _succeed(self, at: datetime) -> None:
        """End the reservations, and do with each key what a success does with it."""
        ended, self._reserved = self._reserved, {}
        await asyncio.gather(
            *(
                self._store.count_failure(each.key, each.limit, at, ended[each.key])
                if each.on_success == "count"
                else self._store.give_back(ended[each.key], forget=each.on_success == "forget")
                for each in self._counted
                if each.key in ended
            )
        )

    async def _fail(self, at: datetime) -> None:
        """Count a failure for every key of the try, which ends the reservations."""
        ended, self._reserved = self._reserved, {}
        await asyncio.gather(
            *(
                self._store.count_failure(each.key, each.limit, at, ended.get(each.key))
                for each in self._counted
            )
        )

    async def abandon(self, error: BaseException, at: datetime) -> None:
        """End a try without an outcome. It counts as failed if its check goes on without it."""
        begun = self._place is not None and self._place.has_begun
        with contextlib.suppress(Refusal):  # else the reservations lapse by themselves
            if begun and self._reserved and isinstance(error, asyncio.CancelledError):
                await self._fail(at)
            await self._leave()

    async def _leave(self) -> None:
        """Free the place, and give back what is reserved."""
        if self._place is not None:
            self._place.leave()
            self._place = None
        ended, self._reserved = self._reserved, {}
        await asyncio.gather(*(self._store.give_back(each) for each in ended.values()))


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
        lines: the tries of this process that want to be admitted, by key.
    """

    store: AttemptStore
    audit: AuditLog
    clock: Clock
    limits: AttemptLimits
    key: bytes = field(repr=False)
    lines: Lines = field(default_factory=Lines)

    def by_name(
        self, username_key: str, origin: Origin, *, on_success: OnSuccess = "forget"
    ) -> Try:
        """Return a try to sign in with a name; it counts for name, address and everybody.

        Args:
            username_key: the folded name; a user need not exist.
            origin: where the try comes from.
            on_success: what a success does with the failures of the name.
        """
        name = f"account:{self.hash_of(username_key)}"
        counted = [_Counter(name, self.limits.account, on_success=on_success)]
        if place := place_of(origin.address):
            counted.append(_Counter(f"address:{place}", self.limits.address))
        counted.append(_Counter(_EVERYBODY, self.limits.everybody, reserves=False))
        return Try([each for each in counted if each.limit.tries], origin)

    def by_user(
        self,
        user_id: UserId,
        known_by: str,
        origin: Origin,
        *,
        on_success: OnSuccess = "forget",
    ) -> Try:
        """Return a try of a user who is known already; failures of strangers do not block it.

        Args:
            user_id: the user whose password is tried.
            known_by: the session id, the address or the browser by which the user is known.
            origin: where the try comes from.
            on_success: what a success does with the failures that were counted.
        """
        counted = _Counter(
            f"known:{user_id}:{known_by}", self.limits.account, on_success=on_success
        )
        return Try([counted] if counted.limit.tries else [], origin)

    def by_factor(self, user_id: UserId, known_by: str | None, origin: Origin) -> Try:
        """Return a try to prove a second factor by a code.

        Codes that strangers try do not count for somebody who is known. A success ends the
        shortest wait only: whoever guesses gets no more tries a day when the user signs in.

        Args:
            user_id: the user whose factor is tried.
            known_by: what the caller is known by; None: by nothing. To guess a stored factor, it
                must be one of `KNOWN_BY`: whoever can sign in by the password alone, as in a
                remembered browser, opens as many sessions as they like, and must not get new tries
                by each.
            origin: where the try comes from.
        """
        of = f"factor:{user_id}" if known_by is None else f"factor-known:{user_id}:{known_by}"
        return Try(
            [
                _Counter(
                    f"{of}:{_minutes(each)}",
                    each,
                    on_success="forget" if each is _CODES[0] else "keep",
                )
                for each in _CODES
            ],
            origin,
        )

    def hash_of(self, name: str) -> str:
        """Return the keyed hash of a name, for the store and the log: 32 hexadecimal digits."""
        digest = hmac.digest(self.key, name.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return digest[:16].hex()

    async def judge(
        self, wanted: Try, pool: HashingPool, check: Callable[[*Ts], bool], *args: *Ts
    ) -> bool:
        """Make a try: run the check on a thread of the pool, and count its outcome.

        The try is reserved before the check begins. So a thousand guesses that are sent at once, to
        any number of processes, are checked no more often than a thousand sent one after the other.
        A check that was not made, or could not be made, counts as nothing.

        Raises:
            TooManyAttempts: one of the keys is blocked.
            HashingBusy: the pool's queue is full, or too many tries of one key are in progress.
            HashingUnavailable: the check could not be made.
        """
        async with self._trying(wanted) as attempt:
            async with ended_by_hang_up(attempt.give_up):
                await self._admit(attempt, wanted, pool)
                right = await attempt.run(check, *args)
            await attempt.end(right, self.clock.now())
        return right

    async def judge_code(self, wanted: Try, check: Callable[[], Awaitable[bool]]) -> bool:
        """Make a try whose check needs no hash, and count its outcome; otherwise as `judge`.

        Raises:
            TooManyAttempts: one of the keys is blocked.
            HashingBusy: too many tries of one key are in progress.
        """
        async with self._trying(wanted) as attempt:
            await self._admit(attempt, wanted, None)
            right = await check()
            await attempt.end(right, self.clock.now())
        return right

    @contextlib.asynccontextmanager
    async def _trying(self, wanted: Try) -> AsyncIterator[Attempt]:
        """Yield a try, and abandon it if the block raises."""
        attempt = Attempt(self.store, wanted.counted)
        try:
            yield attempt
        except BaseException as error:
            # A task of its own: this one may be cancelled a second time.
            await asyncio.shield(asyncio.create_task(attempt.abandon(error, self.clock.now())))
            raise

    async def _admit(self, attempt: Attempt, wanted: Try, pool: HashingPool | None) -> None:
        """Let the try enter. It waits while as many tries of a key are in progress as may fail.

        Of each key, one try of this process enters at a time; so a burst of tries of one key takes
        no places in the pool that others need.
        """
        keys = [each.key for each in wanted.counted if each.reserves]
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), contextlib.AsyncExitStack() as lines:
                for key in keys:  # always name before address: nobody waits in a circle
                    await lines.enter_async_context(self.lines.first(key))
                while not await self._enter(attempt, wanted, pool):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
        except TimeoutError:
            raise HashingBusy(retry_after=1) from None

    async def _enter(self, attempt: Attempt, wanted: Try, pool: HashingPool | None) -> bool:
        """Let the try enter. Return False if too many tries of a key are in progress.

        The blocked keys are read first, because a read costs less than a reservation.
        """
        await self._refuse_blocked(wanted)
        refused = await attempt.enter(pool, self.clock.now())
        for each in wanted.counted:
            if wait := refused.get(each.key):
                raise self._refusal(wanted, each, wait)
        return not refused

    async def count_sign_up(self, origin: Origin) -> None:
        """Count a sign-up for its address.

        Raises:
            TooManyAttempts: the limit of sign-ups from this address within an hour is reached.
        """
        await self._count("sign-up", self.limits.sign_up, origin)

    async def count_letter(self, origin: Origin) -> None:
        """Count that somebody asks for a letter, for their address.

        Raises:
            TooManyAttempts: the limit of letters asked for from this address within an hour is
                reached. It is that of sign-ups.
        """
        await self._count("letter", self.limits.letter, origin)

    async def _count(self, kind: str, limit: Limit, origin: Origin) -> None:
        place = place_of(origin.address)
        if not place or not limit.tries:
            return
        wanted = Try([_Counter(f"{kind}:{place}", limit)], origin)
        await self._refuse_blocked(wanted)
        at = self.clock.now()
        kept = await self.store.count_failure(wanted.counted[0].key, limit, at)
        if kept.failures > limit.tries:  # others were counted at the same moment
            raise self._refusal(wanted, wanted.counted[0], kept.wait_at(limit, at))

    async def forgive(self, username_key: str) -> bool:
        """Delete the failures of a name. Return whether there were any."""
        return await self.store.forget([self._key_of(username_key)])

    async def forgive_codes(self, user_id: UserId) -> bool:
        """Delete the wrong codes of a user's second factors. Return whether there were any."""
        return await self.store.forget(self._keys_of_codes(user_id))

    async def forgive_user(self, username_key: str, user_id: UserId, event: Event) -> bool:
        """Delete the failures of a user's name, and their wrong codes; store the event with that.

        Return whether there were any.
        """
        keys = [self._key_of(username_key), *self._keys_of_codes(user_id)]
        return await self.store.forget(keys, event)

    def _key_of(self, username_key: str) -> str:
        return f"account:{self.hash_of(username_key)}"

    def _keys_of_codes(self, user_id: UserId) -> list[str]:
        tries = [self.by_factor(user_id, each, Origin()) for each in (None, *KNOWN_BY)]
        return [each.key for wanted in tries for each in wanted.counted]

    async def forgive_address(self, address: str, event: Event) -> bool:
        """Delete the failures and sign-ups of a network address, and store the event with that.

        Return whether there were any. For an IPv6 address, those of its /64 network are deleted:
        they are counted together.
        """
        place = place_of(address)
        kinds = ("address", "sign-up", "letter")
        return await self.store.forget([f"{kind}:{place}" for kind in kinds], event)

    async def forgive_everybody(self, event: Event) -> int:
        """Delete all counted failures and sign-ups, and store the event with that.

        Return for how many keys there were any.
        """
        return await self.store.forget_all(event)

    async def sweep(self) -> int:
        """Delete the records that are not needed any more; return how many."""
        return await self.store.remove_quiet(self.clock.now())

    async def _refuse_blocked(self, wanted: Try) -> None:
        """Refuse a try if one of its keys is blocked.

        Raises:
            TooManyAttempts: it is.
        """
        if not wanted.counted:
            return
        kept = await self.store.find([each.key for each in wanted.counted])
        at = self.clock.now()
        for each in wanted.counted:
            record = kept.get(each.key)
            if record and (wait := record.wait_at(each.limit, at)):
                raise self._refusal(wanted, each, wait)

    def _refusal(self, wanted: Try, key: _Counter, wait: timedelta) -> TooManyAttempts:
        """Log that a key is blocked, and return the refusal."""
        detail = {"of": key.key.partition(":")[0]}
        by = nobody_known(wanted.origin)
        self.audit.note("attempts.limited", by, outcome="refused", detail=detail)
        return TooManyAttempts(retry_after=-(-wait // _SECOND))


def _minutes(limit: Limit) -> int:
    return limit.period // timedelta(minutes=1)


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
