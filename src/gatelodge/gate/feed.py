"""What tells the view to forget: the port behind which each database says what has changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Forget = Callable[[str | None], None]
"""Takes the id of a user, session, role or signing key that changed; None: forget everything."""


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
    """Says which users, sessions, roles and signing keys changed in a way that a check must see.

    Of a user: roles, epoch, disabled, name, deleted. Of a session: revoked, epoch. Of a role:
    added, permissions, deleted. Of a key: added, retired. Sign-ins, rotations and the like are left
    out.
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
