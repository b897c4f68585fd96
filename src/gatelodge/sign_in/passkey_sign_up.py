"""Signing up with a passkey and no password, where the operator allows it."""

from dataclasses import dataclass, field, replace

from gatelodge.accounts.names import check_name
from gatelodge.accounts.service import AccountService, NewUser
from gatelodge.audit import Origin
from gatelodge.clock import Clock
from gatelodge.credentials.ceremonies import Credential, PasskeyCeremonies, Question
from gatelodge.credentials.recovery_codes import new_codes_factor
from gatelodge.errors import after_a_change
from gatelodge.methods import BY_PASSKEY
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sign_in.opening import Opening, SignInContext
from gatelodge.sign_in.refusals import InvalidCredentials, SignUpByPasskeyOff
from gatelodge.sign_in.service import SignedUp
from gatelodge.tokens.pair import Delivery
from gatelodge.tokens.refusals import InvalidToken


@dataclass(frozen=True, slots=True)
class SignedUpByPasskey:
    """What a sign-up with a passkey has led to.

    Attributes:
        signed_up: the user and the session.
        codes: the recovery codes, shown once.
    """

    signed_up: SignedUp
    codes: list[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PasskeySignUp:
    """Signs users up who have a passkey and no password.

    Attributes:
        accounts: makes users.
        ceremonies: asks for passkeys, and checks the answers.
        opening: opens the sessions.
        verification: has the addresses of new users verified.
        clock: what time it is.
        allowed: whether the operator allows it.
    """

    accounts: AccountService
    ceremonies: PasskeyCeremonies
    opening: Opening
    verification: AddressVerification
    clock: Clock
    allowed: bool

    def require_allowed(self) -> None:
        """Do nothing where people may sign up in this way.

        Raises:
            SignUpByPasskeyOff: they may not.
        """
        if not self.allowed:
            raise SignUpByPasskeyOff

    async def ask(self, wanted: NewUser, origin: Origin) -> Question:
        """Ask a browser to make a passkey for a new user; nothing is stored.

        Args:
            wanted: the values for the user; there is no password.
            origin: where the request came from.

        Raises:
            SignUpByPasskeyOff, PasskeysOff: nobody may sign up in this way.
            SignUpClosed, InvalidUsername, InvalidEmail, UsernameTaken, EmailTaken: the values
                cannot be had.
            TooManyAttempts: too many sign-ups came from this network address lately. Each question
                counts: it tells which names are taken.
        """
        self.require_allowed()
        await self.accounts.check_sign_up(replace(wanted, sets_password=True), origin)
        return self.ceremonies.ask_sign_up(wanted.username)

    async def sign_up(
        self,
        text: str,
        credential: Credential,
        wanted: NewUser,
        name: str,
        delivery: Delivery | None,
        at: SignInContext,
    ) -> SignedUpByPasskey:
        """Create a user with the passkey that a browser has made, and open a session.

        The user, the passkey and the recovery codes are stored in one write.

        Args:
            text: the text of the question.
            credential: what the browser answers.
            wanted: the values for the user.
            name: what the user calls the passkey; may be empty.
            delivery: how the tokens are delivered; None: no session is wanted.
            at: who signs up.

        Raises:
            InvalidPasskey: the question was answered or is too old, the answer is not right, or
                some user has the passkey.
            InvalidCredentials: the new user was disabled, deleted or signed out everywhere at the
                same moment.
            Refusal: as for `ask`.
        """
        self.require_allowed()
        wanted, name = replace(wanted, sets_password=True), check_name(name)
        user_id, passkey = await self.ceremonies.read_sign_up(text, credential, name)
        codes, unused = new_codes_factor(self.clock.now())
        factors = (passkey, unused)
        user = await self.accounts.sign_up_with(wanted, user_id, factors, at.origin)
        request = await self.verification.greet(user, wanted.language)
        if delivery is None or self.verification.lacks(user):
            return SignedUpByPasskey(SignedUp(user, None, request), codes)
        try:
            with after_a_change():
                session = await self.opening.open_proved(user, BY_PASSKEY, delivery, at)
        except InvalidToken as changed:
            raise InvalidCredentials from changed
        return SignedUpByPasskey(SignedUp(user, session, request), codes)
