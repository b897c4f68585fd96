"""The proof by a second factor: a code of an authenticator app, or a recovery code.

A code works once, in all processes together, because one write uses it up. Wrong ones are counted
before they are looked at (security.md, sections 7 and 8).
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gatelodge.audit import Actor, AuditLog
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.factors import (
    Factor,
    FactorId,
    Factors,
    FactorStore,
    of_kind,
    removing_all,
    using_code,
    using_step,
)
from gatelodge.credentials.recovery_codes import digest_of_code
from gatelodge.credentials.refusals import WrongFactorCode
from gatelodge.credentials.totp import matching_step
from gatelodge.errors import after_a_change
from gatelodge.ids import UserId
from gatelodge.master_key import MasterKey

CodeFactor: TypeAlias = Literal["totp", "recovery_code"]
"""A factor that is proved by a code that one types."""

_SECRETS = "totp-secrets"


@dataclass(frozen=True, slots=True)
class SecondFactors:
    """Checks codes of second factors.

    Attributes:
        store: the factors.
        attempts: counts wrong codes.
        audit: records recovery codes that are used, and notes wrong codes.
        clock: what time it is.
        master_key: encrypts the secrets of authenticator apps.
    """

    store: FactorStore
    attempts: AttemptGuard
    audit: AuditLog
    clock: Clock
    master_key: MasterKey

    async def require_code(
        self,
        user_id: UserId,
        factors: Factors,
        kind: CodeFactor,
        code: str,
        by: Actor,
        refused: str,
        *,
        known_by: str | None = None,
    ) -> None:
        """Use a code up, or refuse the caller.

        Args:
            user_id: the user.
            factors: the factors of the user, as read before.
            kind: what the code is of.
            code: the code as typed.
            by: who sends it.
            refused: the event that is noted for a wrong code.
            known_by: one of `KNOWN_BY`, for which wrong codes of strangers do not count; None: it
                is a stranger.

        Raises:
            WrongFactorCode: the code is wrong, was used or is too old, or there is no such factor.
            TooManyAttempts: too many codes were wrong.
            HashingBusy: too many tries are in progress.
        """
        checks: dict[CodeFactor, Callable[[], Awaitable[bool]]] = {
            "totp": lambda: self._use_step(user_id, factors, code),
            "recovery_code": lambda: self._use_recovery_code(user_id, factors, code, by),
        }
        wanted = self.attempts.by_factor(user_id, known_by, by.origin)
        if not await self.attempts.judge_code(wanted, checks[kind]):
            self.audit.note(refused, by, target=user_id, outcome="failure", detail={"factor": kind})
            raise WrongFactorCode(field="code")

    async def reset(self, user_id: UserId, factors: Factors, by: Actor) -> bool:
        """Remove all factors of a user, and end every session of theirs. True if there were any.

        For a user who has lost them all, and has shown to the operator who they are. Wrong codes
        are forgiven.

        Args:
            user_id: the user.
            factors: the factors of the user, as read before.
            by: the operator.
        """
        if not factors:
            return False
        kinds = dict.fromkeys(each.kind for each in factors)
        event = self.audit.event(
            "factors.reset", by, target=user_id, detail={"kinds": " ".join(kinds)}
        )
        change = self.store.change(user_id, removing_all(), event, ends_sessions=True)
        if await self.audit.logged(event, change) is None:
            return False
        with after_a_change():
            await self.attempts.forgive_codes(user_id)
        return True

    def seal(self, factor_id: FactorId, secret: bytes) -> bytes:
        """Return the secret of an authenticator app, encrypted for its factor."""
        return self.master_key.seal(_SECRETS, secret, factor_id.encode())

    def unseal(self, factor_id: FactorId, sealed: bytes) -> bytes:
        """Return the secret of an authenticator app.

        Raises:
            ConfigurationError: it was encrypted with another master key, or for another factor.
        """
        return self.master_key.unseal(_SECRETS, sealed, factor_id.encode())

    async def _use_step(self, user_id: UserId, factors: Factors, code: str) -> bool:
        """Use a code of one of the user's apps up; every app is looked at."""
        at = self.clock.now()
        steps = [(each, self._step_of(each, code)) for each in of_kind(factors, "totp")]
        for app, step in steps:
            if step is None:
                continue
            if await self.store.change(user_id, using_step(app.id, step, at)) is not None:
                return True
        return False

    def _step_of(self, app: Factor, code: str) -> int | None:
        secret = self.unseal(app.id, app.sealed_secret or b"")
        return matching_step(secret, code, self.clock.now())

    async def _use_recovery_code(
        self, user_id: UserId, factors: Factors, code: str, by: Actor
    ) -> bool:
        """Use a recovery code up. The event that tells of it says how many are left."""
        digest = digest_of_code(code)
        digests = [each for codes in of_kind(factors, "recovery_codes") for each in codes.digests]
        if True not in [hmac.compare_digest(each, digest) for each in digests]:
            return False
        event = self.audit.event(
            "recovery_code.used", by, target=user_id, detail={"left": str(len(digests) - 1)}
        )
        change = self.store.change(user_id, using_code(digest, self.clock.now()), event)
        return await self.audit.logged(event, change) is not None
