"""The ceremonies of passkeys: a question to a browser, and the check of its answer (WebAuthn).

A question is asked for one purpose, and works once, for 5 minutes (security.md, section 7). Whoever
asked holds a text that goes back with the answer: so it counts only for the browser or program that
asked.

Anybody may ask, with every view of the sign-in page. So a question is not stored: its challenge
says until when it works, and has a keyed hash of that, of its purpose and of the text. A right
answer is stored until then: so it works once.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from gatelodge.audit import Actor, AuditLog
from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.clock import Clock, from_milliseconds, to_milliseconds
from gatelodge.credentials.factors import (
    FACTOR_PREFIX,
    Factor,
    FactorId,
    Factors,
    FactorStore,
    of_kind,
    using_passkey,
)
from gatelodge.credentials.one_time_tokens import OneTimeToken, OneTimeTokenStore
from gatelodge.credentials.passkeys import (
    RelyingParty,
    assertion_options,
    challenge_in,
    credential_id_of,
    new_challenge,
    read_assertion,
    read_registration,
    registration_options,
    user_handle_of,
    warm_up,
)
from gatelodge.credentials.refusals import (
    ClonedPasskey,
    InvalidPasskey,
    PasskeysOff,
    UnknownPasskey,
)
from gatelodge.ids import USER_PREFIX, UserId, id_from_bytes, id_to_bytes, new_id

Use: TypeAlias = Literal["sign_in", "second", "enrol", "sign_up"]
Credential: TypeAlias = Mapping[str, Any]
"""What a browser answers, as JSON (WebAuthn Level 3, section 5.1)."""

ASKED_PREFIX = "chl"
LIFE = timedelta(minutes=5)

_HANDLE_BYTES = 22
_SECRET_BYTES = 32
_TIME_BYTES = 6
_MAC_BYTES = 16


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
        party: who asks; None: there are no passkeys.
        tokens: the questions that were answered.
        key: the key of the hashes in challenges.
        store: the passkeys.
        audit: notes what is refused.
        clock: what time it is.
    """

    party: RelyingParty | None
    tokens: OneTimeTokenStore
    key: bytes = field(repr=False)
    store: FactorStore
    audit: AuditLog
    clock: Clock

    def require_party(self) -> RelyingParty:
        """Return who asks.

        Raises:
            PasskeysOff: there are no passkeys.
        """
        if self.party is None:
            raise PasskeysOff
        return self.party

    def warm_up(self) -> None:
        """Import what the checks need; a command that checks nothing must not wait for it."""
        if self.party is not None:
            warm_up()

    def ask_sign_in(self, factors: Factors = ()) -> Question:
        """Ask for a passkey that proves its owner alone.

        Args:
            factors: the factors of the user who is asked; empty: any passkey of this site, and the
                answer says whose it is.

        Raises:
            PasskeysOff: there are no passkeys.
        """
        party, text = self.require_party(), self._new_text()
        challenge = self._challenge("sign_in", text)
        options = assertion_options(
            party, challenge=challenge, allow=_known(factors), user_verification=True
        )
        return Question(text, options)

    def ask_second(self, text: str, factors: Factors) -> Question:
        """Ask for one of a user's passkeys, as the second factor.

        Args:
            text: the text of the challenge that it answers, which the asker holds already.
            factors: the factors of the user.

        Raises:
            PasskeysOff: there are no passkeys.
        """
        party = self.require_party()
        challenge = self._challenge("second", text)
        options = assertion_options(
            party, challenge=challenge, allow=_known(factors), user_verification=False
        )
        return Question(text, options)

    def ask_enrol(self, user_id: UserId, username: str, name: str, had: Factors) -> Question:
        """Ask a browser to make a passkey.

        Args:
            user_id: the user.
            username: the username, as the browser shows it.
            name: what to call the user.
            had: the user's factors; an authenticator that has one of their passkeys makes none.

        Raises:
            PasskeysOff: there are no passkeys.
        """
        party, text = self.require_party(), self._new_text()
        options = registration_options(
            party,
            challenge=self._challenge("enrol", text, user_id),
            user_handle=id_to_bytes(USER_PREFIX, user_id),
            username=username,
            display_name=name or username,
            exclude=_known(had),
            user_verification=False,
        )
        return Question(text, options)

    def ask_sign_up(self, username: str) -> Question:
        """Ask a browser to make a passkey for somebody who signs up with this username.

        The text of the question begins with the id that the new user gets.

        Raises:
            PasskeysOff: there are no passkeys.
        """
        party, text = self.require_party(), self._new_text(USER_PREFIX)
        options = registration_options(
            party,
            challenge=self._challenge("sign_up", text),
            user_handle=id_to_bytes(USER_PREFIX, _new_user_in(text)),
            username=username,
            display_name=username,
            exclude=(),
            user_verification=True,
        )
        return Question(text, options)

    async def read_sign_up(
        self, text: str, credential: Credential, name: str
    ) -> tuple[UserId, Factor]:
        """Return the id of the new user, and the passkey, which has verified its user.

        Raises:
            InvalidPasskey, PasskeysOff: as for `read_new`.
        """
        passkey = await self._read_made("sign_up", text, "", credential, name, verified=True)
        return _new_user_in(text), passkey

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
            PasskeysOff: there are no passkeys.
        """
        return await self._read_made("enrol", text, user_id, credential, name, verified=False)

    async def _read_made(
        self,
        use: Use,
        text: str,
        user_id: str,
        credential: Credential,
        name: str,
        *,
        verified: bool,
    ) -> Factor:
        """Use a question up, and return the factor that is stored of the passkey; see `read_new`.

        Args:
            use: what was asked for.
            text: the text of the question.
            user_id: the user, of whom it was asked; empty: somebody who signs up.
            credential: what the browser answers.
            name: what the user calls the passkey.
            verified: whether the passkey must have verified its user.
        """
        party, now = self.require_party(), self.clock.now()
        challenge = self._read(credential, use, text, user_id)
        made = read_registration(party, credential, challenge, user_verification=verified)
        await self._use_up(challenge)
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
        refused: str,
    ) -> Factor:
        """Return the passkey of a user that has answered, and store that it was used.

        Args:
            text: the text of the question.
            use: what was asked for: alone, a passkey must verify its user.
            credential: what the browser answers.
            user_id: the user.
            factors: the user's factors.
            by: who answers.
            refused: the event that is noted for a wrong answer.

        Raises:
            InvalidPasskey: the question was answered or is too old, or the answer is not right.
            ClonedPasskey: the passkey has counted less than before: there may be a copy of it.
            UnknownPasskey: the user had this passkey, and has it no more.
            PasskeysOff: there are no passkeys.
        """
        party = self.require_party()
        try:
            challenge = self._read(credential, use, text)
            passkey = _answering(credential, user_id, factors)
            answer = read_assertion(
                party,
                credential,
                challenge,
                public_key=passkey.public_key or b"",
                credential_id=decode_base64url(passkey.credential_id or ""),
                sign_count=passkey.counter,
                backup_eligible=passkey.syncable,
                user_verification=use == "sign_in",
            )
            await self._use_up(challenge)
            used = using_passkey(
                passkey.id, answer.sign_count, self.clock.now(), synced=answer.backed_up
            )
            if await self.store.change(user_id, used) is None:
                raise ClonedPasskey("another answer was quicker, or it is removed")
        except InvalidPasskey as wrong:
            self.audit.note(
                "passkey.cloned" if isinstance(wrong, ClonedPasskey) else refused,
                by,
                target=user_id,
                outcome="failure",
                detail={"factor": "passkey"},
            )
            raise
        return passkey

    def _new_text(self, prefix: str = ASKED_PREFIX) -> str:
        """Return the text of a new question, which the asker holds: an id and a secret."""
        secret = encode_base64url(secrets.token_bytes(_SECRET_BYTES))
        return f"{new_id(prefix, self.clock.now())}.{secret}"

    def _challenge(self, use: Use, text: str, user_id: str = "") -> bytes:
        """Return a new challenge: 32 random bytes, until when it works, and their keyed hash."""
        until = to_milliseconds(self.clock.now() + LIFE).to_bytes(_TIME_BYTES, "big")
        plain = new_challenge() + until
        return plain + self._mac(use, text, user_id, plain)

    def _read(self, credential: Credential, use: Use, text: str, user_id: str = "") -> bytes:
        """Return the challenge that an answer is for.

        Raises:
            InvalidPasskey: it was not made for this use, text and user, or it is too old.
        """
        challenge = challenge_in(credential) or b""
        plain, mac = challenge[:-_MAC_BYTES], challenge[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(use, text, user_id, plain)):
            raise InvalidPasskey("not asked so")
        if self.clock.now() >= _until(challenge):
            raise InvalidPasskey("asked too long ago")
        return challenge

    async def _use_up(self, challenge: bytes) -> None:
        """Mark a challenge as answered, so that it does not work again.

        Raises:
            InvalidPasskey: it was answered before. Of many callers, exactly one goes on.
        """
        digest = hashlib.sha256(challenge).digest()
        answered = OneTimeToken("passkey", digest.hex(), digest, _until(challenge))
        if not await self.tokens.put(answered, unless_after=self.clock.now()):
            raise InvalidPasskey("answered before")

    def _mac(self, use: Use, text: str, user_id: str, plain: bytes) -> bytes:
        bound = json.dumps([use, text, user_id]).encode()
        return hmac.digest(self.key, bound + plain, "sha256")[:_MAC_BYTES]


def _until(challenge: bytes) -> datetime:
    time = challenge[-_MAC_BYTES - _TIME_BYTES : -_MAC_BYTES]
    return from_milliseconds(int.from_bytes(time, "big"))


def owner_of(credential: Credential) -> UserId | None:
    """Return the user that an answer names, or None. Nothing is verified."""
    handle = user_handle_of(credential)
    if handle is None or len(handle) != _HANDLE_BYTES:
        return None
    return UserId(id_from_bytes(USER_PREFIX, handle))


def _new_user_in(text: str) -> UserId:
    """Return the id of the new user in the text of a question to somebody who signs up."""
    return UserId(text.partition(".")[0])


def _known(factors: Factors) -> list[_Known]:
    return [
        _Known(decode_base64url(each.credential_id or ""), each.transports)
        for each in of_kind(factors, "passkey")
    ]


def _answering(credential: Credential, user_id: UserId, factors: Factors) -> Factor:
    """Return the passkey that an answer names.

    Raises:
        InvalidPasskey: the answer names another user, or nobody.
        UnknownPasskey: it names this user, who has no such passkey.
    """
    named = owner_of(credential)
    if user_handle_of(credential) is not None and named != user_id:
        raise InvalidPasskey("of another user")
    wanted = encode_base64url(credential_id_of(credential) or b"")
    for each in of_kind(factors, "passkey"):
        if each.credential_id == wanted:
            return each
    if named is None:  # it may be another user's, who must not be told to delete it
        raise InvalidPasskey("unknown passkey")
    raise UnknownPasskey("unknown passkey")
