"""The records and the port of subscriptions."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatelodge.audit import Event


@dataclass(frozen=True, slots=True)
class Subscription:
    """Events that a function wants to hear of.

    Attributes:
        name: the name of the function; each name has one subscription.
        events: the names of the events.
        seen_at: when a process that has the function was last known to run.
    """

    name: str
    events: tuple[str, ...]
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """An event that a subscription is still to be told of.

    Attributes:
        subscription: the name of the subscription.
        event: what happened.
        due_at: from when on the message may be claimed. For whoever has claimed it, this is the end
            of the claim, and tells it from later claims.
        tries: how often the message was claimed.
    """

    subscription: str
    event: Event
    due_at: datetime
    tries: int


class SubscriptionStore(Protocol):
    """The stored subscriptions and messages.

    From the moment when a subscription is stored, every event of its names that is stored gets a
    message for it, in the same write as the event or before the event can be read. A message may be
    made twice if a database node or a process fails in between; both are of the same event.
    """

    async def put(self, subscription: Subscription) -> None:
        """Store a subscription, in place of the one of the same name."""

    async def list_subscriptions(self) -> list[Subscription]:
        """Return all subscriptions, in the order of their names."""

    async def remove_unseen(self, before: datetime) -> list[str]:
        """Remove the subscriptions not seen since this instant, with their messages.

        Returns:
            The names of those that were removed.
        """

    async def claim(self, names: Collection[str], now: datetime, until: datetime) -> Message | None:
        """Claim the message that is due longest, so that nobody else gets it until the claim ends.

        Args:
            names: the subscriptions whose messages are wanted.
            now: the current time.
            until: when the claim ends, in whole milliseconds; the message is due again then.

        Returns:
            The message as it is claimed, or None if none is due.
        """

    async def finish(self, message: Message) -> bool:
        """Remove a message that was told. False if the claim had ended, and another one began."""

    async def postpone(self, message: Message, until: datetime) -> bool:
        """End a claim, and let the message be due at this instant; False as for `finish`."""

    async def count_waiting(self, name: str) -> int:
        """Return how many messages a subscription has, due or not."""
