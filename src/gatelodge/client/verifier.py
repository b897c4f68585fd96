"""`Verifier`: who is signed in by an access token, for applications with an event loop."""

import ssl
from datetime import timedelta
from hashlib import sha256
from types import TracebackType
from typing import Self

import httpx2

from gatelodge.client.flights import Flights
from gatelodge.client.issuer import Issuer
from gatelodge.client.key_set import KeySet
from gatelodge.client.me import ask_server, user_of
from gatelodge.client.memory import Found, HeldBack, Known, Memory
from gatelodge.clock import Clock, SystemClock
from gatelodge.credentials.refusals import refusal_of_held_back
from gatelodge.tokens.claims import AUDIENCE, MAX_LIFE, USUAL_MAX_LIFE, TokenCheck
from gatelodge.tokens.jws import MAX_TOKEN
from gatelodge.tokens.refusals import InvalidToken
from gatelodge.user import User

DEFAULT_FRESHNESS = timedelta(seconds=1)


class Verifier:
    """Says who is signed in by an access token.

    The token is checked here with the issuer's public keys. Then the server is asked what is true
    now: whether the user is still signed in, and with which roles. The answer is kept for
    `freshness`, so that a sign-out, a lost role or a disabled user takes effect within that time.

    Make one for the whole application, and use it in one event loop at a time. Close it with
    `aclose`, or use it in `async with`.

    Attributes:
        clock: tells the time.
    """

    def __init__(
        self,
        issuer: str,
        *,
        freshness: timedelta | None = DEFAULT_FRESHNESS,
        audience: str = AUDIENCE,
        max_token_life: timedelta = USUAL_MAX_LIFE,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare the verifier; nothing is sent before the first token.

        Args:
            issuer: the public address of the server, exactly as it is in tokens, such as
                `https://id.example.com`.
            freshness: how long an answer of the server counts. 0 asks for each check. None never
                asks: then a token counts until it expires, whatever happened to its user, and the
                user has nothing but what the token says (see `User`).
            audience: the `aud` that tokens must have.
            max_token_life: tokens that live longer are refused if `freshness` is None. The tutorial
                profile issues tokens for a day, which nobody could take back.
            ssl_context: whom https trusts; None: the certificate authorities of this machine.
            transport: sends the requests in place of the network; for tests.
            clock: tells the time; for tests.

        Raises:
            ValueError: `issuer` is not an address as it must be, or a time is negative.
        """
        if freshness is not None and freshness < timedelta(0):
            raise ValueError("freshness is 0 or more, or None")
        self.clock = clock or SystemClock()
        self._offline = freshness is None
        self._freshness = (freshness or timedelta(0)) // timedelta(milliseconds=1)
        self._issuer = Issuer(issuer, self.clock, ssl_context=ssl_context, transport=transport)
        self._keys = KeySet(self._issuer, self.clock)
        max_life = max_token_life if freshness is None else MAX_LIFE
        self._tokens = TokenCheck(self._keys.find, self.clock, issuer, audience, max_life)
        self._memory = Memory()
        self._questions: Flights[Found] = Flights()

    async def check(self, token: str) -> User:
        """Return who is signed in by an access token.

        Raises:
            NotSignedIn: the token is not valid (`token_invalid`), or has expired (`token_expired`);
                or the user has to prove a second factor at the server first
                (`insufficient_user_authentication`), or to add one
                (`second_factor_enrolment_required`).
            IssuerUnavailable: the server must be asked, and does not answer. Refuse the request
                with the status 503: nobody knows whether it is allowed.
        """
        return self.recall(token) or await self._check(token)

    def recall(self, token: str) -> User | None:
        """Return who is signed in by a token from memory alone, or None if memory cannot tell.

        It is safe to call from any thread.
        """
        known = self._memory.find(digest_of(token))
        now = self.clock.milliseconds()
        if known is None or now >= self._keys.settled_until:
            return None
        if known.version != self._keys.version or now >= known.until or now >= known.true_until:
            return None
        return known.user if isinstance(known.user, User) else None

    async def aclose(self) -> None:
        """Close all connections, and give up what is being asked."""
        await self._questions.end()
        await self._keys.aclose()
        await self._issuer.aclose()

    async def __aenter__(self) -> Self:
        """Return the verifier."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the verifier."""
        await self.aclose()

    async def _check(self, token: str) -> User:
        if len(token) > MAX_TOKEN:
            raise InvalidToken
        digest = digest_of(token)
        known = await self._verified(token, digest)
        now = self.clock.milliseconds()
        if self._offline or now < known.true_until:
            user = known.user
        else:
            user = await self._ask(token, digest, known, now)
        if isinstance(user, HeldBack):
            raise refusal_of_held_back(has_second_factor=user.has_second_factor)
        if user is None:
            raise InvalidToken
        return user

    async def _verified(self, token: str, digest: bytes) -> Known:
        """Return what is known about a token. Its signature is verified once for each key set."""
        await self._keys.keep_fresh()
        known = self._memory.find(digest)
        now = self.clock.milliseconds()
        if known is not None and known.version == self._keys.version and now < known.until:
            return known
        claims = await self._tokens.verify(token)
        until = claims.expires_at * 1000
        user, true_until = (user_of(claims), until) if self._offline else (None, 0)
        known = Known(claims, self._keys.version, until, user, true_until)
        self._memory.put(digest, known)
        return known

    async def _ask(self, token: str, digest: bytes, known: Known, now: int) -> Found:
        """Return who is signed in now, asked of the server.

        Whoever comes while the question is on its way waits for the same answer, unless that answer
        could be older than `freshness`: it counts from the moment when the question was asked.
        """
        asking = self._questions.find(digest)
        if asking is None or now >= asking.began_at + self._freshness:
            asking = self._questions.start(
                digest, lambda: self._question(token, digest, known, now), now
            )
        return await asking.outcome()

    async def _question(self, token: str, digest: bytes, known: Known, asked_at: int) -> Found:
        user = await ask_server(self._issuer, token, known.claims)
        true_until = asked_at + self._freshness
        newest = self._memory.find(digest)
        if newest is None or newest.true_until < true_until:
            fresh = Known(known.claims, known.version, known.until, user, true_until)
            self._memory.put(digest, fresh)
        return user


def digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token, so that memory does not hold the token itself."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
