"""Invitations: an operator chooses the roles, and whoever is invited chooses name and password."""

import contextlib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from gatelodge.accounts.names import check_email
from gatelodge.accounts.refusals import EmailTaken, UsernameTaken
from gatelodge.accounts.roles import USER
from gatelodge.accounts.service import SENT_TWICE_WITHIN, AccountService, NewUser
from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import Actor, AuditLog, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore
from gatelodge.errors import OutcomeUnknown, Refusal, StoreUnavailable, after_a_change
from gatelodge.ids import UserId
from gatelodge.letters.refusals import NoMail
from gatelodge.letters.service import LetterService, Written, id_about
from gatelodge.letters.store import Letter
from gatelodge.proofs.codes import LetterProofs
from gatelodge.proofs.refusals import InvalidCode, InvitationInUse
from gatelodge.proofs.users import DONE_WITHIN, ask_for_user, facts_of, send_for_password
from gatelodge.tasks import look_for

INVITE = "invitation"
SET_PASSWORD = "set-password"  # noqa: S105 - the name of a letter

LIFE = timedelta(days=7)

TAKEN_FOR = timedelta(minutes=1)
"""How long whoever has taken an invitation may take to make the user. Whoever dies meanwhile lets
go of it: then it can be accepted again."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that can be accepted.

    Attributes:
        id: stands for the address; an earlier invitation of the same address has the same one.
        email: the address.
        roles: the roles that the new user gets.
        by: who invited, as events name it.
        expires_at: until when it can be accepted; None: its letter was not sent yet.
    """

    id: str
    email: str
    roles: tuple[str, ...]
    by: str
    expires_at: datetime | None

    @classmethod
    def of(cls, token: OneTimeToken) -> Self:
        """Return what a token was made for."""
        facts = token.facts
        until = token.expires_at if token.life is None else None
        return cls(token.subject, facts["email"], tuple(facts["roles"].split()), facts["by"], until)


@dataclass(frozen=True, slots=True)
class Invitations:
    """Invites people, and makes users who set their passwords themselves.

    Attributes:
        users: the users.
        accounts: makes users.
        letters: sends the letters.
        tokens: the open invitations.
        proofs: makes and checks the links.
        audit: records who was invited.
        clock: what time it is.
        public_base: the public address of the pages.
    """

    users: UserStore
    accounts: AccountService
    letters: LetterService
    tokens: OneTimeTokenStore
    proofs: LetterProofs
    audit: AuditLog
    clock: Clock
    public_base: str

    async def invite(self, email: str, roles: Sequence[str], by: Actor) -> Invitation:
        """Have a letter sent that lets its reader make an account; return the invitation.

        An earlier invitation of the same address is void.

        Args:
            email: the address as typed.
            roles: the roles that the new user gets; none: `user`.
            by: who invites.

        Raises:
            InvalidEmail: it is no address.
            UnknownRole: a role does not exist.
            EmailTaken: somebody has the address.
            NoMail: the server sends no letters.
            OutcomeUnknown: the letter may have been stored.
        """
        to, key = check_email(email)
        held = tuple(dict.fromkeys(roles)) or (USER,)
        await self.accounts.refuse_unknown(held)
        if await self.accounts.find_email_holder(key) is not None:
            raise EmailTaken(field="email")
        if self.letters.post is None:
            raise NoMail
        facts = {"email": to, "roles": " ".join(held)}
        event = self.audit.event("invitation.sent", by, detail=facts)
        subject, letter_id = _subject_of(key), id_about(INVITE, event.id)
        making = self.proofs.make(
            "invite", subject, letter_id, LIFE, facts | {"by": by.name or ""}, asking=event
        )
        proof = await self.audit.logged(event, making)
        with after_a_change():
            await self.letters.ask(INVITE, to, key, {"token": proof.token}, about=event.id)
        return Invitation(subject, to, held, by.name or "", None)

    async def write(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write an invitation; None if it is void, or somebody has got the address."""
        subject = _subject_of(letter.to_key)
        token = await self.tokens.find("invite", subject)
        if token is None or token.letter != letter.id:
            return None
        if await self.accounts.find_email_holder(letter.to_key) is not None:
            return None
        return Written(
            {
                "link": f"{self.public_base}/invitation?token={values['token']}",
                "days": str(LIFE.days),
            },
            proof=("invite", subject),
        )

    async def list_open(self, *, limit: int) -> list[Invitation]:
        """Return up to `limit` invitations that can be accepted, in order of address."""
        alive = await self.tokens.list_alive("invite", self.clock.now(), limit=limit)
        return sorted((Invitation.of(each) for each in alive), key=lambda each: each.email)

    async def find(self, invitation_id: str) -> Invitation | None:
        """Return the invitation of this id, if it can be accepted; else None."""
        if not _ID.fullmatch(invitation_id):
            return None
        token = await self.tokens.find("invite", invitation_id)
        if token is None or token.expires_at <= self.clock.now():
            return None
        return Invitation.of(token)

    async def find_for(self, email: str) -> Invitation | None:
        """Return the invitation of an address, if there is one that can be accepted; else None.

        Raises:
            InvalidEmail: it is no address.
        """
        return await self.find(_subject_of(check_email(email)[1]))

    async def withdraw(self, email: str, by: Actor) -> bool:
        """Make the invitation of an address void. True if there was one, and nobody accepts it.

        Raises:
            InvalidEmail: it is no address.
            InvitationInUse: somebody is accepting it.
        """
        _, key = check_email(email)
        token = await self.tokens.find("invite", _subject_of(key))
        if token is None:
            return False
        try:
            taken = await self._take(token)
        except InvalidCode:  # it has expired, or somebody has accepted or replaced it just now
            return False
        detail = {"email": token.facts["email"]}
        event = self.audit.event("invitation.withdrawn", by, detail=detail)
        return await self.audit.logged(event, self.proofs.use_up(taken, event))

    async def check_link(self, text: str) -> OneTimeToken:
        """Return the record of a link, without using it up.

        Raises:
            InvalidCode: it does not work, or not any more, or somebody has got the address.
        """
        token = await self.proofs.by_link(text, "invite")
        _, key = check_email(token.facts["email"])
        if await self.accounts.find_email_holder(key) is not None:
            raise InvalidCode(field="token")
        return token

    async def accept(self, text: str, wanted: NewUser, origin: Origin) -> User:
        """Make the user who was invited. The address counts as verified.

        One conditional write decides: whoever accepts or withdraws an invitation takes it first. So
        one that was withdrawn makes nobody, and one that many accept makes one user. The same form,
        sent twice, gets the same user. If the user is refused after all, for example because of the
        username, the invitation is put back, unless a newer one has replaced it.

        The invitation is taken before the user is stored: the other way round, an invitation that
        is withdrawn at the same moment would leave a user with its roles, and that is worse than
        one that cannot be accepted for a while. Whoever dies in between leaves it taken, and it can
        be accepted again after a minute. If the user was stored, it is void, since the address is
        somebody's.

        Args:
            text: the secret of the link.
            wanted: username, name and password as typed; its address and roles are ignored.
            origin: where the request came from.

        Raises:
            InvalidCode: as for `check_link`, or somebody else has accepted it meanwhile.
            InvitationInUse: somebody else is accepting it, or died when accepting it.
            InvalidUsername, RejectedPassword, InvalidName: the first rule that is broken.
            UsernameTaken: the username belongs to somebody; another one may be tried.
            TooManyAttempts: too many names that were taken were tried from this network address.
            HashingBusy: too many passwords wait to be hashed.
        """
        try:
            token = await self.proofs.by_link(text, "invite")
            user = await self._prepared(token, wanted)
            return await self._add(await self._take(token), user, origin)
        except (InvalidCode, InvitationInUse, UsernameTaken) as refusal:
            made = await self._find_just_made(text, wanted, origin)
            if made is not None:
                return made
            if isinstance(refusal, UsernameTaken):
                await self.accounts.attempts.count_sign_up(origin)
            raise

    async def _prepared(self, token: OneTimeToken, wanted: NewUser) -> User:
        """Return the user, not stored yet."""
        try:
            return await self.accounts.prepare_invited(_completed(wanted, token))
        except EmailTaken:
            raise InvalidCode(field="token") from None

    async def _take(self, token: OneTimeToken) -> OneTimeToken:
        """Take an invitation, and return it as it is then; only one caller has it.

        If somebody else has it, wait up to a second for what becomes of it.

        Raises:
            InvalidCode: it was accepted, withdrawn or replaced, or has expired.
            InvitationInUse: somebody else still has it.
        """

        async def take() -> OneTimeToken | None:
            now = self.clock.now()
            seen = await self.tokens.find("invite", token.subject)
            if seen is None or seen.digest != token.digest or seen.expires_at <= now:
                raise InvalidCode(field="token")
            taken = replace(seen, facts={**seen.facts, _TAKEN_AT: now.isoformat()})
            free = _is_free(seen, now) and await self.tokens.change_facts(seen, taken.facts, now)
            return taken if free else None

        taken = await look_for(take)
        if taken is None:
            raise InvitationInUse(retry_after=int(TAKEN_FOR.total_seconds()))
        return taken

    async def _put_back(self, taken: OneTimeToken) -> None:
        """Let an invitation be accepted again, if the caller still has it."""
        facts = {name: value for name, value in taken.facts.items() if name != _TAKEN_AT}
        with contextlib.suppress(StoreUnavailable, OutcomeUnknown):  # else it is free in a minute
            await self.tokens.change_facts(taken, facts, self.clock.now())

    async def _add(self, taken: OneTimeToken, user: User, origin: Origin) -> User:
        """Store the user of an invitation that was taken, and use the invitation up."""
        until = self.clock.now() + SENT_TWICE_WITHIN
        used = replace(taken, purpose="invited", expires_at=until, life=None)
        try:
            await self.tokens.put(used)
            made = await self.accounts.add(user, "invitation.accepted", Actor(user.id, origin))
        except OutcomeUnknown:  # the user may be stored
            raise
        except Refusal as refusal:
            await self._put_back(taken)
            if isinstance(refusal, EmailTaken):
                raise InvalidCode(field="token") from None
            raise
        with after_a_change():
            await self.proofs.use_up(taken)
        return made

    async def _find_just_made(self, text: str, wanted: NewUser, origin: Origin) -> User | None:
        """Return the user that the same form made with this link a moment ago, or None."""
        try:
            used = await self.proofs.by_link(text, "invited")
        except InvalidCode:
            return None
        _, key = check_email(used.facts["email"])
        await look_for(lambda: self.users.find_by_email(key))  # MongoDB claims the names first
        return await self.accounts.find_just_made(_completed(wanted, used), origin)

    async def create(self, wanted: NewUser, by: Actor) -> User:
        """Create a user without a password, and have a letter sent with which to set one.

        The letter is asked for before, so that no crash loses it, and dropped if there is no such
        user.

        Raises:
            NoMail: the server sends no letters.
            Refusal: as for `AccountService.create`.
        """
        user = await self.accounts.prepare(replace(wanted, sets_password=True))
        await ask_for_user(self.letters, SET_PASSWORD, user, after=DONE_WITHIN)
        return await self.accounts.add(user, "user.created", by)

    async def send_again(self, user: User, by: Actor) -> None:
        """Have another letter sent to a user who was created so, and has set no password yet.

        Raises:
            UserDisabled, NoMail, OutcomeUnknown: as for `send_for_password`.
        """
        await send_for_password(self.letters, self.audit, SET_PASSWORD, user, by)

    async def write_set_password(
        self, letter: Letter, _values: Mapping[str, str]
    ) -> Written | None:
        """Write the letter with which a new user sets a password; None if there is no need."""
        user = await self.users.find(UserId(letter.subject or ""))
        if user is None or user.disabled_at is not None or user.password_hash is not None:
            return None
        if user.email_key != letter.to_key:
            return None
        proof = await self.proofs.make("set_password", user.id, letter.id, LIFE, facts_of(user))
        return Written(
            {
                "username": user.username,
                "link": f"{self.public_base}/reset-password?token={proof.token}",
                "days": str(LIFE.days),
            },
            subject=user.id,
            language=user.language,
            proof=("set_password", user.id),
        )


def _completed(wanted: NewUser, token: OneTimeToken) -> NewUser:
    """Return the values for the new user, with what the invitation says."""
    email, roles = token.facts["email"], token.facts["roles"].split()
    return replace(wanted, email=email, roles=roles, email_verified=True)


_TAKEN_AT = "taken_at"


def _is_free(token: OneTimeToken, now: datetime) -> bool:
    """Say whether nobody has taken an invitation, or whoever took it has died.

    Clocks of servers differ. An instant that lies further ahead than that is not believed.
    """
    at = token.facts.get(_TAKEN_AT)
    return at is None or abs(now - datetime.fromisoformat(at)) >= TAKEN_FOR


_ID = re.compile("[0-9a-f]{64}")


def _subject_of(email_key: str) -> str:
    """Return the subject of the token for an address: links do not show the address."""
    return hashlib.sha256(email_key.encode()).hexdigest()
