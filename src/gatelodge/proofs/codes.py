"""Links and codes in letters: two ways to prove that one has read a letter.

Each letter that asks for an act has a link. Some have a code besides, for a reader who opens the
letter on another device. A code works only in the browser that asked for the letter: it holds the
`request`, and codes are counted for it. So strangers can neither guess a code nor use up its tries.
A newer letter of the same purpose and subject voids the one before.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gatelodge.audit import Event
from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import (
    OneTimeToken,
    OneTimeTokenStore,
    Purpose,
    digest_of,
    new_token,
)
from gatelodge.credentials.typed_codes import in_groups, new_code, plain_code
from gatelodge.letters.service import KEPT, LetterService, Superseded
from gatelodge.proofs.refusals import InvalidCode

MAX_GUESSES = 5
"""How many codes may be tried with one `request`. The link in the letter works on."""

_LETTERS_OF_CODE = 8
"""39 bits."""

_SENT_WITHIN = timedelta(days=1) + KEPT
"""How long a letter may wait to be sent, and to be sent again by an operator."""

_NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Proof:
    """What is written into a letter.

    Attributes:
        token: the secret of the link.
        code: the code, in the form XXXX-XXXX.
    """

    token: str = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LetterProofs:
    """Makes and checks the links and codes in letters.

    Attributes:
        tokens: the records of both.
        letters: counts the codes that are tried.
        key: hashes the codes: they are too short for a hash without a key.
        clock: what time it is.
    """

    tokens: OneTimeTokenStore
    letters: LetterService
    key: bytes = field(repr=False)
    clock: Clock

    async def make(
        self,
        purpose: Purpose,
        subject: str,
        letter_id: str,
        life: timedelta,
        facts: Mapping[str, str],
        *,
        asking: Event | None = None,
    ) -> Proof:
        """Return a new link and code for a letter; those of earlier letters are void.

        Args:
            purpose: what they may be used for.
            subject: the user or thing that they are for.
            letter_id: the id of the letter that they are written into.
            life: how long they work, from the moment when the letter was sent.
            facts: what they were made for.
            asking: the event of asking for the letter, if that happens now: then no letter can have
                been asked for later. It is stored with the link. None: the letter is being written.

        Raises:
            Superseded: a letter that was asked for later has been written already.
        """
        now = self.clock.now()
        secret, plain = new_token(purpose, subject, now, _SENT_WITHIN + life, facts)
        code = new_code(_LETTERS_OF_CODE)
        token = replace(
            plain,
            life=int(life.total_seconds()),
            code_digest=self._hashed(code, letter_id),
            letter=letter_id,
        )
        if asking is not None:
            await self.tokens.put(token, event=asking)
        elif not await self.tokens.put_newer(token, now):
            raise Superseded
        return Proof(_as_link(subject, secret), in_groups(code))

    async def make_link(
        self, purpose: Purpose, subject: str, life: timedelta, facts: Mapping[str, str]
    ) -> str:
        """Return the secret of a link that is in no letter. The one before it is void.

        Args:
            purpose: what it may be used for; no letter has this purpose.
            subject: the user that it is for.
            life: how long it works, from now on.
            facts: what it was made for.
        """
        secret, token = new_token(purpose, subject, self.clock.now(), life, facts)
        await self.tokens.put(token)
        return _as_link(subject, secret)

    async def by_link(self, text: str, *purposes: Purpose) -> OneTimeToken:
        """Return the record of the secret in a link, without using it up.

        Args:
            text: the secret, as it is in the link.
            purposes: what the link may be for.

        Raises:
            InvalidCode: it is wrong, was used, has expired, or there is a newer letter.
        """
        encoded, _, secret = text.partition(".")
        try:
            subject = decode_base64url(encoded).decode()
        except ValueError:
            raise InvalidCode(field="token") from None
        for token in await self._find(subject, purposes):
            if hmac.compare_digest(token.digest, digest_of(secret)):
                return self._alive(token, "token")
        raise InvalidCode(field="token")

    async def by_code(self, request: str, code: str, *purposes: Purpose) -> OneTimeToken:
        """Return the record of a code, without using it up. The try is counted.

        What was asked for an address that nobody has is refused in the same time: the letter was
        stored, and its tries are counted all the same.

        Args:
            request: what the browser that asked for the letter holds.
            code: the code as typed.
            purposes: what the code may be for.

        Raises:
            InvalidCode: as for `by_link`, or too many codes were tried.
        """
        letter = await self.letters.count_guess(request, MAX_GUESSES)
        subject = _NOBODY if letter is None else letter.subject or _NOBODY
        letter_id = "" if letter is None else letter.id
        given = self._hashed(plain_code(code), letter_id)
        for token in await self._find(subject, purposes):
            right = hmac.compare_digest(token.code_digest or b"", given)
            if right and token.letter == letter_id:
                return self._alive(token, "code")
        raise InvalidCode(field="code")

    async def use_up(self, token: OneTimeToken, event: Event | None = None) -> bool:
        """Use a link and its code up. True for exactly one of many callers.

        Args:
            token: the record of both.
            event: the event of the change, if it has one.
        """
        now = self.clock.now()
        return await self.tokens.consume(token.purpose, token.subject, token.digest, now, event)

    async def _find(self, subject: str, purposes: Iterable[Purpose]) -> list[OneTimeToken]:
        """Return the tokens of a subject; each purpose is looked up, whatever is found."""
        found = [await self.tokens.find(each, subject) for each in purposes]
        return [each for each in found if each is not None]

    def _alive(self, token: OneTimeToken, named: str) -> OneTimeToken:
        if token.expires_at <= self.clock.now():
            raise InvalidCode(field=named)
        return token

    def _hashed(self, code: str, letter_id: str) -> bytes:
        text = f"{letter_id}:{code}".encode("utf-8", "surrogatepass")
        return hmac.digest(self.key, text, "sha256")


def _as_link(subject: str, secret: str) -> str:
    """Return a secret as it is in a link: `by_link` reads whose it is."""
    return f"{encode_base64url(subject.encode())}.{secret}"
