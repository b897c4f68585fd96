"""Signing in by a code from a letter, where the operator allows it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from gatelodge.accounts.names import check_email
from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.service import AccountService
from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import Actor, AuditLog, Origin, nobody_known
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.errors import after_a_change
from gatelodge.ids import UserId
from gatelodge.letters.service import LetterService, Written
from gatelodge.letters.store import Letter
from gatelodge.methods import BY_EMAIL_CODE
from gatelodge.proofs.codes import LetterProofs
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.proofs.users import facts_of, is_as_then
from gatelodge.sessions.known_devices import DeviceNews, KnownDevices
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.challenges import Challenge
from gatelodge.sign_in.opening import Opening, SignInContext
from gatelodge.sign_in.refusals import SignInByCodeOff
from gatelodge.tokens.pair import Delivery
from gatelodge.tokens.refusals import InvalidToken

LETTER = "sign-in-code"
LIFE = timedelta(minutes=10)

LIMITS = ((5, 1), (20, 24))
"""How many of these letters an address gets in how many hours."""


@dataclass(frozen=True, slots=True)
class CodeSignIn:
    """Signs users in by a code from a letter.

    Attributes:
        users: the users.
        accounts: verifies the addresses of those who sign in.
        opening: opens sessions, and asks for second factors.
        attempts: limits how many letters are asked for.
        letters: sends the letters.
        proofs: makes and checks the codes.
        devices: knows the browsers of users.
        audit: records who signs in, and notes who does not.
        allowed: whether the operator allows it.
    """

    users: UserStore
    accounts: AccountService
    opening: Opening
    attempts: AttemptGuard
    letters: LetterService
    proofs: LetterProofs
    devices: KnownDevices
    audit: AuditLog
    allowed: bool

    def require_allowed(self) -> None:
        """Do nothing where people may sign in in this way.

        Raises:
            SignInByCodeOff: they may not.
        """
        if not self.allowed:
            raise SignInByCodeOff

    async def ask(self, email: str, language: str | None, origin: Origin) -> str:
        """Ask for a letter to this address, and return the browser's half of its code.

        As for `PasswordReset.ask`, nobody is looked up.

        Raises:
            SignInByCodeOff: nobody may sign in in this way.
            InvalidEmail: it is no address.
            NoMail: the server sends no letters.
            TooManyAttempts: too many letters were asked for from this network address.
        """
        self.require_allowed()
        to, key = check_email(email)
        await self.attempts.count_letter(origin)
        return await self.letters.ask(LETTER, to, key, language=language)

    async def write(self, letter: Letter, _values: Mapping[str, str]) -> Written | None:
        """Write a letter with a code, or return None if nobody is to get it."""
        user = await self.users.find_by_email(letter.to_key)
        if user is None or user.disabled_at is not None or not self.allowed:
            return None
        if await self.letters.too_many(letter, LETTER, limits=LIMITS):
            return None
        proof = await self.proofs.make("sign_in", user.id, letter.id, LIFE, facts_of(user))
        return Written(
            {
                "username": user.username,
                "code": proof.code,
                "minutes": str(int(LIFE.total_seconds()) // 60),
            },
            subject=user.id,
            to=user.email,
            language=user.language,
            proof=("sign_in", user.id),
        )

    async def sign_in(
        self,
        request: str,
        code: str,
        delivery: Delivery,
        origin: Origin,
        *,
        former: str | None = None,
        device: str = "",
        remembered: str = "",
    ) -> SignedIn | Challenge:
        """Open a session for the user whose letter has this code. The address is verified by that.

        The code is used up first: of many callers with the same code, exactly one is signed in. If
        the account may be one that a stranger made, the stranger is locked out; see `_verify`.

        Args:
            request: what `ask` returned.
            code: the code as typed.
            delivery: how the tokens are delivered.
            origin: where the request came from.
            former: a refresh token of the session that the new one replaces (ASVS 7.2.4), or None.
            device: the cookie that tells which users have used this browser; empty: none.
            remembered: the cookie of a remembered browser; empty: none.

        Raises:
            SignInByCodeOff: nobody may sign in in this way.
            InvalidCode: the code is wrong, was used or is too old, too many codes were tried, or
                the user was disabled, deleted or signed out everywhere, or has another password or
                address.
            PasswordMustChange: the user must set a new password first.
        """
        try:
            then = await self.use_up(request, code)
            news = self.devices.news_of(device, then)
            with after_a_change():
                user = await self._verify(then, news, origin)
                is_void = user.password_hash != then.password_hash
                return await self.opening.open(
                    user,
                    BY_EMAIL_CODE,
                    delivery,
                    SignInContext(origin, former, device, remembered),
                    ("password_is_void",) if is_void else (),
                )
        except (InvalidCode, InvalidToken) as refused:
            detail = {"factor": "email_code"}
            by = nobody_known(origin)
            self.audit.note("sign_in.failed", by, outcome="failure", detail=detail)
            raise InvalidCode(field="code") from refused

    async def ask_again(self, caller: Records, language: str | None, origin: Origin) -> str:
        """Ask for a letter to somebody who is signed in; otherwise as `ask`."""
        return await self.ask(caller.user.email, language, origin)

    async def sign_in_again(
        self, caller: Records, request: str, code: str, origin: Origin, *, device: str | None = None
    ) -> SignedIn | Challenge:
        """Open a session in place of the present one, whose user proves again who they are.

        The address is verified by that. Whoever has a second factor is asked for it too.

        Args:
            caller: the user, and the session of the request.
            request: what `ask_again` returned.
            code: the code as typed.
            origin: where the request came from.
            device: the cookie that tells which users have used this browser; None: it is no
                browser.

        Raises:
            SignInByCodeOff: nobody may sign in in this way.
            InvalidCode: the code is wrong, was used or is too old, is another user's, or too many
                were tried.
            InvalidToken: the session was ended, or the user was disabled or deleted, meanwhile.
        """
        by = Actor(caller.user.id, origin)
        try:
            user = await self.use_up(request, code, only=caller.user.id)
        except InvalidCode:
            detail = {"factor": "email_code"}
            self.audit.note("sign_in.again_failed", by, outcome="failure", detail=detail)
            raise
        with after_a_change():
            with suppress(NoSuchUser):
                await self.accounts.verify_email(user, by)
            return await self.opening.open_in_place(
                caller.session, user, BY_EMAIL_CODE, SignInContext(origin, device=device)
            )

    async def use_up(self, request: str, code: str, *, only: UserId | None = None) -> User:
        """Return the user whose letter has this code, and use the code up.

        Args:
            request: what `ask` returned.
            code: the code as typed.
            only: whose letter it must be; a code of somebody else stays as it is. None: anybody's.

        Raises:
            SignInByCodeOff, InvalidCode: as for `sign_in`.
        """
        self.require_allowed()
        token = await self.proofs.by_code(request, code, "sign_in")
        if only is not None and token.subject != only:
            raise InvalidCode(field="code")
        user = await self.users.find(UserId(token.subject))
        if user is None or not is_as_then(user, token) or not await self.proofs.use_up(token):
            raise InvalidCode(field="code")
        return user

    async def _verify(self, user: User, news: DeviceNews, origin: Origin) -> User:
        """Let the address of a user who has read a letter count as verified. Return the user.

        While it was not verified, anybody may have signed up with it, and chosen the password. So
        in a browser in which this user has never signed in, the password is void from now on, and
        every session ends: the reader of the letter owns the account alone. A stranger may have
        added factors, too. So with factors, nothing counts before one of them is proved as well;
        see `Opening.finish`.

        Raises:
            InvalidCode: the user is not as read any more.
        """
        by = Actor(user.id, origin)
        may_be_a_strangers = user.email_verified_at is None and news != "known"
        if may_be_a_strangers and user.factors:
            return user
        if may_be_a_strangers and user.password_hash is not None:
            owned = await self.accounts.verify_for_owner(user, by)
            if owned is None:
                raise InvalidCode(field="code")
            return owned
        try:
            await self.accounts.verify_email(user, by)
        except NoSuchUser:
            raise InvalidCode(field="code") from None
        return user
