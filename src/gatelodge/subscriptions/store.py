"""The records and the port of subscriptions."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatelodge.audit import Event


@dataclass(frozen=True, slots=True)
class Subscription:
    """Events that a function or a web address wants to hear of.

    Attributes:
        name: the name of the function or the webhook; each name has one subscription.
        events: the names of the events.
        seen_at: when a process that has the function was last known to run; when a webhook was
            added.
        url: where the webhook is sent; None: the subscription is that of a function.
        sealed_secret: the secret that signs the webhook, encrypted under the master key.
    """

    name: str
    events: tuple[str, ...]
    seen_at: datetime
    url: str | None = None
    sealed_secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An event that a subscription is still to be told of.

    Attributes:
        subscription: the name of the subscription.
        event: what happened.
        due_at: from when on the message may be claimed. For whoever has claimed it, this is the end
            of the claim, and tells it from later claims.
        claims: how often the message was claimed.
        failures: how often whoever had claimed it has failed.
    """

    subscription: str
    event: Event
    due_at: datetime
    claims: int
    failures: int = 0


class SubscriptionStore(Protocol):
    """The stored subscriptions and messages.

    From the moment when a subscription is stored, every event of its names that is stored gets a
    message for it, in the same write as the event or before the event can be read. A message may be
    made twice if a database node or a process fails in between; both are of the same event.
    """

    async def put(self, subscription: Subscription) -> None:
        """Store a subscription, in place of the one of the same name."""

    async def add(self, subscription: Subscription, event: Event) -> None:
        """Store a subscription of a new name, with the event of the change.

        Raises:
            AlreadyExists: there is one of this name.
        """

    async def find(self, name: str) -> Subscription | None:
        """Return the subscription of this name, or None."""

    async def list_subscriptions(self) -> list[Subscription]:
        """Return all subscriptions, in the order of their names."""

    async def reseal(self, name: str, before: bytes | None, after: bytes, event: Event) -> bool:
        """Replace the sealed secret of a subscription, with the event of the change.

        Args:
            name: the name of the subscription.
            before: the sealed secret that is replaced.
            after: the new one.
            event: the event of the change.

        Returns:
            False if there is no such subscription, or its sealed secret is another one by now: of
            several who replace the same one, one does.
        """

    async def remove(
        self, name: str, event: Event, *, unseen_since: datetime | None = None
    ) -> bool:
        """Remove a subscription with its messages. False if there is none.

        Args:
            name: the name of the subscription.
            event: the event of the change.
            unseen_since: remove it only if it was not seen since this instant.
        """

    async def find_due(
        self, names: Collection[str], now: datetime, *, latest: datetime
    ) -> str | None:
        """Return one of these subscriptions that has a message that is due, or None.

        It is one short read, however many names there are.

        Args:
            names: the names of the subscriptions.
            now: the current time.
            latest: as for `claim`.
        """

    async def claim(
        self, names: Collection[str], now: datetime, until: datetime, *, latest: datetime
    ) -> Message | None:
        """Claim the message that is due longest, so that nobody else gets it until the claim ends.

        What is due later than anything can be was dated by a clock that was wrong. It is due too,
        after all others.

        Args:
            names: the subscriptions whose messages are wanted.
            now: the current time.
            until: when the claim ends, in whole milliseconds; the message is due again then.
            latest: when a message that waits now can be due at the latest.

        Returns:
            The message as it is claimed, or None if none is due.
        """

    async def finish(self, message: Message, event: Event | None = None) -> bool:
        """Remove a message. False if the claim had ended, and another one began.

        Args:
            message: the message as it was claimed.
            event: the event of the change, if the message was given up; None: it was told.
        """

    async def postpone(self, message: Message, until: datetime, *, failed: bool = False) -> bool:
        """End a claim, and let the message be due at this instant; False as for `finish`.

        Args:
            message: the message as it was claimed.
            until: when it is due; the end of a claim that goes on.
            failed: whether to count a failure.
        """

    async def count_waiting(self, name: str) -> int:
        """Return how many messages a subscription has, due or not."""
