"""The port of the change feed: the database tells the gate what has changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

Forget = Callable[[str | None], None]
"""Takes the id of a user, session, role or signing key that changed; None: forget everything."""

FeedStatus: TypeAlias = Literal["fresh", "behind", "none"]
"""`fresh`: checks are answered from memory; `behind`, `none`: they read the database."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """The state of the feed.

    Attributes:
        kind: `local` (each check asks the SQLite file), `stream` (MongoDB sends the changes) or
            `none`.
        trusted: whether checks may be answered from memory.
        lag: seconds since the stream last answered; it grows while the stream is down. None: no
            stream has answered.
    """

    kind: str
    trusted: bool
    lag: float | None = None

    @property
    def status(self) -> FeedStatus:
        """The same in a word."""
        if self.trusted:
            return "fresh"
        return "none" if self.kind == "none" else "behind"


class ChangeFeed(Protocol):
    """Tells the gate which users, sessions, roles and signing keys changed.

    Only changes that affect a token check are told. User: roles, epoch, disabled, name, deleted.
    Session: revoked, epoch. Role: added, permissions, deleted. Signing key: added, retired. A
    sign-in or a rotation, for example, is not told.
    """

    async def follow(self, forget: Forget) -> None:
        """Start to follow the changes, and return.

        The caller remembers nothing yet. `forget` is called on this event loop.

        Raises:
            StoreUnavailable: the SQLite file cannot be opened now.
        """

    async def leave(self) -> None:
        """Stop following; do nothing if `follow` was not called."""

    def catch_up(self) -> bool:
        """Pass the changes since the last call to `forget`; return whether memory may be trusted.

        True: every change that was acknowledged before this call has been passed to `forget`. With
        a stream, this holds for every change that was acknowledged a second before this call.
        """

    def state(self) -> FeedState:
        """Return the current state."""
