"""The record of a session, and the port that stores it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gatelodge.accounts.search import Count
from gatelodge.accounts.store import Rights, User
from gatelodge.audit import Actor, Event, Origin
from gatelodge.ids import SessionId, UserId
from gatelodge.methods import Methods
from gatelodge.tokens.pair import Delivery

NO_EPOCH = -1
"""The epoch of a session that is live only while its user's `continued` names it."""


@dataclass(frozen=True, slots=True)
class Session:
    """The fact of being signed in, on one device.

    Attributes:
        id: the id of the session, partly random; the `sid` of access tokens.
        user_id: the user who is signed in.
        epoch: the user's epoch when the session was opened; it is live while both are equal, or
            while the user's `continued` names it. `NO_EPOCH` in a session that only `continued`
            makes live.
        created_at: when the user signed in.
        last_used_at: when it was opened or last refreshed.
        expires_at: when it ends at the latest; a refresh does not move this.
        salt: 32 random bytes; part of the input to each of its refresh tokens.
        authenticated_at: when the user last proved who they are (`auth_time`; RFC 9470).
        methods: how the user proved it, such as `pwd` (`amr`; RFC 8176, section 2).
        generation: how many times its refresh token was rotated.
        rotated_at: when its refresh token was last rotated, or None.
        delivery: whether its tokens travel in bodies or in cookies.
        user_agent: the program that opened it, as its header says; at most 256 characters.
        address: the network address that it was opened from.
        client_id: the application that it was opened for; None for Gatelodge itself.
        revoked_at: when it was revoked, or None.
        revoked_why: why it was revoked, in one word, or None.
        impersonator: the user who sees the application as `user_id` does in this session, by
            `sessions/impersonation.py`; None: it is the user's own session.
        begun_in: the impersonator's own session, in which this one was opened, or None.
        reason: why, as the impersonator wrote it, or None.
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
    impersonator: UserId | None = None
    begun_in: SessionId | None = None
    reason: str | None = None

    def actor(self, origin: Origin) -> Actor:
        """Return who acts in this session, for the audit log."""
        if self.impersonator is None:
            return Actor(self.user_id, origin)
        return Actor(self.impersonator, origin, acts_as=self.user_id)

    def is_own_of(self, user: User) -> bool:
        """Return whether the user opened this session, and nobody in their place; live or not."""
        return self.user_id == user.id and self.impersonator is None

    def is_live(self, user: User, now: datetime) -> bool:
        """Return whether this session signs in this user at this instant.

        In a session of an impersonator, that is not enough: see `sessions/impersonation.py`.
        """
        return (
            self.user_id == user.id
            and self.revoked_at is None
            and (self.epoch == user.epoch or user.continued == self.id)
            and user.disabled_at is None
            and now < self.expires_at
        )


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which live sessions to list. All conditions must hold.

    Attributes:
        user_id: only sessions of this user; None: of anybody.
        address: only sessions that were opened from this network address; None: from any.
    """

    user_id: UserId | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A page of live sessions.

    Attributes:
        sessions: the sessions, the newest first, and the user whom each signs in. There may be
            fewer than asked for, or none, although there are more: a list stops after it has looked
            at a few thousand sessions that do not match.
        before: below which id the next page goes on; None: there are no more sessions.
    """

    sessions: list[tuple[Session, User]]
    before: SessionId | None


class SessionStore(Protocol):
    """The stored sessions. Every method is atomic; changes are durable when it returns.

    A method that takes an event stores it with its change: both, or neither.
    """

    async def open(self, session: Session, event: Event, *, without_factors: bool = False) -> bool:
        """Store a new session, and when its user last signed in.

        True if the user exists, is enabled, and has the epoch of the session. Otherwise the session
        is not stored. In a session of an impersonator, the user has not signed in: then it is the
        same, but nothing of the user is changed.

        Args:
            session: the session.
            event: stored with it.
            without_factors: whether the user must have no factors, too, because none was asked for.
        """

    async def add(self, session: Session) -> None:
        """Store a session without an event: one that is not live yet, with the epoch `NO_EPOCH`."""

    async def find(self, session_id: SessionId) -> Session | None:
        """Return the session, live or not, or None if there is none of this id."""

    async def find_with_user(self, session_id: SessionId) -> tuple[Session, User] | None:
        """Return the session and its user, or None if one of them does not exist.

        The user is not read before the session.
        """

    async def find_with_rights(self, session_id: SessionId) -> tuple[Session, User, Rights] | None:
        """Return the session, its user and the user's rights, or None if one does not exist.

        For each role there was an instant at which the user held it and it had exactly these
        permissions. So nobody has a permission that a role got after it was taken from them.
        """

    async def rotate(
        self, session_id: SessionId, generation: int, now: Callable[[], datetime]
    ) -> bool:
        """Move the session from `generation` to the next, and mark it used and rotated.

        True for exactly one caller, however many arrive together, and never
        once the session is revoked.

        Args:
            session_id: the session.
            generation: the generation that it must have.
            now: tells the time. It is called when the change is written, so that the wait for the
                database does not count as time since the rotation.
        """

    async def revoke(self, session_id: SessionId, at: datetime, why: str, event: Event) -> bool:
        """Revoke the session. Of several callers, exactly one gets True; its reason is stored."""

    async def touch(self, session_id: SessionId, at: datetime) -> bool:
        """Mark the session used at `at` without rotating it. True unless it is revoked or gone."""

    async def discard(self, session_id: SessionId) -> None:
        """Delete a prepared session that was not needed."""

    async def list_stored(self, user_id: UserId, *, limit: int) -> list[Session]:
        """Return up to `limit` sessions of a user, the newest first, also those that have ended."""

    async def list_live(
        self,
        user: User,
        at: datetime,
        *,
        used_after: datetime,
        before: SessionId | None,
        limit: int,
    ) -> list[Session]:
        """Return up to `limit` sessions that sign in the user at `at`, the newest first.

        Args:
            user: the user, with the epoch and the continued session that make sessions live.
            at: the instant at which the sessions are live.
            used_after: only sessions that were last used after this instant are returned.
            before: only sessions with smaller ids are returned; None: all.
            limit: the maximum number of sessions.
        """

    async def search(
        self,
        query: SessionQuery,
        at: datetime,
        *,
        used_after: datetime,
        before: SessionId | None,
        limit: int,
    ) -> SessionPage:
        """Return up to `limit` sessions of anybody that sign somebody in at `at`, newest first.

        The time that it takes does not grow with the number of sessions: the list follows an index,
        and stops when it has looked at a few thousand sessions. Whoever follows
        `SessionPage.before` to the end sees each session once that was live all the time.

        Args:
            query: which sessions.
            at: the instant at which the sessions are live.
            used_after: only sessions that were last used after this instant are returned.
            before: `SessionPage.before` of the page before; None: from the newest.
            limit: the maximum number of sessions.
        """

    async def count_live(self, at: datetime, *, used_after: datetime) -> Count:
        """Return how many sessions sign somebody in at `at`.

        Where there are many, it is an estimate, and takes a while: it counts also those that ended
        together with all sessions of their user, and those that were not used for long.

        Args:
            at: the instant at which the sessions are live.
            used_after: only sessions that were last used after this instant are counted, where they
                are counted exactly.
        """

    async def remove_ended(self, before: datetime) -> int:
        """Delete the sessions that expired or were revoked before an instant; return how many."""
