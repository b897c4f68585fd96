"""New passwords in place of forgotten or breached ones: a letter proves whose account it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from gatelodge.accounts.names import check_email
from gatelodge.accounts.store import SET_PASSWORD, User, UserStore
from gatelodge.audit import Actor, AuditLog, Event, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.factors import second_factors
from gatelodge.credentials.one_time_tokens import OneTimeToken, Purpose
from gatelodge.credentials.service import Passwords
from gatelodge.errors import after_a_change
from gatelodge.ids import UserId
from gatelodge.letters.service import LetterService, Written
from gatelodge.letters.store import Letter
from gatelodge.proofs.codes import LetterProofs
from gatelodge.proofs.refusals import InvalidCode, PasswordMustChange, PasswordRequired
from gatelodge.proofs.users import facts_of, is_as_then, send_for_password

LETTER = "reset-password"
BREACHED = "password-breached"
REQUIRED = "password-required"
LIFE = timedelta(minutes=10)
"""How long the link and the code work (ASVS 6.5.5)."""

OF_LINKS: tuple[Purpose, ...] = ("reset", "set_password", "must")
"""What a link may be for. The one with which a new user sets a first password lives for days, and
has a purpose of its own: a letter for a forgotten password, for which anybody can ask, would
otherwise void it."""

_PROVED = "proved"
"""Among the values of a letter: no limit holds for it. Among the facts of a link: its user has
proved more than the password."""


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """Sends letters to those whose passwords are forgotten or breached, and sets new ones.

    Attributes:
        users: the users.
        passwords: the password rules and password hashing.
        attempts: limits how many letters are asked for; forgets failed tries.
        letters: sends the letters.
        proofs: makes and checks the links and codes.
        audit: records the changes.
        clock: what time it is.
        public_base: the public address of the pages.
    """

    users: UserStore
    passwords: Passwords
    attempts: AttemptGuard
    letters: LetterService
    proofs: LetterProofs
    audit: AuditLog
    clock: Clock
    public_base: str

    async def ask(self, email: str, language: str | None, origin: Origin) -> str:
        """Ask for a letter to this address, and return the browser's half of its code.

        Nobody is looked up: the letter is written, or dropped, when it is its turn. So the answer
        and its time are the same for every address.

        Args:
            email: the address as typed.
            language: the reader's language.
            origin: where the request came from.

        Raises:
            InvalidEmail: it is no address.
            NoMail: the server sends no letters.
            TooManyAttempts: too many letters were asked for from this network address.
        """
        to, key = check_email(email)
        await self.attempts.count_letter(origin)
        request = await self.letters.ask(LETTER, to, key, language=language)
        self.audit.note("password.forgotten", Actor(None, origin), outcome="success")
        return request

    async def ask_for(self, user: User, by: Actor) -> None:
        """Have a letter sent to a user with which they set a new password, for an administrator.

        No limit holds for it: strangers, who can ask for letters to any address, must not be able
        to silence this one.

        Raises:
            UserDisabled, NoMail, OutcomeUnknown: as for `send_for_password`.
        """
        await send_for_password(self.letters, self.audit, LETTER, user, by, {_PROVED: "yes"})

    async def ask_after_proof(self, user: User, language: str | None, origin: Origin) -> str:
        """Ask for a letter to a user who has just used the link of another letter.

        No limit holds for it. Whoever holds such a link reads the mailbox, and strangers, who can
        ask for letters to any address, must not be able to silence this one. What the link did
        must not look as if it had failed, either. Such links work once, so letters are few.

        Args:
            user: the user.
            language: the reader's language.
            origin: where the request came from.

        Raises:
            NoMail: the server sends no letters.
            OutcomeUnknown: the database does not answer; what the link did is done.
        """
        with after_a_change():
            request = await self.letters.ask(
                LETTER, user.email, user.email_key, {_PROVED: "yes"}, language=language
            )
        self.audit.note("password.forgotten", Actor(user.id, origin), outcome="success")
        return request

    def has_letter_for(self, user: User, *, must_verify: bool) -> bool:
        """Say whether a letter is known to reach a user; arguments as for `demand`."""
        known = user.email_verified_at is not None or must_verify
        return self.letters.post is not None and known

    async def demand(self, user: User, origin: Origin, *, must_verify: bool) -> PasswordMustChange:
        """Return the refusal of a right password that must change, with the way to a new one.

        Others may know a breached password, or one that an administrator wants replaced. So the
        way is a letter, which they cannot read. Where no letter is known to reach the user, the
        password itself is the only proof there is: then the refusal has the secret of a link, which
        works for 10 minutes. It is not for users who have a second factor, which is proof, too.

        Args:
            user: the user, whose password was verified.
            origin: where the request came from.
            must_verify: whether the user has to read a letter anyway, to verify the address.

        Raises:
            TooManyAttempts: too many letters were asked for from this network address.
        """
        required = SET_PASSWORD in user.must
        kind, refusal = (REQUIRED, PasswordRequired) if required else (BREACHED, PasswordMustChange)
        if not self.has_letter_for(user, must_verify=must_verify):
            token = await self.proofs.make_link("must", user.id, LIFE, facts_of(user))
            return refusal(token=token)
        await self.attempts.count_letter(origin)
        request = await self.letters.ask(kind, user.email, user.email_key, language=user.language)
        return refusal(request=request)

    async def demand_proved(self, user: User) -> PasswordMustChange:
        """Return the refusal of a user who must set a password, and has proved who they are.

        The proof was more than a password that others may know: a second factor, a passkey or a
        letter. So the refusal has the secret of a link, which works for 10 minutes.
        """
        facts = facts_of(user) | {_PROVED: "yes"}
        token = await self.proofs.make_link("must", user.id, LIFE, facts)
        return PasswordRequired(token=token)

    async def write(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write a letter, of either kind, or return None if nobody is to get it."""
        user = await self.users.find_by_email(letter.to_key)
        if user is None or user.disabled_at is not None:
            return None
        if _PROVED not in values and await self.letters.too_many(letter, letter.kind):
            return None
        proof = await self.proofs.make("reset", user.id, letter.id, LIFE, facts_of(user))
        return Written(
            {
                "username": user.username,
                "link": f"{self.public_base}/reset-password?token={proof.token}",
                "code": proof.code,
                "minutes": str(int(LIFE.total_seconds()) // 60),
            },
            subject=user.id,
            to=user.email,
            language=user.language,
            proof=("reset", user.id),
        )

    async def check_link(self, text: str) -> OneTimeToken:
        """Return the record of a link, without using it up.

        Raises:
            InvalidCode: it does not work, or not any more.
        """
        token = await self.proofs.by_link(text, *OF_LINKS)
        await self._user_of(token, "token")
        return token

    async def by_link(self, text: str, password: str, origin: Origin) -> User:
        """Set a new password with the link of a letter; see `_set`."""
        token = await self.proofs.by_link(text, *OF_LINKS)
        return await self._set(token, password, origin, "token")

    async def by_code(self, request: str, code: str, password: str, origin: Origin) -> User:
        """Set a new password with the code of a letter; see `_set`.

        A password that breaks a rule costs no try, unless the rule is about the user.
        """
        self.passwords.check_new(password, context=())
        token = await self.proofs.by_code(request, code, "reset")
        return await self._set(token, password, origin, "code")

    async def _set(self, token: OneTimeToken, password: str, origin: Origin, named: str) -> User:
        """Set a new password, and end every session. A letter also verifies the address.

        One write decides: it needs the state in which the letter was written, and changes it. So a
        link works once, and not after another change of the password or a sign-out everywhere.

        Whoever has to set a new password cannot set the present one.

        Raises:
            RejectedPassword: the password breaks a rule; the link and the code work on.
            InvalidCode: they do not work, or not any more.
            HashingBusy: too many passwords wait to be hashed.
        """
        user = await self._user_of(token, named)
        self.passwords.check_new(password, context=(user.username, user.email))
        if SET_PASSWORD in user.must:
            await self.passwords.check_other_than(user.password_hash, password)
        hashed = await self.passwords.hash(password)
        name = "password.changed" if token.purpose == "must" else "password.reset"
        event = self.audit.event(name, Actor(user.id, origin), target=user.id)
        changed = None
        while changed is None:
            change = self._change(user, token, hashed, event)
            changed = await self.audit.logged(event, change)
            if changed is None:  # only another hash of the same password lets us try again
                user = await self._user_of(token, named)
        with after_a_change():
            await self.attempts.forgive(changed.username_key)
            await self.proofs.use_up(token)
        return changed

    async def _change(
        self, user: User, token: OneTimeToken, hashed: str, event: Event
    ) -> User | None:
        """Store the new hash. None if the user is not as read any more.

        The address is not verified for somebody who has shown the password, and read no letter.
        """
        if token.purpose == "must":
            return await self.users.change_password(user, hashed, event, continued=None)
        return await self.users.reset_password(user, hashed, event, at=self.clock.now())

    async def _user_of(self, token: OneTimeToken, named: str) -> User:
        """Return the user of a token, if they are as they were when it was made.

        Raises:
            InvalidCode: they are not.
        """
        user = await self.users.find(UserId(token.subject))
        if user is None or not is_as_then(user, token):
            raise InvalidCode(field=named)
        added_since = second_factors(user.factors) and _PROVED not in token.facts
        if token.purpose == "must" and added_since:
            raise InvalidCode(field=named)
        return user
