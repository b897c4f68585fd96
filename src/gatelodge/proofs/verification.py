"""E-mail addresses: a letter proves that an address is the user's, the first or another one."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from gatelodge.accounts.names import check_email
from gatelodge.accounts.pending import PendingSignUp
from gatelodge.accounts.refusals import EmailTaken, NoSuchUser
from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.service import AccountService
from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import Actor, AuditLog, Event, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.one_time_tokens import (
    SECRET_BYTES,
    OneTimeToken,
    Purpose,
    digest_of,
)
from gatelodge.credentials.own_proof import OwnProofCheck
from gatelodge.credentials.service import Passwords
from gatelodge.errors import AlreadyExists, after_a_change
from gatelodge.ids import UserId
from gatelodge.letters.service import LetterService, Written
from gatelodge.letters.store import Letter
from gatelodge.proofs.codes import LetterProofs, Proof
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.proofs.users import DONE_WITHIN, ask_for_user
from gatelodge.sessions.lookup import Records

Verification: TypeAlias = Literal["off", "offered", "required"]

VERIFY = "verify-email"
SIGN_UP = "sign-up"
KNOWN = "sign-up-known-address"
"""The template of the letter to somebody who has an account, and not the kind of a letter."""

CHANGE = "email-change"
CHANGED = "email-changed"
REPLACED = "email-replaced"
"""To the former address, when an administrator has given the user another one."""

SET = "email-set"
"""To the new address then."""

LIFE = timedelta(hours=24)
UNDO_LIFE = timedelta(days=7)
KEPT_FOR = UNDO_LIFE + timedelta(days=1)
"""How long nobody else gets a former address. The link in the letter to it lives as long, counted
from the delivery of the letter, which may take a day."""

_PURPOSES: tuple[Purpose, ...] = ("verify", "change", "sign_up")


@dataclass(frozen=True, slots=True)
class AddressVerification:
    """Verifies and changes the e-mail addresses of users.

    Attributes:
        users: the users.
        accounts: makes the users of sign-ups that waited for this.
        passwords: hashes the password that nobody knows, when a change is taken back.
        attempts: limits how many letters are asked for.
        own_proof: says whether a user has shown who asks for another address.
        letters: sends the letters.
        proofs: makes and checks the links and codes.
        audit: records the changes.
        clock: what time it is.
        public_base: the public address of the pages.
        mode: whether new users are asked to verify their addresses: `off`, `offered`, or
            `required` before the first sign-in.
    """

    users: UserStore
    accounts: AccountService
    passwords: Passwords
    attempts: AttemptGuard
    own_proof: OwnProofCheck
    letters: LetterService
    proofs: LetterProofs
    audit: AuditLog
    clock: Clock
    public_base: str
    mode: Verification = "off"

    async def greet(self, user: User, language: str | None) -> str | None:
        """Have the address of somebody who has just signed up verified, if that is wanted.

        Return the browser's half of the code, or None if no letter is sent.
        """
        if self.mode == "off" or user.email_verified_at is not None:
            return None
        with after_a_change():
            return await self.ask(user, language)

    async def greet_later(self, sign_up: PendingSignUp) -> str:
        """Ask for the letter to the address of a sign-up that waits for it.

        The letter is of one kind, whether the address has an account or not, and nobody looks.
        Return the browser's half of the code.
        """
        with after_a_change():
            return await self.letters.ask(
                SIGN_UP,
                sign_up.email,
                sign_up.email_key,
                {"username_key": sign_up.username_key, "sign_up": sign_up.id},
                language=sign_up.language,
            )

    async def write_sign_up(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write the letter to the address of a sign-up; None if the sign-up does not wait any more.

        Whoever has an account with this address is told so.
        """
        user = await self.users.find_by_email(letter.to_key)
        if user is not None or await self.accounts.kept.find(letter.to_key) is not None:
            return await self._tell_known(letter, user)
        sign_up = await self.accounts.pending.find(values["username_key"])
        if sign_up is None or sign_up.id != values["sign_up"]:
            return None
        return await self._write_pending(letter, sign_up)

    async def _tell_known(self, letter: Letter, user: User | None) -> Written | None:
        """Tell the owner of an address that somebody wanted to sign up with it.

        Args:
            letter: the letter.
            user: who has the address; None: it is kept for its former owner.
        """
        if await self.letters.too_many(letter, SIGN_UP):
            return None
        return Written(
            {
                "sign_in_link": f"{self.public_base}/sign-in",
                "forgot_link": f"{self.public_base}/forgot",
            },
            to=user.email if user else None,
            language=user.language if user else None,
            template=KNOWN,
        )

    async def _write_pending(self, letter: Letter, sign_up: PendingSignUp) -> Written | None:
        """Write the letter whose answer makes the user; earlier ones of this sign-up are void."""
        if await self.letters.too_many(letter, VERIFY, SIGN_UP):
            return None
        proof = await self.proofs.make("sign_up", sign_up.id, letter.id, LIFE, sign_up.facts())
        values = self._values(proof, sign_up.username, sign_up.email)
        return Written(
            values,
            subject=sign_up.id,
            to=sign_up.email,
            language=sign_up.language or letter.language,
            proof=("sign_up", sign_up.id),
            template=VERIFY,
        )

    def lacks(self, user: User) -> bool:
        """Say whether a user may not sign in before the address is verified.

        Administrators always may: a server whose letters do not arrive would otherwise lock out
        those who can mend it.
        """
        unverified = user.email_verified_at is None and ADMIN not in user.roles
        return self.mode == "required" and unverified

    async def ask(self, user: User, language: str | None) -> str:
        """Ask for a letter to a user's address, and return the browser's half of its code.

        Raises:
            NoMail: the server sends no letters.
        """
        return await self.letters.ask(
            VERIFY, user.email, user.email_key, language=user.language or language
        )

    async def ask_again(self, email: str, language: str | None, origin: Origin) -> str:
        """Ask for a letter to an address, whether it is anybody's or not.

        As for `PasswordReset.ask`, nobody is looked up.

        Raises:
            InvalidEmail: it is no address.
            NoMail: the server sends no letters.
            TooManyAttempts: too many letters were asked for from this network address.
        """
        to, key = check_email(email)
        await self.attempts.count_letter(origin)
        return await self.letters.ask(VERIFY, to, key, language=language)

    async def write(self, letter: Letter, _values: Mapping[str, str]) -> Written | None:
        """Write a letter that verifies an address; None if nobody is to get it."""
        user = await self.users.find_by_email(letter.to_key)
        if user is None:
            return await self._write_newest(letter)
        if user.disabled_at is not None or user.email_verified_at is not None:
            return None
        if await self.letters.too_many(letter, VERIFY):
            return None
        return await self._written(letter, user, user.email, "verify")

    async def _write_newest(self, letter: Letter) -> Written | None:
        """Write the letter of the newest sign-up that waits for this address; None: none does."""
        if await self.accounts.kept.find(letter.to_key) is not None:
            return None
        sign_up = await self.accounts.pending.find_newest(letter.to_key)
        return None if sign_up is None else await self._write_pending(letter, sign_up)

    async def ask_change(
        self, caller: Records, email: str, password: str | None, language: str, origin: Origin
    ) -> str:
        """Ask for a letter to the address that a user wants, and return the half of its code.

        Nothing changes before the letter is answered. If another user has the address, the letter
        is dropped: the answer does not tell.

        Args:
            caller: the user and the session.
            email: the address as typed.
            password: the password; None: not given.
            language: the reader's language.
            origin: where the request came from.

        Raises:
            InvalidEmail: it is no address.
            ReauthenticationRequired: it is needed, because the last proof is too old.
            WrongPassword: it is wrong.
            NoMail: the server sends no letters.
            TooManyAttempts: too many tries or letters came from here.
            HashingBusy: too many passwords wait to be hashed.
        """
        to, key = check_email(email)
        user = caller.user
        by = Actor(user.id, origin)
        await self.own_proof.require(
            user.id, user.password_hash, caller.proof(password), by, "user.email_change_refused"
        )
        await self.attempts.count_letter(origin)
        return await self.letters.ask(
            CHANGE,
            to,
            key,
            {"epoch": str(user.epoch), "former": user.email_key},
            language=user.language or language,
            subject=user.id,
        )

    async def write_change(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write a letter to an address that a user wants; None if another user has it."""
        user = await self.users.find(UserId(letter.subject or ""))
        if user is None or user.disabled_at is not None or str(user.epoch) != values["epoch"]:
            return None
        if await self.accounts.find_email_holder(letter.to_key) not in {None, user.id}:
            return None
        if await self.letters.too_many(letter, CHANGE):
            return None
        return await self._written(letter, user, letter.to, "change", **values)

    async def _written(
        self, letter: Letter, user: User, to: str, purpose: Purpose, **facts: str
    ) -> Written:
        proof = await self.proofs.make(
            purpose,
            user.id,
            letter.id,
            LIFE,
            {"email": to, "email_key": letter.to_key, **facts},
        )
        return Written(
            self._values(proof, user.username, to),
            subject=user.id,
            to=to,
            language=user.language or letter.language,
            proof=(purpose, user.id),
        )

    def _values(self, proof: Proof, username: str, email: str) -> dict[str, str]:
        return {
            "username": username,
            "email": email,
            "link": f"{self.public_base}/verify-email?token={proof.token}",
            "code": proof.code,
            "hours": str(int(LIFE.total_seconds()) // 3600),
        }

    async def check_link(self, text: str) -> OneTimeToken:
        """Return the record of a link, without using it up.

        Raises:
            InvalidCode: it does not work, or not any more.
        """
        return await self.proofs.by_link(text, *_PURPOSES)

    async def by_link(self, text: str, origin: Origin) -> User:
        """Verify an address with the link of a letter; see `_confirm`."""
        return await self._confirm(await self.check_link(text), origin, "token")

    async def by_code(self, request: str, code: str, origin: Origin) -> User:
        """Verify an address with the code of a letter; see `_confirm`."""
        token = await self.proofs.by_code(request, code, *_PURPOSES)
        return await self._confirm(token, origin, "code")

    async def _confirm(self, token: OneTimeToken, origin: Origin, named: str) -> User:
        """Verify the address that a token is for, and make it the user's if it is another one.

        If a sign-up waits for it, the user is made. Two clicks at the same time both succeed: the
        second one changes nothing.

        Raises:
            InvalidCode: the link or code does not work, or not any more.
            EmailTaken: another user has got the address meanwhile.
            UsernameTaken, SignUpClosed: as for `AccountService.finish_sign_up`.
        """
        if token.purpose == "sign_up":
            made = await self.accounts.finish_sign_up(PendingSignUp.of(token.facts), origin)
            with after_a_change():
                await self.proofs.use_up(token)
            return made
        wanted, key = token.facts["email"], token.facts["email_key"]
        while True:
            user = await self.users.find(UserId(token.subject))
            if user is None or not _is_as_then(user, token):
                raise InvalidCode(field=named)
            if user.email_key == key and user.email_verified_at is not None:
                break
            if user.email_key != key:
                await self._allow_change(user, key)
                await self._tell_former(user, token)
            changed = await self._set(user, wanted, key, Actor(user.id, origin))
            if changed is not None:
                user = changed
                break
        with after_a_change():
            await self.proofs.use_up(token)
        return user

    async def check_for(self, user: User, email: str) -> tuple[str, str]:
        """Check an address that an administrator gives a user; return it and its key.

        Raises:
            InvalidEmail: it is no address.
            EmailTaken: another user has it, or it is kept for one.
        """
        wanted, key = check_email(email)
        if await self.accounts.find_email_holder(key) not in {None, user.id}:
            raise EmailTaken(field="email")
        return wanted, key

    async def set_for(self, user: User, email: str, by: Actor, *, verified: bool) -> User:
        """Give a user an address, for an administrator; return the user as stored.

        Links and codes in letters to the former address do not work any more. Links that take
        earlier changes back do not either, and this change has none: the administrator may have
        made it because somebody else reads the former mailbox. Both addresses get a notice. If the
        new one is not verified, a letter asks for that where new users get one.

        Args:
            user: the user; disabled ones too.
            email: the address as typed; it may be the present one.
            by: who gives it.
            verified: whether it counts as verified.

        Raises:
            InvalidEmail, EmailTaken: as for `check_for`.
            NoSuchUser: the user was deleted.
        """
        wanted, key = await self.check_for(user, email)
        told = key
        while (user.email, user.email_verified_at is not None) != (wanted, verified):
            former = user
            if former.email_key not in {key, told}:
                await self._ask_for_notices(former, wanted, key)
                told = former.email_key
            changed = await self._set_for(user, wanted, key, by, verified=verified)
            if changed is not None:
                with after_a_change():
                    await self._follow_up(former, changed)
                return changed
            now = await self.users.find(user.id)
            if now is None:
                raise NoSuchUser
            user = now
        return user

    def _event_of_change(self, user: User, key: str, by: Actor, *, verified: bool) -> Event:
        if key != user.email_key or verified == (user.email_verified_at is not None):
            return self.audit.event("user.email_changed", by, target=user.id)
        return self.audit.event(
            "user.email_verified" if verified else "user.email_unverified", by, target=user.id
        )

    async def _set_for(
        self, user: User, email: str, key: str, by: Actor, *, verified: bool
    ) -> User | None:
        """Store the address. None if the user is not as it was read any more."""
        event = self._event_of_change(user, key, by, verified=verified)
        kept = user.email_verified_at if key == user.email_key else None
        change = self.users.set_email(
            user,
            event,
            email=email,
            email_key=key,
            verified_at=(kept or self.clock.now()) if verified else None,
            disabled_too=True,
        )
        try:
            return await self.audit.logged(event, change)
        except AlreadyExists as taken:
            raise EmailTaken(field="email") from taken

    async def _ask_for_notices(self, user: User, email: str, key: str) -> None:
        """Ask for the letters to both addresses, as `_tell_former` does."""
        if self.letters.post is None:
            return
        detail = {"at": self.clock.now().isoformat()}
        await ask_for_user(self.letters, REPLACED, user, detail, after=DONE_WITHIN)
        await self.letters.ask(
            SET, email, key, detail, language=user.language, subject=user.id, after=DONE_WITHIN
        )

    async def write_set(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write the notice to the former or the new address; None if it was not changed."""
        user = await self.users.find(UserId(letter.subject or ""))
        if user is None or (letter.kind == SET) != (user.email_key == letter.to_key):
            return None
        unknown = letter.kind == SET and user.email_verified_at is None
        if unknown and await self.letters.too_many(letter, SET):
            return None
        return Written(
            {"username": user.username, "at": values["at"]},
            subject=user.id,
            language=user.language,
        )

    async def _follow_up(self, former: User, user: User) -> None:
        """Void the links that take earlier changes back, and have a new address verified."""
        if former.email_key == user.email_key:
            return
        await self._note_undone(user.id)
        asks = self.mode != "off" and self.letters.post is not None
        if asks and user.email_verified_at is None and user.disabled_at is None:
            await self.ask(user, None)

    async def _allow_change(self, user: User, key: str) -> None:
        """Refuse an address that is another user's, and keep the one that is about to be given up.

        Raises:
            EmailTaken: another user has the address, or it is kept for one.
        """
        if await self.accounts.find_email_holder(key) not in {None, user.id}:
            raise EmailTaken(field="email")
        await self.accounts.kept.keep(user, KEPT_FOR)

    async def _set(self, user: User, email: str, key: str, by: Actor) -> User | None:
        """Give the user a verified address. None if the user is not as it was read any more."""
        another = key != user.email_key
        event = self.audit.event(
            "user.email_changed" if another else "user.email_verified", by, target=user.id
        )
        change = self.users.set_email(
            user, event, email=email, email_key=key, verified_at=self.clock.now()
        )
        try:
            return await self.audit.logged(event, change)
        except AlreadyExists as taken:
            raise EmailTaken(field="email") from taken

    async def _tell_former(self, user: User, token: OneTimeToken) -> None:
        """Ask for the letter to the address that is about to be given up; once for each token.

        It is asked for before the change, so that no crash loses it, and dropped if the user still
        has this address when it is its turn.
        """
        detail = {"email": user.email}
        await ask_for_user(
            self.letters, CHANGED, user, detail, after=DONE_WITHIN, about=token.letter
        )

    async def write_changed(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write the letter to a former address, with a link that takes the change back."""
        user = await self.users.find(UserId(letter.subject or ""))
        if user is None or user.email_key == letter.to_key:
            return None
        proof = await self.proofs.make(
            "undo",
            letter.id,
            letter.id,
            UNDO_LIFE,
            {
                "user": user.id,
                "email": values["email"],
                "email_key": letter.to_key,
                "at": letter.created_at.isoformat(),
            },
        )
        return Written(
            {
                "username": user.username,
                "at": letter.created_at.isoformat(),
                "former": values["email"],
                "undo_link": f"{self.public_base}/undo-email?token={proof.token}",
                "days": str(UNDO_LIFE.days),
            },
            subject=user.id,
            language=user.language,
            proof=("undo", letter.id),
        )

    async def undo(self, text: str, origin: Origin) -> User:
        """Give a user the former address back, end every session, and void the password.

        Whoever changed the address may know the password. So it is replaced by one that nobody
        knows, and the user sets a new one. Links to take back changes that are older than this one
        are void from now on: they lead to addresses of whoever did it.

        Raises:
            InvalidCode: the link does not work, or not any more, or the user has this address.
            EmailTaken: another user has got the former address, which is not kept for ever. Every
                session has ended and the password is void all the same.
            HashingBusy: too many passwords wait to be hashed.
        """
        token = await self.check_undo(text)
        facts, by = token.facts, Actor(token.facts["user"], origin)
        hashed = await self.passwords.hash_again(secrets.token_urlsafe(SECRET_BYTES))
        while True:
            user = await self.users.find(UserId(facts["user"]))
            if user is None or user.disabled_at is not None:
                raise InvalidCode(field="token")
            if user.email_key == facts["email_key"]:
                raise InvalidCode(field="token")
            # First: whoever changed the address must not be able to change it once more.
            voided = self.audit.event("password.reset", by, target=user.id)
            await self.audit.logged(voided, self.users.set_password(user.id, hashed, voided))
            with after_a_change():
                changed = await self._restore(user.id, facts, by)
                if changed is not None:
                    await self._note_undone(user.id)
                    await self.accounts.kept.let_go(changed.email_key, changed.id)
                    await self.proofs.use_up(token)
                    return changed

    async def _restore(self, user_id: UserId, facts: Mapping[str, str], by: Actor) -> User | None:
        """Give the former address back. None if the user is not as just read any more."""
        user = await self.users.find(user_id)
        if user is None or user.disabled_at is not None:
            raise InvalidCode(field="token")
        event = self.audit.event("user.email_restored", by, target=user_id)
        change = self.users.set_email(
            user,
            event,
            email=facts["email"],
            email_key=facts["email_key"],
            verified_at=self.clock.now(),
        )
        try:
            return await self.audit.logged(event, change)
        except AlreadyExists as taken:
            raise EmailTaken(field="email") from taken

    async def _note_undone(self, user_id: UserId) -> None:
        """Remember when a change was taken back, as long as links of older changes live."""
        now = self.clock.now()
        facts = {"at": now.isoformat()}
        undone = OneTimeToken("undone", user_id, digest_of(""), now + UNDO_LIFE, facts=facts)
        await self.proofs.tokens.put(undone)

    async def check_undo(self, text: str) -> OneTimeToken:
        """Return the record of a link that takes a change back, without using it up.

        Raises:
            InvalidCode: it does not work, or not any more.
        """
        token = await self.proofs.by_link(text, "undo")
        undone = await self.proofs.tokens.find("undone", token.facts["user"])
        if undone is not None and undone.facts["at"] >= token.facts["at"]:
            raise InvalidCode(field="token")
        return token


def _is_as_then(user: User, token: OneTimeToken) -> bool:
    """Say whether a user may still use a link. One for another address needs the same sessions."""
    facts = token.facts
    if user.disabled_at is not None:
        return False
    if "epoch" not in facts or user.email_key == facts["email_key"]:
        return user.email_key == facts["email_key"]
    return str(user.epoch) == facts["epoch"] and user.email_key == facts["former"]
