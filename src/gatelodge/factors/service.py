"""The user's own factors: authenticator apps, passkeys, recovery codes, remembered browsers.

Whatever changes them asks for a proof of the last five minutes, by two factors where the user has
two (security.md, section 7).
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gatelodge.accounts.names import check_name
from gatelodge.accounts.store import User
from gatelodge.audit import Actor, AuditLog, Event, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.ceremonies import Credential, PasskeyCeremonies, Question
from gatelodge.credentials.factors import (
    FACTOR_PREFIX,
    Change,
    Factor,
    FactorId,
    Factors,
    FactorStore,
    LastFactor,
    NotFirst,
    adding,
    find_factor,
    of_kind,
    removing,
    renaming,
    replacing,
    second_factors,
)
from gatelodge.credentials.one_time_tokens import OneTimeTokenStore, digest_of, new_token
from gatelodge.credentials.own_proof import FRESH, OwnProofCheck
from gatelodge.credentials.recovery_codes import new_codes_factor
from gatelodge.credentials.refusals import ReauthenticationRequired, WrongFactorCode
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.credentials.second_factors import SecondFactors
from gatelodge.credentials.totp import app_address, matching_step, new_secret, typed_secret
from gatelodge.errors import AlreadyExists, after_a_change
from gatelodge.factors.refusals import (
    EnrolmentOver,
    LastSecondFactor,
    NoSecondFactor,
    NoSuchFactor,
    PasskeyTaken,
    SecondFactorsOff,
    TooManyFactors,
)
from gatelodge.ids import new_id
from gatelodge.methods import (
    BY_CODE_OF_FACTOR,
    BY_PASSKEY_OF_FACTOR,
    Methods,
    with_second_factor,
)
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.opening import Opening, SignInContext
from gatelodge.tokens.refusals import InvalidToken

MAX_OF_KIND = 10
"""How many authenticator apps, and how many passkeys, a user has at most."""

ENROL_LIFE = timedelta(minutes=10)
"""How long a new secret waits for its first code."""


@dataclass(frozen=True, slots=True)
class NewApp:
    """The secret of an authenticator app that is being set up.

    Attributes:
        text: what the client sends back with the first code.
        secret: the secret, as one types it into the app.
        address: the `otpauth:` address, which is in the QR code.
    """

    text: str = field(repr=False)
    secret: str = field(repr=False)
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A factor that was added.

    Attributes:
        factor: the factor.
        signed_in: the session that takes the place of the one before: it has two factors.
        codes: the recovery codes, shown once; empty: the user has some already.
    """

    factor: Factor
    signed_in: SignedIn
    codes: list[str] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class FactorService:
    """Lets users add, name and remove their factors.

    Attributes:
        store: the factors.
        tokens: the secrets that wait for their first code.
        second_factors: encrypts the secrets.
        ceremonies: makes passkeys.
        own_proof: asks for a proof of the last minutes.
        opening: opens the session that has two factors.
        audit: records what is changed.
        clock: what time it is.
        policy: who may add a second factor, and who must have one.
        site_name: the name of the site, as apps show it.
    """

    store: FactorStore
    tokens: OneTimeTokenStore
    second_factors: SecondFactors
    ceremonies: PasskeyCeremonies
    own_proof: OwnProofCheck
    opening: Opening
    audit: AuditLog
    clock: Clock
    policy: SecondFactorPolicy
    site_name: str

    async def begin_totp(self, caller: Records) -> NewApp:
        """Return a new secret for an authenticator app; it counts when its first code was typed.

        Raises:
            SecondFactorsOff: the operator lets nobody add a second factor.
            ReauthenticationRequired: the last proof is too old, or lacks a second factor.
        """
        self._require_may_add(caller)
        user, now = caller.user, self.clock.now()
        factor_id, secret = FactorId(new_id(FACTOR_PREFIX, now)), new_secret()
        sealed = base64.b64encode(self.second_factors.seal(factor_id, secret)).decode()
        text, token = new_token(
            "enrol_totp", user.id, now, ENROL_LIFE, {"factor": factor_id, "sealed": sealed}
        )
        await self.tokens.put(token)
        return self._app_of(user, text, secret)

    async def begun_totp(self, user: User, text: str) -> NewApp:
        """Return the secret that waits for its first code, to be shown once more.

        Raises:
            EnrolmentOver: it waits no longer, or the text is wrong.
        """
        _, secret = await self._waiting(user, text)
        return self._app_of(user, text, secret)

    async def confirm_totp(
        self, caller: Records, text: str, code: str, name: str, at: SignInContext
    ) -> Enrolled:
        """Add the authenticator app whose first code this is.

        Args:
            caller: the user, and the session of the request.
            text: as from `begin_totp`.
            code: the code as typed.
            name: what the user calls the app; may be empty.
            at: who asks.

        Raises:
            SecondFactorsOff, ReauthenticationRequired: as for `begin_totp`.
            EnrolmentOver: the secret waits no longer.
            WrongFactorCode: the code is wrong.
            TooManyAttempts: too many codes were wrong.
            HashingBusy: too many tries are in progress.
            InvalidName, TooManyFactors, InvalidToken: nothing was added.
        """
        self._require_may_add(caller)
        name, user = check_name(name), caller.user
        factor_id, secret = await self._waiting(user, text)
        step = await self._first_step(caller, secret, code, at.origin)
        app = Factor(
            factor_id,
            "totp",
            name,
            self.clock.now(),
            last_used_at=self.clock.now(),
            counter=step,
            sealed_secret=self.second_factors.seal(factor_id, secret),
        )
        if not await self.tokens.consume("enrol_totp", user.id, digest_of(text), self.clock.now()):
            raise EnrolmentOver
        return await self._add(caller, app, BY_CODE_OF_FACTOR, at)

    def begin_passkey(self, caller: Records) -> Question:
        """Return what a browser is asked to make a passkey.

        Raises:
            SecondFactorsOff, ReauthenticationRequired: as for `begin_totp`.
        """
        self._require_may_add(caller)
        user = caller.user
        return self.ceremonies.ask_enrol(user.id, user.username, user.name, user.factors)

    async def add_passkey(
        self, caller: Records, text: str, credential: Credential, name: str, at: SignInContext
    ) -> Enrolled:
        """Add the passkey that a browser has made.

        Args:
            caller: the user, and the session of the request.
            text: the text of the question.
            credential: what the browser answers.
            name: what the user calls the passkey; may be empty.
            at: who asks.

        Raises:
            SecondFactorsOff, ReauthenticationRequired: as for `begin_totp`.
            InvalidPasskey: the question was answered or is too old, or the answer is not right.
            PasskeyTaken: some user has this passkey.
            InvalidName, TooManyFactors, InvalidToken: nothing was added.
        """
        self._require_may_add(caller)
        name = check_name(name)
        passkey = await self.ceremonies.read_new(text, credential, caller.user.id, name)
        return await self._add(caller, passkey, BY_PASSKEY_OF_FACTOR, at)

    async def renew_codes(self, caller: Records, origin: Origin) -> list[str]:
        """Return ten new recovery codes; those before are void.

        Raises:
            ReauthenticationRequired: as for `begin_totp`.
            NoSecondFactor: there is nothing that they could stand in for.
            InvalidToken: the user was disabled, deleted or signed out everywhere meanwhile.
        """
        self.own_proof.require_fresh(caller.proof())
        if not second_factors(caller.user.factors):
            raise NoSecondFactor
        user = caller.user
        codes, factor = new_codes_factor(self.clock.now())
        detail = {"session": caller.session.id}
        event = self._event("recovery_codes.made", user, origin, detail)
        if await self._change(user, replacing(factor), event, epoch=user.epoch) is None:
            raise InvalidToken
        return codes

    async def rename(self, user: User, factor_id: str, name: str, origin: Origin) -> Factors:
        """Give a factor another name; return all of them.

        Raises:
            InvalidName: the name cannot be used.
            NoSuchFactor: the user has no such factor.
        """
        name = check_name(name)
        factor = self._find(user, factor_id)
        event = self._event("factor.renamed", user, origin, _facts_of(factor))
        renamed = await self._change(user, renaming(factor.id, name), event)
        return user.factors if renamed is None else renamed

    async def remove(self, caller: Records, factor_id: str, origin: Origin) -> Factors:
        """Remove a factor or a remembered browser; return what is left.

        Raises:
            ReauthenticationRequired: as for `begin_totp`; a browser is removed without a proof.
            NoSuchFactor: the user has no such factor, or was signed out everywhere meanwhile.
            LastSecondFactor: it is the last one, and the user must have one.
        """
        user = caller.user
        factor = self._find(user, factor_id)
        if factor.kind != "browser":
            self.own_proof.require_fresh(caller.proof())
        event = self._event(
            "browser.forgotten" if factor.kind == "browser" else "factor.removed",
            user,
            origin,
            _facts_of(factor, caller),
        )
        must_stay = self.policy.requires(user.roles)
        try:
            removed = removing(factor.id, unless_last=must_stay)
            left = await self._change(user, removed, event, epoch=user.epoch)
        except LastFactor as last:
            raise LastSecondFactor from last
        if left is None:
            raise NoSuchFactor
        return left

    def _require_may_add(self, caller: Records) -> None:
        """Refuse whoever may not add a factor now.

        Raises:
            SecondFactorsOff, ReauthenticationRequired: as for `begin_totp`.
        """
        if self.policy.mode == "off":
            raise SecondFactorsOff
        self.own_proof.require_fresh(caller.proof())

    async def _add(
        self, caller: Records, factor: Factor, second: Methods, at: SignInContext
    ) -> Enrolled:
        """Store a factor, and open the session that has two factors; see `Enrolled`.

        Recovery codes are stored in the same write: there is no factor without them.
        """
        user = caller.user
        if len(of_kind(user.factors, factor.kind)) >= MAX_OF_KIND:
            raise TooManyFactors
        event = self._event("factor.added", user, at.origin, _facts_of(factor, caller))
        codes, unused = new_codes_factor(self.clock.now())
        change = adding(
            factor, limit=MAX_OF_KIND, codes=unused, must_be_first=caller.proof().level < 2
        )
        try:
            stored = await self._change(user, change, event, epoch=user.epoch)
        except AlreadyExists as taken:
            raise PasskeyTaken from taken
        except NotFirst as meanwhile:  # another session of the user was quicker
            raise ReauthenticationRequired(FRESH, 2) from meanwhile
        if stored is None:
            raise InvalidToken
        with after_a_change():
            methods = with_second_factor(caller.session.methods, second)
            signed_in = await self.opening.open_in_place_proved(caller.session, user, methods, at)
        return Enrolled(factor, signed_in, codes if find_factor(stored, unused.id) else [])

    def _app_of(self, user: User, text: str, secret: bytes) -> NewApp:
        address = app_address(secret, self.site_name, user.username)
        return NewApp(text, typed_secret(secret), address)

    async def _waiting(self, user: User, text: str) -> tuple[FactorId, bytes]:
        """Return the id and the secret of the app that waits for its first code.

        Raises:
            EnrolmentOver: there is none, or the text is wrong.
        """
        token = await self.tokens.find("enrol_totp", user.id)
        now = self.clock.now()
        if token is None or token.expires_at <= now or token.digest != digest_of(text):
            raise EnrolmentOver
        factor_id = FactorId(token.facts["factor"])
        sealed = base64.b64decode(token.facts["sealed"])
        return factor_id, self.second_factors.unseal(factor_id, sealed)

    async def _first_step(self, caller: Records, secret: bytes, code: str, origin: Origin) -> int:
        """Return the step of the first code of an app.

        Raises:
            WrongFactorCode: it is wrong.
            TooManyAttempts, HashingBusy: as for `confirm_totp`.
        """
        step = matching_step(secret, code, self.clock.now())

        async def is_right() -> bool:
            return step is not None

        attempts = self.second_factors.attempts
        counted = attempts.by_factor(caller.user.id, caller.session.id, origin)
        if not await attempts.judge_code(counted, is_right) or step is None:
            raise WrongFactorCode(field="code")
        return step

    async def _change(
        self, user: User, change: Change, event: Event, *, epoch: int | None = None
    ) -> Factors | None:
        stored = self.store.change(user.id, change, event, epoch=epoch)
        return await self.audit.logged(event, stored)

    def _event(self, name: str, user: User, origin: Origin, detail: Mapping[str, str]) -> Event:
        return self.audit.event(name, Actor(user.id, origin), target=user.id, detail=detail)

    def _find(self, user: User, factor_id: str) -> Factor:
        factor = find_factor(user.factors, factor_id)
        if factor is None:
            raise NoSuchFactor
        return factor


def _facts_of(factor: Factor, caller: Records | None = None) -> dict[str, str]:
    """Return what an event says of a factor, and of the session in which it was changed."""
    session = {"session": caller.session.id} if caller else {}
    return {"factor": factor.id, "kind": factor.kind, **session}
