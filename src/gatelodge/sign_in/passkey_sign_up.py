"""Signing up by a passkey, without a password."""

from dataclasses import dataclass, field, replace

from gatelodge.accounts.service import AccountService, NewUser
from gatelodge.audit import Actor, AuditLog, Origin
from gatelodge.credentials.ceremonies import Credential, PasskeyCeremonies, Question
from gatelodge.credentials.factors import FACTOR_PREFIX, Factor, FactorId, adding
from gatelodge.credentials.recovery_codes import digest_of_code, new_recovery_codes
from gatelodge.ids import USER_PREFIX, UserId, new_id
from gatelodge.methods import BY_PASSKEY
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sign_in.opening import Opening, SignInContext
from gatelodge.sign_in.refusals import SignUpByPasskeyOff
from gatelodge.sign_in.service import SignedUp
from gatelodge.tokens.pair import Delivery


@dataclass(frozen=True, slots=True)
class SignedUpByPasskey:
    """What a sign-up by passkey has led to, and the recovery codes."""

    signed_up: SignedUp
    codes: list[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PasskeySignUp:
    """Signs users up by a passkey."""

    accounts: AccountService
    ceremonies: PasskeyCeremonies
    opening: Opening
    verification: AddressVerification
    audit: AuditLog
    is_allowed: bool

    def require_allowed(self) -> None:
        """Refuse where nobody may sign up so."""
        if not self.is_allowed:
            raise SignUpByPasskeyOff

    async def ask(self, wanted: NewUser, origin: Origin) -> Question:
        """Return what the browser is asked."""
        self.require_allowed()
        await self.accounts.attempts.count_sign_up(origin)
        await self.accounts.prepare(replace(wanted, sets_password=True))
        user_id = UserId(new_id(USER_PREFIX, self.accounts.clock.now()))
        question = self.ceremonies.ask_enrol(user_id, wanted.username, "", ())
        return Question(f"{question.text}~{user_id}", question.options)

    async def sign_up(
        self,
        text: str,
        credential: Credential,
        wanted: NewUser,
        name: str,
        delivery: Delivery,
        at: SignInContext,
    ) -> SignedUpByPasskey:
        """Create the user."""
        self.require_allowed()
        user = await self.accounts.prepare(replace(wanted, sets_password=True))
        asked, _, user_id = text.partition("~")
        passkey = await self.ceremonies.read_new(asked, credential, UserId(user_id), name)
        user = replace(user, id=UserId(user_id))
        by = Actor(user.id, at.origin)
        user = await self.accounts.add(user, "user.signed_up", by)
        codes = new_recovery_codes()
        unused = Factor(
            FactorId(new_id(FACTOR_PREFIX, self.accounts.clock.now())),
            "recovery_codes",
            "",
            self.accounts.clock.now(),
            digests=tuple(digest_of_code(each) for each in codes),
        )
        event = self.audit.event("factor.added", by, target=user.id, detail={"factor": "passkey"})
        change = adding(passkey, limit=10, codes=unused)
        await self.ceremonies.store.change(user.id, change, event)
        user = await self.accounts.get_by_username(user.username)
        request = await self.verification.greet(user, wanted.language)
        if self.verification.lacks(user):
            return SignedUpByPasskey(SignedUp(user, None, request), codes)
        signed_in = await self.opening.open_proved(user, BY_PASSKEY, delivery, at)
        return SignedUpByPasskey(SignedUp(user, signed_in, request), codes)
