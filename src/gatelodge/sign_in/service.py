"""Prove who somebody is, and open a session for them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from gatelodge.accounts.names import email_key, username_key
from gatelodge.accounts.service import AccountService, NewUser
from gatelodge.accounts.store import SET_PASSWORD, User, UserStore
from gatelodge.audit import Actor, AuditLog, Origin, nobody_known
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import AttemptGuard, place_of
from gatelodge.credentials.factors import second_factors
from gatelodge.credentials.own_proof import OwnProofCheck
from gatelodge.credentials.refusals import (
    HashingBusy,
    HashingUnavailable,
    RejectedPassword,
    TooManyAttempts,
    WrongPassword,
)
from gatelodge.credentials.service import Passwords
from gatelodge.errors import Refusal, after_a_change
from gatelodge.methods import BY_PASSWORD
from gatelodge.proofs.refusals import EmailNotVerified
from gatelodge.proofs.reset import PasswordReset
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sessions.known_devices import KnownDevices
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sign_in.challenges import Challenge, Tell, remembered
from gatelodge.sign_in.opening import Opening, SignInContext
from gatelodge.sign_in.refusals import InvalidCredentials
from gatelodge.tokens.pair import Delivery
from gatelodge.tokens.refusals import InvalidToken

AtBreached: TypeAlias = Literal["off", "warn", "change"]

_MAX_DEVICES = 50
"""How many of a user's newest sessions are searched for the network address of a try."""

_FAILURES_EVERY_SECONDS = 0.1
"""A failure is answered at a multiple of this time, counted from the start of its try.

So its duration tells nothing (security.md, section 8). With hash parameters that cost more than the
default, the multiple grows with the cost, so that a hash takes a small part of it.
"""


_AWAKE_SECONDS = 0.005
"""How long before its answer a failure wakes up for the first time.

How fast a process wakes depends on what it did before its sleep. So each failure sleeps twice, the
second time for the same short while.
"""


@dataclass(frozen=True, slots=True)
class SignedUp:
    """What a sign-up has led to.

    Attributes:
        user: the user as stored; None: the letter to the address must be answered first, so that
            nobody learns whether the address has an account.
        session: the session that was opened; None: none was wanted, or the address must be
            verified first.
        request: the browser's half of the code in the letter to the address; None: none was sent.
    """

    user: User | None
    session: SignedIn | None
    request: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignInService:
    """Signs users up, and in by their password.

    Attributes:
        users: the users.
        accounts: makes users.
        passwords: the password rules and password hashing.
        sessions: opens the sessions.
        audit: records changes, and notes who does not sign in.
        attempts: limits failed tries and sign-ups.
        own_proof: checks the password of a user who is signed in.
        clock: what time it is.
        verification: has the addresses of new users verified.
        devices: knows the browsers of users.
        opening: opens sessions, and asks for second factors.
        reset: has a breached password replaced.
        at_breached: what becomes of a sign-in with a breached password: `off` (passwords are not
            looked up), `warn`, or `change` (nobody is signed in before there is another one).
    """

    users: UserStore
    accounts: AccountService
    passwords: Passwords
    sessions: SessionService
    audit: AuditLog
    attempts: AttemptGuard
    own_proof: OwnProofCheck
    clock: Clock
    verification: AddressVerification
    devices: KnownDevices
    opening: Opening
    reset: PasswordReset
    at_breached: AtBreached = "warn"

    async def sign_in(
        self,
        username: str,
        password: str,
        delivery: Delivery,
        origin: Origin,
        *,
        former: str | None = None,
        device: str = "",
        remembered: str = "",
    ) -> SignedIn | Challenge:
        """Open a session for the user with this name and password, or ask for one more proof.

        Args:
            username: the username or the e-mail address, as typed.
            password: the password as typed.
            delivery: how the tokens are delivered.
            origin: where the request came from.
            former: a refresh token of the session that the new one replaces (ASVS 7.2.4), or None.
            device: the cookie that tells which users have used this browser; empty: none.
            remembered: the cookie of a remembered browser; empty: none.

        Raises:
            InvalidCredentials: unknown user, wrong password or disabled user; each takes the same
                time.
            TooManyAttempts: too many tries have failed, for this name or from this address. Unknown
                names are counted too. Or too many letters were asked for from this address.
            HashingBusy: too many passwords wait to be hashed.
            PasswordMustChange: the password is right, but breached, or an administrator has
                required another one: it must be changed first.
            EmailNotVerified: the password is right, but the address must be verified first.
        """
        at = SignInContext(origin, former, device, remembered)
        user = await self._authenticate(username, password, at)
        tell = await self._require_ready(user, password, origin)
        if SET_PASSWORD in user.must or (tell and self.at_breached == "change"):
            at = replace(at, remembered="")  # such a password alone opens no session
        try:
            return await self.opening.open(user, BY_PASSWORD, delivery, at, tell)
        except InvalidToken as changed:  # the user was disabled or deleted meanwhile, for example
            raise InvalidCredentials from changed

    async def sign_in_again(
        self, caller: Records, password: str, origin: Origin, *, device: str | None = None
    ) -> SignedIn | Challenge:
        """Open a session in place of the present one, whose user proves again who they are.

        Whoever has a second factor is asked for it too.

        Args:
            caller: the user, and the session of the request.
            password: the password as typed.
            origin: where the request came from.
            device: the cookie that tells which users have used this browser; None: it is no
                browser.

        Raises:
            WrongPassword: it is wrong, or the user has none.
            TooManyAttempts: too many tries have failed in this session.
            HashingBusy: too many passwords wait to be hashed.
            PasswordMustChange, EmailNotVerified: as for `sign_in`.
            InvalidToken: the session was ended, or the user was disabled or deleted, meanwhile.
        """
        user = caller.user
        await self.own_proof.require_password(
            user.id,
            user.password_hash,
            caller.proof(password),
            Actor(user.id, origin),
            "sign_in.again_failed",
            detail={"factor": "password"},
        )
        tell = await self._require_ready(user, password, origin)
        return await self.opening.open_in_place(
            caller.session, user, BY_PASSWORD, SignInContext(origin, device=device), tell
        )

    async def _require_ready(self, user: User, password: str, origin: Origin) -> Tell:
        """Refuse a user whose password is right, and who has to do something first.

        Return the warning of a breached password, if the password is one. Where it must be changed,
        and no letter is known to reach a user who has a second factor, the user is warned, too:
        whoever knows the password alone must not set another one. A user of whom an administrator
        has required another password sets it once the second factor is proved (`Opening`).

        Raises:
            PasswordMustChange: the password is breached or another one is required, and it must be
                changed.
            EmailNotVerified: the address must be verified.
        """
        must_verify = self.verification.lacks(user)
        is_breached = self.at_breached != "off" and await self._is_breached(user, password, origin)
        if SET_PASSWORD in user.must or (is_breached and self.at_breached == "change"):
            by_letter = self.reset.has_letter_for(user, must_verify=must_verify)
            if by_letter or not second_factors(user.factors):
                # Where the address must be verified, too, the letter does both.
                raise await self.reset.demand(user, origin, must_verify=must_verify)
        if must_verify:
            await self.attempts.count_letter(origin)
            raise EmailNotVerified(await self.verification.ask(user, user.language))
        return ("password_is_breached",) if is_breached else ()

    async def sign_up(
        self,
        wanted: NewUser,
        delivery: Delivery | None,
        origin: Origin,
        *,
        former: str | None = None,
        once: bool = False,
    ) -> SignedUp:
        """Create a user who signs up, have the address verified, and open a session.

        Where nobody is told which addresses have accounts, the user is created when the letter to
        the address is answered.

        Args:
            wanted: the values for the user.
            delivery: how the tokens are delivered; None: no session is wanted.
            origin: where the request came from.
            former: a refresh token of the session that the new one replaces (ASVS 7.2.4), or None.
            once: whether a form that was sent a moment ago opens a session for the user that it
                created, instead of being refused.

        Raises:
            Refusal: as for `AccountService.sign_up`; nobody was created.
            OutcomeUnknown: the user may have been created, and a session may have been opened.
            InvalidCredentials: the new user was disabled, deleted or signed out everywhere at the
                same moment.
        """
        if self.accounts.hides_emails:
            sign_up = await self.accounts.begin_sign_up(wanted, origin, once=once)
            return SignedUp(None, None, await self.verification.greet_later(sign_up))
        create = self.accounts.sign_up_once if once else self.accounts.sign_up
        user = await create(wanted, origin)
        request = await self.verification.greet(user, wanted.language)
        if delivery is None or self.verification.lacks(user):
            return SignedUp(user, None, request)
        opened = await self.open_first(user, delivery, origin, former=former)
        return SignedUp(user, opened, request)

    async def open_first(
        self, user: User, delivery: Delivery, origin: Origin, *, former: str | None = None
    ) -> SignedIn:
        """Open the first session of a user who was just stored; arguments as for `sign_up`.

        Raises:
            OutcomeUnknown: the session may have been opened.
            InvalidCredentials: the user was disabled, deleted or signed out everywhere meanwhile.
        """
        try:
            with after_a_change():
                return await self.sessions.open(
                    user, BY_PASSWORD, delivery, origin, former=former, device="first"
                )
        except InvalidToken as changed:
            raise InvalidCredentials from changed

    async def change_password(
        self, caller: Records, current: str, new: str, origin: Origin
    ) -> SignedIn:
        """Change the password. All other sessions of the user end.

        The current password is checked and counted even if the new one cannot be used: whoever is
        told of a wrong one is told of both (`others`). A guess at the current one costs a try
        either way.

        Args:
            caller: the user, and the session of the request.
            current: the current password as typed.
            new: the new password as typed.
            origin: where the request came from.

        Raises:
            WrongPassword: `current` is wrong, or the password was changed at the same moment.
            ReauthenticationRequired: the user has a second factor, which this session lacks.
            InvalidToken: the session was ended at the same moment.
            RejectedPassword: `new` breaks the rules for passwords, or is the current one.
            TooManyAttempts: too many tries have failed in this session.
            HashingBusy: too many passwords wait to be hashed.
        """
        user = caller.user
        fault = self._fault_of_new(user, new)
        try:
            await self.own_proof.require_password(
                user.id,
                user.password_hash,
                caller.proof(current),
                Actor(user.id, origin),
                "password.change_refused",
                field="currentPassword",
            )
        except Refusal as refusal:
            refusal.others = (fault,) if fault else ()
            raise
        self.own_proof.require_level(caller.proof())
        if fault:
            raise fault
        self.passwords.check_other(new, current, field="newPassword")
        hashed = await self.passwords.hash(new, field="newPassword")
        await self.attempts.forgive(user.username_key)  # they were for the old one
        return await self._put_password(caller, hashed, origin)

    def _fault_of_new(self, user: User, new: str) -> RejectedPassword | None:
        """Return why the user cannot have this new password, or None. It needs no hash."""
        try:
            self.passwords.check_new(new, context=(user.username, user.email), field="newPassword")
        except RejectedPassword as fault:
            return fault
        return None

    async def _put_password(self, caller: Records, hashed: str, origin: Origin) -> SignedIn:
        """Store the new hash and end all other sessions, in one write.

        Raises:
            WrongPassword, InvalidToken: as for `change_password`; nothing was changed.
        """
        user = caller.user
        prepared = await self.sessions.prepare_to_continue(user, caller.session.id, origin)
        detail = {"session": prepared.session.id}
        by = Actor(user.id, origin)
        event = self.audit.event("password.changed", by, target=user.id, detail=detail)
        try:
            while True:
                change = self.users.change_password(
                    user, hashed, event, continued=prepared.session.id
                )
                changed = await self.audit.logged(event, change)
                if changed is not None:
                    return replace(prepared, user=changed)
                user = await self._rehashed(user, caller)
        except (WrongPassword, InvalidToken):
            await self.sessions.discard(prepared)
            raise

    async def _rehashed(self, user: User, caller: Records) -> User:
        """Return the user as stored now, if only the hash of the same password is another one.

        Raises:
            InvalidToken: the session was ended meanwhile, or the user was disabled or deleted.
            WrongPassword: the password was changed meanwhile.
        """
        now = await self.users.find(user.id)
        if now is None or not caller.session.is_live(now, self.clock.now()):
            raise InvalidToken
        if now.epoch != user.epoch:
            raise WrongPassword(field="currentPassword")
        return now

    async def _authenticate(self, username: str, password: str, at: SignInContext) -> User:
        """Return the enabled user with this username or e-mail address, and this password.

        Raises:
            InvalidCredentials: there is none.
            TooManyAttempts: too many tries have failed, for this name or from this address.
            HashingBusy: too many passwords wait to be hashed.
        """
        step = _FAILURES_EVERY_SECONDS * self.passwords.hasher.relative_cost
        async with _on_a_grid(step, (InvalidCredentials, TooManyAttempts)):
            key, user = await self._find_by_typed(username)
            right = await self._is_right(key, user, password, at)
            if not right or user is None:
                self._note_failure(key, user, at.origin)
                raise InvalidCredentials
        await self._bring_hash_up_to_date(user, password)
        return user

    async def _find_by_typed(self, typed: str) -> tuple[str, User | None]:
        """Return the name that a try counts for, and the user, or None.

        Both names of a user count for the username, so that two names do not allow twice the tries.
        The database is read once, whether or not there is such a user.
        """
        if "@" in typed:  # no username contains one
            key = email_key(typed)
            user = await self.users.find_by_email(key)
        else:
            key = username_key(typed)
            user = await self.users.find_by_username(key)
        return user.username_key if user else key, user

    async def forgive(self, user: User, by: Actor) -> bool:
        """Delete the failed tries for a user's name, and their wrong codes. True if there were any.

        That unlocks the user.
        """
        event = self.audit.event("user.unlocked", by, target=user.id)
        change = self.attempts.forgive_user(user.username_key, user.id, event)
        return await self.audit.logged(event, change)

    async def forgive_address(self, address: str, by: Actor) -> bool:
        """Let a network address try, sign up and ask for letters anew. True if any were counted."""
        event = self.audit.event("attempts.forgiven", by, detail={"address": place_of(address)})
        return await self.audit.logged(event, self.attempts.forgive_address(address, event))

    async def forgive_everybody(self, by: Actor) -> int:
        """Do the same for everybody. Return for how many names and addresses any were counted."""
        event = self.audit.event("attempts.forgiven", by, detail={"of": "everybody"})
        forgiven = await self.attempts.forgive_everybody(event)
        if forgiven:
            self.audit.log(event)
        return forgiven

    async def _is_right(
        self, key: str, user: User | None, password: str, at: SignInContext
    ) -> bool:
        """Return whether this is the password of an enabled user.

        If the name or the address is blocked, a device that we know gets a separate limit. So
        strangers cannot lock a user out by failing on purpose. A right password that waits for a
        second factor counts as a failure until that factor completes it.
        """
        stored = user.password_hash if user and user.disabled_at is None else None
        asked = user is not None and self.opening.asks(user, at.remembered)
        try:
            counted = self.attempts.by_name(
                key, at.origin, on_success="count" if asked else "forget"
            )
            return await self.passwords.verify(stored, password, counted)
        except TooManyAttempts:
            known_by = await self._known_by(user, at) if user else None
            if user is None or known_by is None:
                raise
            counted = self.attempts.by_user(
                user.id, known_by, at.origin, on_success="keep" if asked else "forget"
            )
            return await self.passwords.verify(stored, password, counted)

    async def _known_by(self, user: User, at: SignInContext) -> str | None:
        """Return what we know this device by, or None: a session, a browser, or an address."""
        former, origin = at.former, at.origin
        session = await self.sessions.find_by_refresh_token(former, origin) if former else None
        if session is not None and session.is_own_of(user):
            return session.id
        if (browser := remembered(user, at.remembered, self.clock.now())) is not None:
            return browser.id
        place = place_of(origin.address)
        lately = await self.sessions.list_own(user, before=None, limit=_MAX_DEVICES)
        own = (each for each in lately if each.is_own_of(user))
        return place if place and place in {place_of(each.address) for each in own} else None

    async def _bring_hash_up_to_date(self, user: User, password: str) -> None:
        """Hash the password again if the hash parameters have risen.

        If the server is too busy, a later sign-in does it.
        """
        stored = user.password_hash
        if stored is None or not self.passwords.hasher.needs_rehash(stored):
            return
        with contextlib.suppress(HashingBusy, HashingUnavailable):
            new = await self.passwords.hash_again(password)
            await self.users.replace_password_hash(user.id, stored, new)

    async def _is_breached(self, user: User, password: str, origin: Origin) -> bool:
        """Return whether the password, which is the user's, is a breached one, and log that."""
        if not await self.passwords.is_breached(password):
            return False
        by = Actor(user.id, origin)
        self.audit.note("password.breached", by, target=user.id, outcome="success")
        return True

    def _note_failure(self, key: str, user: User | None, origin: Origin) -> None:
        self.audit.note(
            "sign_in.failed",
            nobody_known(origin),
            target=user.id if user else None,
            outcome="failure",
            detail={"factor": "password", "name_hash": self.attempts.hash_of(key)[:16]},
        )


@contextlib.asynccontextmanager
async def _on_a_grid(step: float, refusals: tuple[type[Refusal], ...]) -> AsyncIterator[None]:
    """Delay refusals to the next multiple of `step` seconds, counted from the start.

    What happens before them differs a little: known devices are looked up for users only, and
    stored hashes may be older than the hash parameters of today.

    Args:
        step: the seconds between two of these moments.
        refusals: the refusals that are delayed; other exceptions are not.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        yield
    except refusals:
        leaves_at = loop.time() + (began - loop.time()) % step
        await asyncio.sleep(max(0.0, leaves_at - loop.time() - _AWAKE_SECONDS))
        await asyncio.sleep(max(0.0, leaves_at - loop.time()))
        raise
