"""Signing in by a passkey: alone, or as the second factor."""

from dataclasses import dataclass

from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import Actor, AuditLog, nobody_known
from gatelodge.credentials.ceremonies import Credential, PasskeyCeremonies, Question, owner_of
from gatelodge.credentials.refusals import InvalidPasskey
from gatelodge.errors import after_a_change
from gatelodge.methods import BY_PASSKEY, BY_PASSKEY_OF_FACTOR
from gatelodge.proofs.refusals import EmailNotVerified
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.challenges import Waiting, failure_of
from gatelodge.sign_in.opening import Opening, SignInContext
from gatelodge.tokens.pair import Delivery
from gatelodge.tokens.refusals import InvalidToken


@dataclass(frozen=True, slots=True)
class PasskeySignIn:
    """Signs users in by their passkeys.

    Attributes:
        users: the users.
        ceremonies: asks for passkeys, and checks the answers.
        opening: opens the sessions.
        verification: has addresses verified.
        audit: notes who does not sign in.
    """

    users: UserStore
    ceremonies: PasskeyCeremonies
    opening: Opening
    verification: AddressVerification
    audit: AuditLog

    def origins(self) -> list[str]:
        """Return the origins of all web pages that may ask for passkeys of this site.

        Raises:
            PasskeysOff: there are no passkeys.
        """
        known = self.ceremonies.require_party().origins
        return [each for each in known if each.startswith(("https://", "http://"))]

    def ask(self) -> Question:
        """Ask for a passkey of anybody."""
        return self.ceremonies.ask_sign_in()

    def ask_again(self, user: User) -> Question:
        """Ask somebody who is signed in for one of their passkeys."""
        return self.ceremonies.ask_sign_in(user.factors)

    def ask_second(self, waiting: Waiting, text: str) -> Question:
        """Ask for a passkey of the user of a sign-in that waits.

        Args:
            waiting: the sign-in.
            text: the text of its challenge.
        """
        return self.ceremonies.ask_second(text, waiting.user.factors)

    async def sign_in(
        self, text: str, credential: Credential, delivery: Delivery, at: SignInContext
    ) -> SignedIn:
        """Open a session for the owner of a passkey that has verified its user.

        Args:
            text: the text of the question.
            credential: what the browser answers.
            delivery: how the tokens are delivered.
            at: who signs in.

        Raises:
            InvalidPasskey: the answer is not right, or the owner of the passkey is disabled.
            UnknownPasskey: the user whom it names has no such passkey.
            PasskeysOff: there are no passkeys.
            EmailNotVerified: the address must be verified first.
            PasswordMustChange: the user must set a new password first.
        """
        user = await self._verified_owner(text, credential, at)
        with after_a_change():
            if self.verification.lacks(user):
                await self.opening.attempts.count_letter(at.origin)
                raise EmailNotVerified(await self.verification.ask(user, user.language))
            try:
                return await self.opening.open_proved(user, BY_PASSKEY, delivery, at)
            except InvalidToken as changed:
                raise InvalidPasskey("the user has changed") from changed

    async def sign_in_again(
        self, caller: Records, text: str, credential: Credential, at: SignInContext
    ) -> SignedIn:
        """Open a session in place of the present one, whose user proves again who they are.

        Args:
            caller: the user, and the session of the request.
            text: the text of the question, as from `ask`.
            credential: what the browser answers.
            at: who asks.

        Raises:
            InvalidPasskey: the answer is not right, or is another user's.
            InvalidToken: the session was ended, or the user was disabled or deleted, meanwhile.
        """
        user = caller.user
        by = Actor(user.id, at.origin)
        await self.ceremonies.verify(
            text, "sign_in", credential, user.id, user.factors, by, "sign_in.again_failed"
        )
        with after_a_change():
            return await self.opening.open_in_place_proved(caller.session, user, BY_PASSKEY, at)

    async def finish(
        self, waiting: Waiting, text: str, credential: Credential, at: SignInContext
    ) -> SignedIn:
        """Open the session that waits for a passkey as its second factor.

        Args:
            waiting: the sign-in.
            text: the text of its challenge, for which the passkey was asked.
            credential: what the browser answers.
            at: who signs in.

        Raises:
            InvalidPasskey: the answer is not right. The challenge stays.
            ChallengeOver: as for `Opening.finish`.
        """
        user = waiting.user
        by = Actor(user.id, at.origin)
        await self.ceremonies.verify(
            text, "second", credential, user.id, user.factors, by, failure_of(waiting)
        )
        with after_a_change():
            return await self.opening.finish(waiting, BY_PASSKEY_OF_FACTOR, at)

    async def _verified_owner(self, text: str, credential: Credential, at: SignInContext) -> User:
        """Return the enabled user whose passkey has answered a question.

        Whether there is such a user tells only whoever has one of their passkeys: so each answer to
        a question that waits is looked at in the same way.

        Raises:
            InvalidPasskey: as for `sign_in`.
        """
        self.ceremonies.require_party()
        named = owner_of(credential)
        user = await self.users.find(named) if named else None
        by = Actor(user.id, at.origin) if user else nobody_known(at.origin)
        if named is not None:
            factors = user.factors if user else ()
            await self.ceremonies.verify(
                text, "sign_in", credential, named, factors, by, "sign_in.failed"
            )
        if user is None or user.disabled_at is not None:
            detail = {"factor": "passkey"}
            self.audit.note("sign_in.failed", by, target=named, outcome="failure", detail=detail)
            raise InvalidPasskey("nobody may sign in by it")
        return user
