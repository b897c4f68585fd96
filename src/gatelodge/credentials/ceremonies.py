"""The ceremonies of passkeys: a question to a browser, and the check of its answer (WebAuthn).

A question is asked for one purpose, works once and for 5 minutes, whether the answer is right or
not (security.md, section 7). Whoever asked holds a text, of which the server stores the SHA-256: so
an answer counts only for the browser or program that asked.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from gatelodge.audit import Actor, AuditLog
from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.clock import Clock
from gatelodge.credentials.factors import (
    FACTOR_PREFIX,
    Factor,
    FactorId,
    Factors,
    FactorStore,
    of_kind,
    using_passkey,
)
from gatelodge.credentials.one_time_tokens import (
    OneTimeToken,
    OneTimeTokenStore,
    digest_of,
    new_token,
)
from gatelodge.credentials.passkeys import (
    RelyingParty,
    assertion_options,
    credential_id_of,
    new_challenge,
    read_assertion,
    read_registration,
    registration_options,
    user_handle_of,
)
from gatelodge.credentials.refusals import ClonedPasskey, InvalidPasskey
from gatelodge.ids import USER_PREFIX, UserId, id_from_bytes, id_to_bytes, new_id

Use: TypeAlias = Literal["sign_in", "second", "enrol"]
Credential: TypeAlias = Mapping[str, Any]
"""What a browser answers, as JSON (WebAuthn Level 3, section 5.1)."""

ASKED_PREFIX = "chl"
LIFE = timedelta(minutes=5)

_HANDLE_BYTES = 22


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a browser.

    Attributes:
        text: what the asker sends back with the answer.
        options: what the browser is asked, as JSON.
    """

    text: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Known:
    """A passkey, as the options name it."""

    credential_id: bytes
    transports: Sequence[str]


@dataclass(frozen=True, slots=True)
class PasskeyCeremonies:
    """Asks browsers for passkeys, and checks their answers.

    Attributes:
        party: who asks.
        tokens: the questions.
        store: the passkeys.
        audit: notes what is refused.
        clock: what time it is.
    """

    party: RelyingParty
    tokens: OneTimeTokenStore
    store: FactorStore
    audit: AuditLog
    clock: Clock

    async def ask_sign_in(self) -> Question:
        """Ask for any passkey of this site; the answer says whose it is."""
        challenge = new_challenge()
        text = await self._ask(None, "sign_in", challenge)
        options = assertion_options(
            self.party, challenge=challenge, allow=(), user_verification=True
        )
        return Question(text, options)

    async def ask_second(self, text: str, factors: Factors) -> Question:
        """Ask for one of a user's passkeys, as the second factor.

        Args:
            text: the text of the challenge that it answers, which the asker holds already.
            factors: the factors of the user.
        """
        challenge = new_challenge()
        await self._ask(text, "second", challenge)
        options = assertion_options(
            self.party, challenge=challenge, allow=_known(factors), user_verification=False
        )
        return Question(text, options)

    async def ask_enrol(self, user_id: UserId, username: str, name: str, had: Factors) -> Question:
        """Ask a browser to make a passkey.

        Args:
            user_id: the user.
            username: the username, as the browser shows it.
            name: what to call the user.
            had: the user's factors; an authenticator that has one of their passkeys makes none.
        """
        challenge = new_challenge()
        text = await self._ask(None, "enrol", challenge, user_id)
        options = registration_options(
            self.party,
            challenge=challenge,
            user_handle=id_to_bytes(USER_PREFIX, user_id),
            username=username,
            display_name=name or username,
            exclude=_known(had),
            user_verification=False,
        )
        return Question(text, options)

    async def read_new(
        self, text: str, credential: Credential, user_id: UserId, name: str
    ) -> Factor:
        """Return the passkey that a user's browser has made; it is not stored yet.

        Args:
            text: the text of the question.
            credential: what the browser answers.
            user_id: the user, of whom it was asked.
            name: what the user calls the passkey.

        Raises:
            InvalidPasskey: the question was answered, is too old or another user's, or the answer
                is not right.
        """
        challenge = await self._take(text, "enrol", user_id)
        made = read_registration(self.party, credential, challenge, user_verification=False)
        now = self.clock.now()
        return Factor(
            FactorId(new_id(FACTOR_PREFIX, now)),
            "passkey",
            name,
            now,
            counter=made.sign_count,
            credential_id=encode_base64url(made.credential_id),
            public_key=made.public_key,
            transports=made.transports,
            syncable=made.backup_eligible,
            synced=made.backed_up,
        )

    async def verify(
        self,
        text: str,
        use: Literal["sign_in", "second"],
        credential: Credential,
        user_id: UserId,
        factors: Factors,
        by: Actor,
    ) -> Factor:
        """Return the passkey of a user that has answered, and store that it was used.

        Args:
            text: the text of the question.
            use: what was asked for: alone, a passkey must verify its user.
            credential: what the browser answers.
            user_id: the user.
            factors: the user's factors.
            by: who answers.

        Raises:
            InvalidPasskey: the question was answered or is too old, or the answer is not right.
            ClonedPasskey: the passkey has counted less than before: there may be a copy of it.
        """
        challenge = await self._take(text, use)
        try:
            passkey = _answering(credential, user_id, factors)
            answer = read_assertion(
                self.party,
                credential,
                challenge,
                public_key=passkey.public_key or b"",
                credential_id=decode_base64url(passkey.credential_id or ""),
                sign_count=passkey.counter,
                backup_eligible=passkey.syncable,
                user_verification=use == "sign_in",
            )
            used = using_passkey(
                passkey.id, answer.sign_count, self.clock.now(), synced=answer.backed_up
            )
            if await self.store.change(user_id, used) is None:
                raise ClonedPasskey("another answer was quicker, or it is removed")
        except InvalidPasskey as refused:
            self.audit.note(
                "passkey.cloned" if isinstance(refused, ClonedPasskey) else "sign_in.failed",
                by,
                target=user_id,
                outcome="failure",
                detail={"factor": "passkey"},
            )
            raise
        return passkey

    async def _ask(self, text: str | None, use: Use, challenge: bytes, user_id: str = "") -> str:
        """Store a question; return its text. A newer question with the same text replaces it."""
        now = self.clock.now()
        facts = {"use": use, "user": user_id, "challenge": encode_base64url(challenge)}
        if text is None:
            subject = new_id(ASKED_PREFIX, now)
            secret, token = new_token("passkey", subject, now, LIFE, facts)
            text = f"{subject}.{secret}"
        else:
            subject, _, secret = text.partition(".")
            token = OneTimeToken("passkey", subject, digest_of(secret), now + LIFE, facts=facts)
        await self.tokens.put(token)
        return text

    async def _take(self, text: str, use: Use, user_id: str = "") -> bytes:
        """Use a question up, and return its challenge.

        Raises:
            InvalidPasskey: there is no such question, or not any more.
        """
        subject, _, secret = text.partition(".")
        token = await self.tokens.find("passkey", subject)
        digest = digest_of(secret)
        if token is None or not hmac.compare_digest(token.digest, digest):
            raise InvalidPasskey("no such question")
        if (token.facts["use"], token.facts["user"]) != (use, user_id):
            raise InvalidPasskey("asked for something else")
        if not await self.tokens.consume("passkey", subject, digest, self.clock.now()):
            raise InvalidPasskey("the question is over")
        return decode_base64url(token.facts["challenge"])


def owner_of(credential: Credential) -> UserId | None:
    """Return the user that an answer names, or None. Nothing is verified."""
    handle = user_handle_of(credential)
    if handle is None or len(handle) != _HANDLE_BYTES:
        return None
    return UserId(id_from_bytes(USER_PREFIX, handle))


def _known(factors: Factors) -> list[_Known]:
    return [
        _Known(decode_base64url(each.credential_id or ""), each.transports)
        for each in of_kind(factors, "passkey")
    ]


def _answering(credential: Credential, user_id: UserId, factors: Factors) -> Factor:
    """Return the passkey that an answer names.

    Raises:
        InvalidPasskey: the user has no such passkey, or the answer names another user.
    """
    named = owner_of(credential)
    if user_handle_of(credential) is not None and named != user_id:
        raise InvalidPasskey("of another user")
    wanted = encode_base64url(credential_id_of(credential) or b"")
    for each in of_kind(factors, "passkey"):
        if each.credential_id == wanted:
            return each
    raise InvalidPasskey("unknown passkey")
