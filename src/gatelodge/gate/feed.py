"""What tells the view to forget: the port behind which each database says what has changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Forget = Callable[[str | None], None]
"""Takes the id of a user, session or signing key that changed; None: forget everything."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """How the feed stands now.

    Attributes:
        kind: `local` (each check asks the file), `stream` (the database tells), `none`.
        trusted: whether checks are answered from memory now.
        lag: seconds since the database was last heard of, where it tells; grows while it is lost.
    """

    kind: str
    trusted: bool
    lag: float | None = None


class ChangeFeed(Protocol):
    """Says which users, sessions and signing keys changed in a way that a check must see.

    That is: roles, epoch, disabled, name, deleted; revoked, epoch; a key added or retired. It
    leaves out sign-ins, rotations and the like.
    """

    async def follow(self, forget: Forget) -> None:
        """Begin to call `forget`, on this event loop, and return; nothing is remembered yet."""

    async def leave(self) -> None:
        """Stop."""

    def catch_up(self) -> bool:
        """Forget what changed since the last call; say whether memory may be trusted.

        When it returns True, every change that was acknowledged before the call (in a database that
        tells: `max_staleness` before it) has been passed to `forget`.
        """

    def state(self) -> FeedState:
        """Return how the feed stands."""
