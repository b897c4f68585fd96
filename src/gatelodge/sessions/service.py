"""Open, refresh and end sessions."""

import contextlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NoReturn

from gatelodge.accounts.search import Count
from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import Actor, AuditLog, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.errors import OutcomeUnknown, StoreUnavailable, after_a_change
from gatelodge.gate.principal import Principal
from gatelodge.ids import SESSION_PREFIX, SessionId, UserId, new_id
from gatelodge.methods import Methods, factors_of, level_of
from gatelodge.sessions.impersonation import (
    IMPERSONATION_LIFE,
    NEVER_PROVED,
    Impersonations,
)
from gatelodge.sessions.known_devices import DeviceNews
from gatelodge.sessions.refresh_tokens import RefreshTokens
from gatelodge.sessions.refusals import (
    ExpiredRefreshToken,
    InvalidRefreshToken,
    NoSuchSession,
    RefreshTokenReused,
)
from gatelodge.sessions.store import (
    NO_EPOCH,
    Session,
    SessionPage,
    SessionQuery,
    SessionStore,
)
from gatelodge.tokens.access import AccessTokens, SigningWith
from gatelodge.tokens.pair import Delivery, TokenPair
from gatelodge.tokens.refusals import InvalidToken

_SAME_CLOCK = timedelta(seconds=1)
"""How far one clock may seem to differ when two processes of a machine read it."""

SALT_BYTES = 32
_PROVED_AGAIN = "proved_again"
"""Why a session was revoked: another one has taken its place."""

_LIFE_AT_AAL2 = timedelta(hours=24)
_IDLE_AT_AAL2 = timedelta(hours=1)

REMEMBERED = timedelta(days=1)
"""How long an ended session stays stored, so that its tokens get a precise refusal."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user, the session that signs them in, and its tokens.

    Attributes:
        user: the user as stored.
        session: the session.
        tokens: its tokens.
        password_is_breached: whether the password with which the user signed in is on the list of
            breached passwords, and the user should be told.
        password_is_void: whether this sign-in has voided the password of the account, and the user
            should be told.
    """

    user: User
    session: Session
    tokens: TokenPair
    password_is_breached: bool = False
    password_is_void: bool = False


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts (security.md, section 5).

    Attributes:
        life: the time from sign-in to the end of the session at the latest.
        idle: the time from the last use to the end.
        grace: the time after a rotation in which the previous token still gets its successor.
        clock_skew: how far the clocks of servers with the same database may differ.
    """

    life: timedelta = timedelta(days=30)
    idle: timedelta = timedelta(days=14)
    grace: timedelta = timedelta(seconds=10)
    clock_skew: timedelta = timedelta(0)

    def of_second_factor(self) -> "SessionLimits":
        """Return the limits for users who must have a second factor (NIST SP 800-63B-4, 2.2.3)."""
        return replace(self, life=min(self.life, _LIFE_AT_AAL2), idle=min(self.idle, _IDLE_AT_AAL2))


@dataclass(frozen=True, slots=True)
class SessionService:
    """Opens, refreshes and ends sessions, and issues their tokens."""

    sessions: SessionStore
    users: UserStore
    refresh_tokens: RefreshTokens
    access_tokens: AccessTokens
    audit: AuditLog
    clock: Clock
    limits: SessionLimits
    policy: SecondFactorPolicy

    async def open(
        self,
        user: User,
        methods: Methods,
        delivery: Delivery,
        origin: Origin,
        *,
        authenticated_at: datetime | None = None,
        former: str | None = None,
        device: DeviceNews | None = None,
        follows: SessionId | None = None,
    ) -> SignedIn:
        """Open a session for a user who has proved who they are.

        Args:
            user: the user to sign in.
            methods: how the user proved it.
            delivery: how the tokens are delivered.
            origin: where the request came from.
            authenticated_at: when the user proved it; None: now.
            former: a refresh token of the session that the new one replaces (ASVS 7.2.4), or None.
            device: whether the user has used this browser before; None: not known.
            follows: the session of the same user in which the proof was given, for the event; None:
                the user was not signed in.

        Raises:
            InvalidToken: the user was disabled or deleted, or all sessions of the user were ended,
                since the user was read; or a first factor was added, which was not asked for.
            StoreUnavailable: nothing was changed.
        """
        session = self._new(user, methods, delivery, origin, authenticated_at)
        opened = self._signed_in(user, session)
        event = self.audit.event(
            "session.opened",
            Actor(user.id, origin),
            target=session.id,
            detail={"factor": " ".join(factors_of(methods))}
            | ({"device": device} if device else {})
            | ({"follows": follows} if follows else {}),
        )
        # A factor may have been added since the user was read: then it must be asked for.
        alone = level_of(methods) < 2 and not user.factors
        kept = self.sessions.open(session, event, without_factors=alone)
        if not await self.audit.logged(event, kept):
            raise InvalidToken
        with after_a_change():
            if former and (ended := await self.find_by_refresh_token(former, origin)):
                await self.end(ended, ended.actor(origin))
        return opened

    async def impersonate(self, user: User, own: Session, reason: str, origin: Origin) -> SignedIn:
        """Open a session in which somebody sees the application as a user does.

        It lasts 30 minutes, and never counts as a proof of who the user is. The user has not signed
        in: nothing of their record changes. It stands on the session of whoever opens it, which
        goes on, and delivers its tokens likewise.

        Args:
            user: whom they see the application as. The caller has checked that they may.
            own: the session in which they ask for it.
            reason: why, in their words.
            origin: where the request came from.

        Raises:
            InvalidToken: the user was disabled, deleted or signed out everywhere meanwhile, or
                whoever opens it may not any more.
            StoreUnavailable: nothing was changed.
        """
        now = self.clock.now()
        ends_at = min(now + IMPERSONATION_LIFE, own.expires_at).replace(microsecond=0)
        session = replace(
            self._new(user, (), own.delivery, origin, NEVER_PROVED),
            expires_at=ends_at,  # a whole second, as tokens have: none of them lives longer
            impersonator=own.user_id,
            begun_in=own.id,
            reason=reason,
        )
        opened, by = self._signed_in(user, session), Actor(own.user_id, origin)
        detail = {"session": session.id, "reason": reason}
        event = self.audit.event("impersonation.began", by, target=user.id, detail=detail)
        if not await self.audit.logged(event, self.sessions.open(session, event)):
            raise InvalidToken
        with after_a_change():
            if not await self._stands(session):  # something was lost meanwhile
                await self.end(session, by)
                raise InvalidToken
        return opened

    def own_refresh_token(self, session: Session, presented: str) -> str | None:
        """Return the current refresh token of a session, for a browser that has one of it already.

        Args:
            session: the session as stored now.
            presented: the refresh token that the browser has, of any generation.

        Returns:
            The token; None: `presented` is of no such session.
        """
        try:
            claim = self.refresh_tokens.read(presented)
        except InvalidRefreshToken:
            return None
        if claim.session_id != session.id or not self.refresh_tokens.belongs(claim, session):
            return None
        return self.refresh_tokens.write(session, session.generation)

    async def open_in_place(
        self, former: Session, user: User, methods: Methods, origin: Origin, device: DeviceNews
    ) -> SignedIn:
        """Open a session in place of one in which the user has proved again who they are.

        The former session ends first. If it has ended meanwhile, nobody is signed in, unless the
        same user has proved it twice at the same moment.

        Args:
            former: the session of the request.
            user: its user.
            methods: how the user proved it.
            origin: where the request came from.
            device: whether the user has used this browser before.

        Raises:
            InvalidToken: the session was ended, or the user was disabled or deleted, meanwhile.
            StoreUnavailable: nothing was changed.
            OutcomeUnknown: the former session has ended.
        """
        self.access_tokens.signing_key()  # before anything is changed
        event = self.audit.event("session.ended", Actor(user.id, origin), target=former.id)
        change = self.sessions.revoke(former.id, self.clock.now(), _PROVED_AGAIN, event)
        if not await self.audit.logged(event, change):
            ended = await self.sessions.find(former.id)
            if ended is None or ended.revoked_why != _PROVED_AGAIN:
                raise InvalidToken
        with after_a_change():
            return await self.open(
                user, methods, former.delivery, origin, device=device, follows=former.id
            )

    def _new(
        self,
        user: User,
        methods: Methods,
        delivery: Delivery,
        origin: Origin,
        authenticated_at: datetime | None,
    ) -> Session:
        """Return a new session; nothing is stored."""
        now = self.clock.now()
        return Session(
            id=SessionId(new_id(SESSION_PREFIX, now)),
            user_id=user.id,
            epoch=user.epoch,
            created_at=now,
            last_used_at=now,
            expires_at=now + self._limits_of(user).life,
            salt=secrets.token_bytes(SALT_BYTES),
            authenticated_at=authenticated_at or now,
            methods=methods,
            delivery=delivery,
            user_agent=origin.user_agent,
            address=origin.address,
        )

    async def refresh(self, presented: str, origin: Origin) -> SignedIn:
        """Trade a refresh token for a new pair.

        The current token gets its successor. Within the grace period, the previous token gets the
        same successor, because an answer may have been lost. An older token is held by two parties,
        and nobody can tell which is the thief: the session ends (RFC 9700, section 4.14.2).

        Args:
            presented: the refresh token as sent.
            origin: where the request came from.

        Raises:
            InvalidRefreshToken: the token is not ours, or its session or user has ended.
            ExpiredRefreshToken: the session has expired.
            RefreshTokenReused: an older token came back; the session is revoked.
        """
        user, session, generation = await self._presented(presented)
        key = self.access_tokens.signing_key()  # before anything is changed
        current = await self._rotate(session) if generation == session.generation else None
        if current is None:
            current = await self._successor(session, generation, origin)
        self._note_refresh(session, origin)
        return self._signed_in(user, current, key)

    async def renew_access(self, presented: str, origin: Origin) -> SignedIn:
        """Issue a new access token, and return the presented refresh token with it.

        The tutorial's clients keep their first refresh token. So the refresh token of any
        generation is accepted while the session is live.

        Raises:
            InvalidRefreshToken: the token is not ours, or its session or user has ended.
            ExpiredRefreshToken: the session has expired.
        """
        user, session, generation = await self._presented(presented)
        renewed = self._signed_in(user, replace(session, generation=generation))
        if not await self.sessions.touch(session.id, self.clock.now()):
            raise InvalidRefreshToken
        self._note_refresh(session, origin)
        return renewed

    async def list_own(self, user: User, *, before: SessionId | None, limit: int) -> list[Session]:
        """Return up to `limit` sessions that sign in the user, the newest first.

        A session is shown as long as one of its tokens may still be valid. A session that was idle
        too long to be refreshed is left out, unless its last access token may still be valid.

        Args:
            user: the user.
            before: only sessions with smaller ids are returned; None: all.
            limit: the maximum number of sessions.
        """
        now = self.clock.now()
        return await self.sessions.list_live(
            user, now, used_after=now - self._shown_for(user), before=before, limit=limit
        )

    async def search(
        self, query: SessionQuery, *, before: SessionId | None, limit: int
    ) -> SessionPage:
        """Return up to `limit` sessions of anybody that sign somebody in, the newest first.

        They are shown as long as those of `list_own`.

        Args:
            query: which sessions.
            before: `SessionPage.before` of the page before; None: from the newest.
            limit: the maximum number of sessions; see `SessionStore.search`.
        """
        now = self.clock.now()
        page = await self.sessions.search(
            query, now, used_after=now - self._longest_shown, before=before, limit=limit
        )
        shown = [
            (session, user)
            for session, user in page.sessions
            if session.last_used_at > now - self._shown_for(user)
        ]
        return replace(page, sessions=shown)

    async def count(self) -> Count:
        """Return how many sessions sign somebody in; see `SessionStore.count_live`."""
        now = self.clock.now()
        return await self.sessions.count_live(now, used_after=now - self._longest_shown)

    async def end_own(self, user: User, session_id: SessionId, origin: Origin) -> None:
        """End one of the user's own sessions.

        Raises:
            NoSuchSession: the user has no live session of this id; another user may have it.
        """
        session = await self.sessions.find(session_id)
        if session is None or not session.is_live(user, self.clock.now()):
            raise NoSuchSession
        await self.end(session, Actor(user.id, origin))

    async def end(self, session: Session, by: Actor) -> None:
        """End a session. Nothing happens if it has ended already."""
        if session.impersonator is None:
            await self.sign_out(session.id, by)
        else:
            await self.end_impersonation(session.id, session.user_id, by)

    async def end_of(self, principal: Principal, origin: Origin) -> None:
        """End the session of a principal, who asks for it."""
        by = principal.actor(origin)
        if principal.impersonation is None:
            await self.sign_out(principal.session_id, by)
        else:
            await self.end_impersonation(principal.session_id, principal.subject, by)

    async def end_impersonation(self, session_id: SessionId, user_id: UserId, by: Actor) -> None:
        """End a session of an impersonator. Nothing happens if it has ended already.

        Args:
            session_id: the session.
            user_id: its user. The event is about them: they find it among their own.
            by: who ends it.
        """
        detail = {"session": session_id}
        event = self.audit.event("impersonation.ended", by, target=user_id, detail=detail)
        change = self.sessions.revoke(session_id, self.clock.now(), "signed_out", event)
        await self.audit.logged(event, change)

    async def sign_out(self, session_id: SessionId, by: Actor, *, of: UserId | None = None) -> None:
        """End a session. Nothing happens if it has ended already.

        Args:
            session_id: the session.
            by: who ends it.
            of: the user whose session it is, where somebody else ends it; None: the actor.
        """
        detail = {"user": of} if of else {}
        event = self.audit.event("session.ended", by, target=session_id, detail=detail)
        change = self.sessions.revoke(session_id, self.clock.now(), "signed_out", event)
        await self.audit.logged(event, change)

    async def sign_out_everywhere(self, user_id: UserId, by: Actor) -> bool:
        """End every session of a user. True if the user exists."""
        event = self.audit.event("session.ended_everywhere", by, target=user_id)
        return await self.audit.logged(event, self.users.raise_epoch(user_id, event))

    async def find_by_refresh_token(self, presented: str, origin: Origin) -> Session | None:
        """Return the live session of a refresh token, or None if `refresh` would refuse it.

        As with `refresh`, an older token ends its session, because a thief may hold it.
        """
        try:
            _, session, generation = await self._presented(presented)
            if generation == session.generation:
                return session
            return await self._successor(session, generation, origin)
        except (InvalidRefreshToken, ExpiredRefreshToken, RefreshTokenReused):
            return None

    async def prepare_to_continue(
        self, user: User, session_id: SessionId, origin: Origin
    ) -> SignedIn:
        """Return who will be signed in after a change that ends all other sessions of the user.

        The change names the returned session as the user's `continued`. So one write makes the
        change, ends the other sessions and keeps this one.

        With cookies, a new session replaces the old one, which ends with the others (ASVS 7.2.4).
        Until the change it is not live. With bearer tokens, the session itself goes on, because the
        client may ignore new tokens in the answer. In both cases `authenticated_at` and `methods`
        stay as they were.

        Args:
            user: the user before the change.
            session_id: the session of the request.
            origin: where the request came from.

        Raises:
            InvalidToken: the session was ended meanwhile.
        """
        session = await self.sessions.find(session_id)  # it may have been rotated meanwhile
        if session is None or not session.is_live(user, self.clock.now()):
            raise InvalidToken
        if session.delivery == "bearer":
            return self._signed_in(user, session)
        following = replace(
            self._new(user, session.methods, "cookie", origin, session.authenticated_at),
            epoch=NO_EPOCH,
        )
        prepared = self._signed_in(user, following)
        await self.sessions.add(following)
        return prepared

    async def discard(self, prepared: SignedIn) -> None:
        """Delete the new session of `prepare_to_continue`, because the change was not made.

        If this fails, the session stays stored until it expires, but it is never live.
        """
        if prepared.session.epoch == NO_EPOCH:
            with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
                await self.sessions.discard(prepared.session.id)

    async def sweep(self) -> int:
        """Delete the sessions that ended more than a day ago; return how many."""
        return await self.sessions.remove_ended(self.clock.now() - REMEMBERED)

    async def _presented(self, presented: str) -> tuple[User, Session, int]:
        """Return the user, the live session and the generation that a refresh token belongs to."""
        claim = self.refresh_tokens.read(presented)
        found = await self.sessions.find_with_user(claim.session_id)
        if found is None or not self.refresh_tokens.belongs(claim, found[0]):
            raise InvalidRefreshToken
        session, user = found
        now = self.clock.now()
        if session.revoked_at is not None:
            raise InvalidRefreshToken
        limits = self._limits_of(user)
        ends_at = min(session.expires_at, session.created_at + limits.life)  # before a role came
        if now >= ends_at or now >= session.last_used_at + limits.idle:
            raise ExpiredRefreshToken
        # A generation above the stored one means that the database was restored from a backup.
        if not session.is_live(user, now) or claim.generation > session.generation:
            raise InvalidRefreshToken
        if session.impersonator is not None and not await self._stands(session):
            raise InvalidRefreshToken
        return user, session, claim.generation

    async def _stands(self, session: Session) -> bool:
        """Return whether a session of an impersonator still stands."""
        found = await self.sessions.find_with_rights(session.id)
        if found is None:
            return False
        now, user, rights = found
        if not now.is_live(user, self.clock.now()):
            return False
        impersonations = Impersonations(self.sessions, self.policy, self.clock)
        return await impersonations.find(now, rights) is not None

    def _shown_for(self, user: User) -> timedelta:
        """Return how long a session of a user is shown after it was used."""
        return max(self._limits_of(user).idle, self.access_tokens.life)

    @property
    def _longest_shown(self) -> timedelta:
        """How long a session of any user is shown after it was used, at most."""
        return max(self.limits.idle, self.access_tokens.life)

    def _limits_of(self, user: User) -> SessionLimits:
        """Return how long sessions of a user last."""
        must = self.policy.requires(user.roles)
        return self.limits.of_second_factor() if must else self.limits

    async def _rotate(self, session: Session) -> Session | None:
        """Move the session to the next generation, or return None if another caller did.

        The returned session has the new generation; its times are those from before.
        """
        if not await self.sessions.rotate(session.id, session.generation, self.clock.now):
            return None
        return replace(session, generation=session.generation + 1)

    async def _successor(self, session: Session, generation: int, origin: Origin) -> Session:
        """Return the current session for a refresh token that was traded already.

        Raises:
            InvalidRefreshToken: the session was ended meanwhile.
            RefreshTokenReused: the token is not the previous one, or the grace period is over.
        """
        current = await self.sessions.find(session.id)
        if current is None or current.revoked_at is not None:
            raise InvalidRefreshToken
        rotated_at = current.rotated_at or current.created_at
        if generation != current.generation - 1 or not self._in_grace(rotated_at):
            await self._end_for_reuse(current, origin)
        return current

    def _in_grace(self, rotated_at: datetime) -> bool:
        """Return whether the previous token still gets its successor.

        Another server may have written `rotated_at`, and its clock may differ by `clock_skew`. If
        the instant is further in the future, the answer is False. With a grace period of zero, no
        difference is allowed beyond that of one clock.
        """
        skew = self.limits.clock_skew if self.limits.grace else timedelta(0)
        age = self.clock.now() - rotated_at
        return -max(skew, _SAME_CLOCK) <= age < self.limits.grace + skew

    async def _end_for_reuse(self, session: Session, origin: Origin) -> NoReturn:
        event = self.audit.event(
            "refresh_token.reused",
            session.actor(origin),
            target=session.id,
            outcome="refused",
        )
        why = "refresh_token_reused"
        change = self.sessions.revoke(session.id, self.clock.now(), why, event)
        await self.audit.logged(event, change)
        raise RefreshTokenReused

    def _note_refresh(self, session: Session, origin: Origin) -> None:
        by = session.actor(origin)
        self.audit.note("session.refreshed", by, target=session.id, outcome="success")

    def _signed_in(self, user: User, session: Session, key: SigningWith | None = None) -> SignedIn:
        """Issue the tokens of a session; nothing is stored.

        Raises:
            StoreUnavailable: no key is given, and the signing keys could not be read yet.
        """
        own = session.impersonator is None
        access_token = self.access_tokens.issue(
            subject=user.id,
            session_id=session.id,
            roles=user.roles,
            authenticated_at=session.authenticated_at,
            methods=session.methods,
            held_back=own and self.policy.holds_back(user.roles, session.methods),
            impersonator=session.impersonator,
            ends_at=None if own else session.expires_at,
            key=key,
        )
        refresh_token = self.refresh_tokens.write(session, session.generation)
        pair = TokenPair(access_token, refresh_token, session.delivery, session.expires_at)
        return SignedIn(user, session, pair)
