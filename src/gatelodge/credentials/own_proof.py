"""What shows that the user asks for a change: a sign-in of a moment ago, or the password.

Deleting the account, or changing what one signs in with, asks for it (security.md, section 7).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gatelodge.audit import NOTHING, Actor, AuditLog
from gatelodge.clock import Clock, is_recent
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.refusals import ReauthenticationRequired, WrongPassword
from gatelodge.credentials.service import Passwords
from gatelodge.ids import SessionId, UserId
from gatelodge.methods import Level

FRESH = timedelta(minutes=5)
"""How long ago a user may have proved who they are, so that nothing is asked again."""


@dataclass(frozen=True, slots=True)
class OwnProof:
    """What a caller shows.

    Attributes:
        session_id: the session of the request; wrong passwords are counted for it.
        authenticated_at: when the user of this session last proved who they are.
        password: the password, typed once more; None or empty: it was not.
        level: how sure the proof of this session was.
        has_second_factor: whether the user has a second factor; then the proof must have two.
    """

    session_id: SessionId
    authenticated_at: datetime
    password: str | None = field(default=None, repr=False)
    level: Level = 1
    has_second_factor: bool = False


@dataclass(frozen=True, slots=True)
class OwnProofCheck:
    """Says whether a proof is good enough.

    Attributes:
        passwords: verifies passwords.
        attempts: counts the wrong ones.
        audit: notes them.
        clock: what time it is.
    """

    passwords: Passwords
    attempts: AttemptGuard
    audit: AuditLog
    clock: Clock

    def require_fresh(self, proof: OwnProof) -> None:
        """Refuse somebody whose last proof is more than 5 minutes old, or lacks a second factor.

        Raises:
            ReauthenticationRequired: it is, or does.
        """
        self.require_level(proof)
        if not is_recent(proof.authenticated_at, self.clock.now(), FRESH):
            raise ReauthenticationRequired(FRESH, 2 if proof.has_second_factor else 1)

    def require_level(self, proof: OwnProof) -> None:
        """Refuse a session of one factor whose user has two.

        A remembered browser opens such sessions: whoever has it and the password must not change
        what the account is protected by.

        Raises:
            ReauthenticationRequired: it is one.
        """
        if proof.has_second_factor and proof.level < 2:
            raise ReauthenticationRequired(FRESH, 2)

    async def require(
        self, user_id: UserId, password_hash: str | None, proof: OwnProof, by: Actor, refused: str
    ) -> None:
        """Refuse a caller who does not show that they are the user.

        A password that was typed is verified, even in a new session. Whoever has a second factor
        must have proved it in this session.

        Args:
            user_id: the user.
            password_hash: the stored hash of the user's password, or None.
            proof: what the caller shows.
            by: the user, with where the request came from.
            refused: the event that is noted for a wrong password.

        Raises:
            ReauthenticationRequired: no password was typed, and the last proof is too old.
            WrongPassword: the password is wrong.
            TooManyAttempts: too many tries have failed in this session.
            HashingBusy: too many passwords wait to be hashed.
        """
        if proof.password:
            await self.require_password(user_id, password_hash, proof, by, refused)
            self.require_level(proof)
        else:
            self.require_fresh(proof)

    async def require_password(
        self,
        user_id: UserId,
        password_hash: str | None,
        proof: OwnProof,
        by: Actor,
        refused: str,
        *,
        field: str = "password",
        detail: Mapping[str, str] = NOTHING,
    ) -> None:
        """Refuse a caller who does not type the password of the user.

        Args:
            user_id: the user.
            password_hash: the stored hash of the user's password, or None.
            proof: what the caller shows; without a password, it is wrong.
            by: the user, with where the request came from.
            refused: the event that is noted for a wrong password.
            field: the name of the field in the request.
            detail: what else the event says.

        Raises:
            WrongPassword, TooManyAttempts, HashingBusy: as for `require`.
        """
        counted = self.attempts.by_user(user_id, proof.session_id, by.origin)
        typed = proof.password or ""
        if not await self.passwords.verify(password_hash, typed, counted, field=field):
            self.audit.note(refused, by, outcome="failure", detail=detail)
            raise WrongPassword(field=field)
