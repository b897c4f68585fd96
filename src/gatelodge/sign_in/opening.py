"""What every way of signing in ends with: a session, or the question for a second factor."""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.service import AccountService
from gatelodge.accounts.store import SET_PASSWORD, User
from gatelodge.audit import Actor, AuditLog, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.factors import (
    FACTOR_PREFIX,
    Factor,
    FactorId,
    FactorStore,
    remembering,
    second_factors,
)
from gatelodge.credentials.one_time_tokens import SECRET_BYTES, digest_of
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.credentials.second_factors import CodeFactor, SecondFactors
from gatelodge.errors import after_a_change
from gatelodge.ids import SessionId, new_id
from gatelodge.methods import (
    BY_CODE_OF_FACTOR,
    BY_EMAIL_CODE,
    Methods,
    acr_of,
    with_second_factor,
)
from gatelodge.proofs.notices import Notices
from gatelodge.proofs.reset import PasswordReset
from gatelodge.sessions.known_devices import KnownDevices
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sessions.store import Session
from gatelodge.sign_in.challenges import (
    Challenge,
    Challenges,
    Tell,
    Waiting,
    failure_of,
    remembered,
    telling,
)
from gatelodge.sign_in.refusals import ChallengeOver
from gatelodge.tokens.pair import Delivery
from gatelodge.tokens.refusals import InvalidToken

REMEMBERED_FOR = timedelta(days=30)
"""How long no second factor is asked for in a remembered browser."""

MAX_BROWSERS = 20


@dataclass(frozen=True, slots=True)
class SignInContext:
    """The browser or program that signs in.

    Attributes:
        origin: where the request came from.
        former: a refresh token of the session that the new one replaces (ASVS 7.2.4), or None.
        device: the cookie that tells which users have used this browser; empty: it has none. None:
            somebody who is signed in asks by a program, which has no cookies.
        remembered: the cookie of a remembered browser; empty: it has none.
    """

    origin: Origin
    former: str | None = field(default=None, repr=False)
    device: str | None = ""
    remembered: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens sessions, after the second factor where the user has one.

    Attributes:
        sessions: opens the sessions.
        challenges: asks for the second factor.
        second_factors: checks codes.
        factors: the factors; remembers browsers.
        attempts: forgives the failures of a name.
        devices: knows the browsers of users.
        notices: tells users of sign-ins on new devices.
        audit: records what happens.
        clock: what time it is.
        policy: who must have a second factor.
        accounts: verifies the address of whoever has read a letter and proved a second factor.
        reset: leads whoever must set a new password to it.
    """

    sessions: SessionService
    challenges: Challenges
    second_factors: SecondFactors
    factors: FactorStore
    attempts: AttemptGuard
    devices: KnownDevices
    notices: Notices
    audit: AuditLog
    clock: Clock
    policy: SecondFactorPolicy
    accounts: AccountService
    reset: PasswordReset

    async def open(
        self, user: User, methods: Methods, delivery: Delivery, at: SignInContext, tell: Tell = ()
    ) -> SignedIn | Challenge:
        """Open a session for a user who has proved a factor, or ask for the second one.

        Args:
            user: the user, as read before the proof.
            methods: how the user proved it.
            delivery: how the tokens are delivered.
            at: who signs in.
            tell: what the user is to be told when they are signed in.

        Raises:
            InvalidToken: the user was disabled, deleted or signed out everywhere meanwhile.
            StoreUnavailable: nothing was changed.
        """
        if self.asks(user, at.remembered):
            return await self.challenges.ask(user, methods, delivery, tell)
        return telling(await self.open_proved(user, methods, delivery, at), tell)

    def asks(self, user: User, browser: str) -> bool:
        """Say whether a user who signs in must prove a second factor.

        Whoever must have a second factor must prove it in each browser.

        Args:
            user: the user, as stored.
            browser: the cookie of a remembered browser; empty: it has none.
        """
        if not second_factors(user.factors):
            return False
        must = self.policy.requires(user.roles)
        return must or remembered(user, browser, self.clock.now()) is None

    def may_remember(self, waiting: Waiting) -> bool:
        """Say whether the browser of a sign-in that waits can be remembered."""
        must = self.policy.requires(waiting.user.roles)
        return waiting.in_place_of is None and not must

    async def open_in_place(
        self, former: Session, user: User, methods: Methods, at: SignInContext, tell: Tell = ()
    ) -> SignedIn | Challenge:
        """Open a session in place of one whose user proves again who they are, or ask likewise.

        A remembered browser does not count: whoever has it and the password could otherwise do
        what asks for a new proof.

        Args:
            former: the session of the request.
            user: its user, as read before the proof.
            methods: how the user proved it.
            at: who asks.
            tell: as for `open`.

        Raises:
            InvalidToken: the session was ended, or the user was disabled or deleted, meanwhile.
        """
        if second_factors(user.factors):
            return await self.challenges.ask(
                user, methods, former.delivery, tell, in_place_of=former.id
            )
        return telling(await self.open_in_place_proved(former, user, methods, at), tell)

    async def finish_by_code(
        self, waiting: Waiting, kind: CodeFactor, code: str, at: SignInContext
    ) -> SignedIn:
        """Open the session that waits for a code: of an authenticator app, or a recovery code.

        Args:
            waiting: the sign-in, as `Challenges.find` returned it.
            kind: what the code is of.
            code: the code as typed.
            at: who signs in.

        Raises:
            ChallengeOver: as for `finish`.
            WrongFactorCode: the code is wrong, or was used. The challenge stays.
            TooManyAttempts: too many codes were wrong.
            HashingBusy: too many tries are in progress.
        """
        user = waiting.user
        await self.second_factors.require_code(
            user.id,
            user.factors,
            kind,
            code,
            Actor(user.id, at.origin),
            failure_of(waiting),
            known_by=await self._known_by(waiting, at),
        )
        with after_a_change():
            return await self.finish(waiting, BY_CODE_OF_FACTOR, at)

    async def finish(self, waiting: Waiting, second: Methods, at: SignInContext) -> SignedIn:
        """Open the session that waits, whose user has proved the second factor.

        If the first one was a code from a letter, the address counts as verified now.

        Args:
            waiting: what the challenge was for.
            second: how the user proved it.
            at: who signs in.

        Raises:
            ChallengeOver: somebody else has answered the challenge, or the user was disabled,
                deleted or signed out everywhere meanwhile.
        """
        await self.challenges.use_up(waiting)
        user = waiting.user
        methods = with_second_factor(waiting.methods, second)
        try:
            with after_a_change():
                await self.attempts.forgive(user.username_key)
                if waiting.methods == BY_EMAIL_CODE:
                    await self.accounts.verify_email(user, Actor(user.id, at.origin))
                if waiting.in_place_of is None:
                    signed_in = await self.open_proved(user, methods, waiting.delivery, at)
                else:
                    former = await self._session(waiting.in_place_of)
                    signed_in = await self.open_in_place_proved(former, user, methods, at)
                return telling(signed_in, waiting.tell)
        except (InvalidToken, NoSuchUser) as changed:
            raise ChallengeOver from changed

    async def remember(self, signed_in: SignedIn, origin: Origin) -> str:
        """Ask for no second factor in this browser for 30 days; return the secret for its cookie.

        It ends earlier when the password changes, when the user signs out everywhere, and when the
        user removes it or the last second factor.

        Args:
            signed_in: the user, who has just proved the second factor, and the session.
            origin: the browser.

        Returns:
            The secret; empty: nothing was remembered, as for a user who must have a second factor.
        """
        user, now = signed_in.user, self.clock.now()
        if self.policy.requires(user.roles):
            return ""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        browser = Factor(
            FactorId(new_id(FACTOR_PREFIX, now)),
            "browser",
            origin.user_agent,
            now,
            last_used_at=now,
            counter=user.epoch,
            digests=(digest_of(secret),),
            expires_at=now + REMEMBERED_FOR,
        )
        event = self.audit.event(
            "browser.remembered",
            Actor(user.id, origin),
            target=user.id,
            detail={"factor": browser.id, "session": signed_in.session.id},
        )
        change = remembering(browser, most=MAX_BROWSERS)
        kept = self.factors.change(user.id, change, event, epoch=user.epoch)
        return secret if await self.audit.logged(event, kept) is not None else ""

    async def open_proved(
        self, user: User, methods: Methods, delivery: Delivery, at: SignInContext
    ) -> SignedIn:
        """Open a session for a user who has proved all that is asked for; otherwise as `open`.

        Every sign-in ends here. So no way of proving who one is gets around a new password that is
        required.

        Raises:
            PasswordMustChange: the user must set a new password first.
        """
        if SET_PASSWORD in user.must:
            raise await self.reset.demand_proved(user)
        news = self.devices.news_of(at.device, user)
        await self.notices.ask_new_device(user, at.origin, news)
        return await self.sessions.open(
            user, methods, delivery, at.origin, former=at.former, device=news
        )

    async def open_in_place_proved(
        self, former: Session, user: User, methods: Methods, at: SignInContext
    ) -> SignedIn:
        """Open a session for a user who has proved all that is asked for.

        Otherwise as `open_in_place`.
        """
        news = self.devices.news_of(at.device, user)
        await self.notices.ask_new_device(user, at.origin, news)
        return await self.sessions.open_in_place(former, user, methods, at.origin, news)

    async def _known_by(self, waiting: Waiting, at: SignInContext) -> str | None:
        """Return the level of the session in which the user is signed in already, or None."""
        session = None
        if waiting.in_place_of is not None:
            session = await self.sessions.sessions.find(waiting.in_place_of)
        elif at.former:
            session = await self.sessions.find_by_refresh_token(at.former, at.origin)
        if session is None or not session.is_own_of(waiting.user):
            return None
        return acr_of(session.methods)

    async def _session(self, session_id: SessionId) -> Session:
        """Return a session, live or not.

        Raises:
            InvalidToken: there is none.
        """
        session = await self.sessions.sessions.find(session_id)
        if session is None:
            raise InvalidToken
        return session
