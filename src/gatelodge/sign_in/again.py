"""Proving again who one is, in a session that has lasted for a while."""

from dataclasses import dataclass

from gatelodge.accounts.store import User
from gatelodge.audit import Actor, AuditLog, Origin
from gatelodge.credentials.attempts import AttemptGuard
from gatelodge.credentials.refusals import WrongPassword
from gatelodge.credentials.service import Passwords
from gatelodge.errors import Refusal
from gatelodge.methods import BY_EMAIL_CODE, BY_PASSWORD, Methods
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sign_in.by_code import CodeSignIn


@dataclass(frozen=True, slots=True)
class SignInAgain:
    """Opens a new session for somebody who proves again who they are; the present one ends.

    So `authenticated_at` of a session never changes, and whoever has stolen its tokens does not
    gain by the proof (ASVS 7.2.4).

    Attributes:
        passwords: verifies passwords.
        attempts: counts the wrong ones.
        codes: sends and checks the codes of letters.
        sessions: opens the new session.
        audit: notes who does not prove it.
    """

    passwords: Passwords
    attempts: AttemptGuard
    codes: CodeSignIn
    sessions: SessionService
    audit: AuditLog

    async def by_password(self, caller: Records, password: str, origin: Origin) -> SignedIn:
        """Prove it by the password, and return the new session.

        Args:
            caller: the user, and the session of the request.
            password: the password as typed.
            origin: where the request came from.

        Raises:
            WrongPassword: it is wrong, or the user has none.
            TooManyAttempts: too many tries have failed in this session.
            HashingBusy: too many passwords wait to be hashed.
            InvalidToken: the user was disabled, deleted or signed out everywhere meanwhile.
        """
        user = caller.user
        counted = self.attempts.by_user(user.id, caller.session.id, origin)
        if not await self.passwords.verify(user.password_hash, password, counted):
            raise self._noted(WrongPassword(field="password"), user, origin, "password")
        return await self._open(caller, BY_PASSWORD, origin)

    async def ask_code(self, caller: Records, language: str | None, origin: Origin) -> str:
        """Ask for a letter with a code, and return the browser's half of the code.

        Raises:
            SignInByCodeOff: nobody may sign in in this way.
            NoMail: the server sends no letters.
            TooManyAttempts: too many letters were asked for from this network address.
        """
        return await self.codes.ask(caller.user.email, language, origin)

    async def by_code(self, caller: Records, request: str, code: str, origin: Origin) -> SignedIn:
        """Prove it by a code from a letter, and return the new session.

        Args:
            caller: the user, and the session of the request.
            request: what `ask_code` returned.
            code: the code as typed.
            origin: where the request came from.

        Raises:
            SignInByCodeOff: nobody may sign in in this way.
            InvalidCode: the code is wrong, was used or is too old, is another user's, or too many
                were tried.
            InvalidToken: the user was disabled, deleted or signed out everywhere meanwhile.
        """
        user = caller.user
        try:
            await self.codes.use_up(request, code, only=user.id)
        except InvalidCode as refused:
            raise self._noted(refused, user, origin, "email_code") from None
        return await self._open(caller, BY_EMAIL_CODE, origin)

    def _noted(self, refusal: Refusal, user: User, origin: Origin, factor: str) -> Refusal:
        by = Actor(user.id, origin)
        self.audit.note("sign_in.again_failed", by, outcome="failure", detail={"factor": factor})
        return refusal

    async def _open(self, caller: Records, methods: Methods, origin: Origin) -> SignedIn:
        return await self.sessions.open(
            caller.user,
            methods,
            caller.session.delivery,
            origin,
            device="known",
            follows=caller.session.id,
        )
