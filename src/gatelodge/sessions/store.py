"""The record of a session, and the port that keeps it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gatelodge.accounts.store import Rights, User
from gatelodge.credentials.methods import Methods
from gatelodge.ids import SessionId, UserId
from gatelodge.tokens.pair import Delivery


@dataclass(frozen=True, slots=True)
class Session:
    """The fact of being signed in, on one device.

    Attributes:
        id: stable and random; the `sid` of access tokens.
        user_id: whose session it is.
        epoch: the user's epoch when it was opened; the session lives while the two are equal.
        created_at: when the user signed in.
        last_used_at: when it was opened or last refreshed.
        expires_at: when it ends whatever happens; refreshing never moves it.
        salt: 32 random bytes under which its refresh tokens are computed.
        authenticated_at: when its user was last proven (`auth_time`; RFC 9470).
        methods: how its user was proven, such as `pwd` (`amr`; RFC 8176, section 2).
        generation: how many times its refresh token was traded.
        rotated_at: when that last happened, or None.
        delivery: whether its tokens travel in bodies or in cookies.
        user_agent: what opened it said it was, at most 256 characters.
        address: the network address it was opened from.
        client_id: the application that it was opened for; None: Gatelodge itself.
        revoked_at: when it was ended before its time, or None.
        revoked_why: a word that says why, or None.
    """

    id: SessionId
    user_id: UserId
    epoch: int
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    salt: bytes = field(repr=False)
    authenticated_at: datetime
    methods: Methods
    generation: int = 0
    rotated_at: datetime | None = None
    delivery: Delivery = "bearer"
    user_agent: str = ""
    address: str = ""
    client_id: str | None = None
    revoked_at: datetime | None = None
    revoked_why: str | None = None

    def is_live(self, user: User, now: datetime) -> bool:
        """Say whether its user is signed in by it at this instant."""
        return (
            self.user_id == user.id
            and self.revoked_at is None
            and self.epoch == user.epoch
            and user.disabled_at is None
            and now < self.expires_at
        )


class SessionStore(Protocol):
    """Sessions at rest. Every method is atomic and, once it returns, durable, in every store."""

    async def add(self, session: Session) -> None:
        """Keep a new session."""

    async def find(self, session_id: SessionId) -> Session | None:
        """Return the session, live or not, or None if there never was one."""

    async def find_with_user(self, session_id: SessionId) -> tuple[Session, User] | None:
        """Return the session and then its user, in one go; None if either is gone."""

    async def find_with_rights(self, session_id: SessionId) -> tuple[Session, User, Rights] | None:
        """Return the session, its user and the user's rights; None if one of them is gone.

        For each role there was an instant at which the user held it and it had exactly these
        permissions. So nobody has a permission that a role got after it was taken from them.
        """

    async def rotate(self, session_id: SessionId, generation: int, at: datetime) -> bool:
        """Move the session from `generation` to the next, and mark it used and rotated at `at`.

        True for exactly one caller, however many arrive together, and never
        once the session is revoked.
        """

    async def revoke(self, session_id: SessionId, at: datetime, why: str) -> bool:
        """End the session. True for exactly one caller; the first reason stays."""

    async def touch(self, session_id: SessionId, at: datetime) -> bool:
        """Mark the session used at `at` without rotating it. True unless it is revoked or gone."""

    async def adopt(self, session_id: SessionId, epoch: int) -> bool:
        """Carry the session over to a new epoch of its user. True unless it is revoked or gone."""

    async def list_live(
        self,
        user: User,
        at: datetime,
        *,
        used_after: datetime,
        before: SessionId | None,
        limit: int,
    ) -> list[Session]:
        """Return up to `limit` sessions by which the user is signed in at `at`, the newest first.

        Only those that were last used after `used_after`, and whose ids come before `before`
        where that is given.
        """

    async def remove_ended(self, before: datetime) -> int:
        """Forget sessions that expired or were revoked before an instant; say how many."""
