"""Tells functions of an application what has happened."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

from gatelodge.audit import SERVER, AuditLog, Event
from gatelodge.clock import Clock
from gatelodge.errors import OutcomeUnknown, Refusal, StoreUnavailable
from gatelodge.notification import Notification
from gatelodge.subscriptions.refusals import UnknownEvent
from gatelodge.subscriptions.store import Message, Subscription, SubscriptionStore
from gatelodge.tasks import WAITS, attempt, end, is_being_cancelled, repeat, start
from gatelodge.verdicts import MAX_NAME, is_meant

Handler: TypeAlias = Callable[[Notification], Awaitable[object]]
"""A function that is told of an event. If it raises an exception, it is told again later."""

TOLD = frozenset(
    {
        "attempts.forgiven",
        "browser.forgotten",
        "browser.remembered",
        "database.restored",
        "events.blanked",
        "factor.added",
        "factor.removed",
        "factor.renamed",
        "factors.reset",
        "impersonation.began",
        "impersonation.ended",
        "letter.given_up",
        "letter.retried",
        "password.changed",
        "password.letter_sent",
        "password.required",
        "password.reset",
        "recovery_code.used",
        "recovery_codes.made",
        "refresh_token.reused",
        "role.created",
        "role.deleted",
        "role.described",
        "role.forbidden",
        "role.granted",
        "role.permitted",
        "role.taken_from_all",
        "role.withdrawn",
        "session.ended",
        "session.ended_everywhere",
        "session.opened",
        "signing_key.added",
        "signing_key.retired",
        "user.created",
        "user.deleted",
        "user.disabled",
        "user.email_changed",
        "user.email_restored",
        "user.email_unverified",
        "user.email_verified",
        "user.enabled",
        "user.renamed",
        "user.signed_up",
        "user.unlocked",
    }
)
"""The names of the events that one can subscribe to."""

HANDLER_TIME = timedelta(seconds=60)
"""How long a function that is awaited may take."""

CLAIM = timedelta(seconds=90)
"""How long a claim holds, unless it is renewed. Whoever dies meanwhile lets go of it."""

RENEWED_EVERY = timedelta(seconds=30)

MAX_CLAIMS = 50
"""A message that was claimed more often is given up: it seems to kill whatever tells it."""

LOOKS_EVERY = timedelta(seconds=1)
SEEN_EVERY = timedelta(minutes=10)
"""How often a process says that its functions are still there."""

FORGOTTEN_AFTER = timedelta(days=7)
"""How long messages wait for a function that no process has any more."""


@dataclass(frozen=True, slots=True)
class SubscriptionService:
    """Tells functions of an application what has happened, each event at least once.

    Attributes:
        store: the subscriptions and messages.
        audit: records what is given up.
        clock: what time it is.
    """

    store: SubscriptionStore
    audit: AuditLog
    clock: Clock

    async def subscribe(self, events: Mapping[str, tuple[str, ...]]) -> None:
        """Subscribe, or say that the functions are still there.

        Args:
            events: the names of the events, by the name of each function.
        """
        at = self.clock.now()
        for name, wanted in events.items():
            await self.store.put(Subscription(name, wanted, at))

    @contextlib.asynccontextmanager
    async def telling(
        self,
        handlers: Mapping[str, Handler],
        events: Mapping[str, tuple[str, ...]],
        *,
        waits: bool = True,
    ) -> AsyncIterator[None]:
        """Subscribe, and tell the functions until the context ends; a failure is logged.

        Args:
            handlers: the functions by their names.
            events: the names of the events, by the name of each function.
            waits: whether the context begins when they are subscribed. A server that is to start
                while the database confirms nothing does not wait.
        """
        known = False

        async def subscribe() -> None:
            nonlocal known
            await self.subscribe(events)
            known = True

        def pause() -> timedelta:
            return SEEN_EVERY if known else LOOKS_EVERY

        if waits:
            await attempt(subscribe)
        again = asyncio.create_task(repeat(subscribe, pause, at_once=not waits))
        try:
            async with self.draining(lambda: handlers):
                yield
        finally:
            await end(again)

    @contextlib.asynccontextmanager
    async def draining(self, handlers: Callable[[], Mapping[str, Handler]]) -> AsyncIterator[None]:
        """Tell functions until the context ends; a slow one keeps no other one waiting.

        Args:
            handlers: returns the functions by their names.
        """
        working: dict[str, asyncio.Task[None]] = {}

        async def look() -> None:
            idle = {
                name: handler
                for name, handler in handlers().items()
                if name not in working or working[name].done()
            }
            while name := await self._find_due(idle):
                working[name] = start(partial(self._drain, name, idle.pop(name)))

        looking = asyncio.create_task(repeat(look, LOOKS_EVERY, at_once=True))
        try:
            yield
        finally:
            await end(looking)
            await end(*working.values())

    async def _drain(self, name: str, handler: Handler) -> None:
        """Tell a function all that is due. While the database is away, it comes again."""
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
            while await self.tell_next({name: handler}):
                pass

    async def tell_next(self, handlers: Mapping[str, Handler]) -> bool:
        """Tell a function what it is to be told next. False if nothing is due.

        Args:
            handlers: the functions by their names.

        Raises:
            StoreUnavailable, OutcomeUnknown: the database does not answer; the message comes again.
        """
        now = self.clock.now()
        message = await self._claim(handlers, now)
        if message is None:
            return False
        if message.claims > MAX_CLAIMS:
            await self._give_up(message)
            return True
        async with self._renewing(message) as claim:
            error = await _error_of(handlers[message.subscription], message.event)
        if error is not None:
            await self._failed(claim.message, error)
        else:
            await self.store.finish(claim.message)
        _raise_if_cancelled()
        return True

    async def _find_due(self, handlers: Mapping[str, Handler]) -> str | None:
        """Return the name of a function that is to be told something, or None."""
        if not handlers:
            return None
        now = self.clock.now()
        with contextlib.suppress(StoreUnavailable):
            return await self.store.find_due(handlers.keys(), now, latest=_latest(now))
        return None

    async def _claim(self, handlers: Mapping[str, Handler], now: datetime) -> Message | None:
        return await self.store.claim(handlers.keys(), now, now + CLAIM, latest=_latest(now))

    @contextlib.asynccontextmanager
    async def _renewing(self, message: Message) -> AsyncIterator["_Claim"]:
        """Keep a claim as long as the context lasts. If it is cancelled, let go of the message."""
        claim = _Claim(message)

        async def renew() -> None:
            until = self.clock.now() + CLAIM
            if await self.store.postpone(claim.message, until):
                claim.message = replace(claim.message, due_at=until)

        renewing = asyncio.create_task(repeat(renew, RENEWED_EVERY))
        try:
            yield claim
        except asyncio.CancelledError:  # the process ends: another one may have it at once
            await end(renewing)
            await self.store.postpone(claim.message, self.clock.now())
            raise
        finally:
            await end(renewing)

    async def tell_now(self, handlers: Mapping[str, Handler]) -> int:
        """Tell all that is due now, and raise what a function raises: for tests.

        Returns:
            How often a function was told.
        """
        told = 0
        now = self.clock.now()
        while message := await self._claim(handlers, now):
            await handlers[message.subscription](notification_of(message.event))
            await self.store.finish(message)
            told += 1
        return told

    async def sweep(self) -> int:
        """Remove subscriptions of functions that no process has any more; return how many."""
        since = self.clock.now() - FORGOTTEN_AFTER
        removed = 0
        for each in await self.store.list_subscriptions():
            if each.url is None and each.seen_at < since:
                event = self.audit.event("subscription.removed", SERVER, target=each.name)
                removal = self.store.remove(each.name, event, unseen_since=since)
                removed += await self.audit.logged(event, removal)
        return removed

    async def _failed(self, message: Message, error: BaseException) -> None:
        foreseen = isinstance(error, Refusal)
        logging.getLogger("gatelodge").warning(
            "message.failed",
            extra={"details": _details(message) | {"error": str(error) or type(error).__name__}},
            exc_info=None if foreseen else error,
        )
        if message.failures >= len(WAITS):
            await self._give_up(message)
            return
        wait = WAITS[message.failures]
        await self.store.postpone(message, self.clock.now() + wait, failed=True)

    async def _give_up(self, message: Message) -> None:
        facts = {"subscription": message.subscription, "told": message.event.name}
        given_up = self.audit.event(
            "message.given_up", SERVER, target=message.event.id, outcome="failure", detail=facts
        )
        await self.audit.logged(given_up, self.store.finish(message, given_up))


@dataclass
class _Claim:
    """A claim that is renewed.

    Attributes:
        message: the message as it is claimed now.
    """

    message: Message


async def _error_of(handler: Handler, event: Event) -> BaseException | None:
    """Tell a function, and return what it raised.

    Raises:
        CancelledError: the running task is cancelled. A function may raise it by itself, too: then
            it has failed.
    """
    try:
        await handler(notification_of(event))
    except asyncio.CancelledError as error:
        _raise_if_cancelled()
        return error
    except Exception as error:  # noqa: BLE001 - logged in full, and told again
        return error
    return None


def _latest(now: datetime) -> datetime:
    """Return when a message that waits now can be due at the latest."""
    return now + max(WAITS) + CLAIM


def _raise_if_cancelled() -> None:
    if is_being_cancelled():
        raise asyncio.CancelledError


def _details(message: Message) -> dict[str, object]:
    return {
        "subscription": message.subscription,
        "told": message.event.name,
        "id": message.event.id,
        "failures": message.failures,
    }


def checked_events(events: Iterable[str]) -> tuple[str, ...]:
    """Return the names of events in their order, each once.

    Raises:
        UnknownEvent: there is no such event that one can hear of, or no name at all.
    """
    wanted = tuple(sorted(set(events)))
    for each in wanted:
        if each not in TOLD:
            sentence = f"There is no event {each[:MAX_NAME]!r} to hear of."
            raise UnknownEvent(f"{sentence}{is_meant(each, TOLD)}", field="event")
    if not wanted:
        raise UnknownEvent("Name at least one event.", field="event")
    return wanted


def notification_of(event: Event) -> Notification:
    """Return an event as an application is told of it."""
    return Notification(
        id=event.id,
        name=event.name,
        at=event.at,
        subject=event.target,
        actor=event.actor,
        detail=event.detail,
    )
