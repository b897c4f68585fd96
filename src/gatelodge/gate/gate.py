"""The one place that answers "who is this, and may they?" for every door."""

from dataclasses import dataclass, field, replace
from hashlib import sha256

from gatelodge.clock import Clock
from gatelodge.credentials.refusals import refusal_of_held_back
from gatelodge.gate.feed import ChangeFeed
from gatelodge.gate.lookup import Lookup
from gatelodge.gate.memory import Known, Memory, kept_once
from gatelodge.gate.principal import Impersonation, Principal
from gatelodge.gate.refusals import Impersonating
from gatelodge.gate.rules import Rule
from gatelodge.ids import SessionId, UserId
from gatelodge.tokens.access import AccessTokens
from gatelodge.tokens.claims import Claims
from gatelodge.tokens.refusals import InvalidToken


@dataclass(frozen=True, slots=True)
class Gate:
    """Says who calls, by their access token and the current state of their session and user.

    While the feed says that memory may be trusted, memory answers. Otherwise the store is read.

    Attributes:
        access_tokens: verifies tokens.
        lookup: reads from the store who is signed in.
        feed: tells what has changed.
        clock: tells the current time.
        memory: remembers what verified tokens stand for.
    """

    access_tokens: AccessTokens
    lookup: Lookup
    feed: ChangeFeed
    clock: Clock
    memory: Memory = field(default_factory=Memory)

    async def authorize(
        self, principal: Principal, rule: Rule, *, changes: bool = False
    ) -> Principal:
        """Return the principal if the rule admits them.

        This is the one place that holds sessions back whose users must have a second factor. Which
        refusal they get is read from the store: memory need not know who has a second factor. It is
        also the one place that refuses what nobody may do in the place of another user.

        Args:
            principal: who makes the request.
            rule: who may make it.
            changes: whether the request is one to this server that may change something.

        Raises:
            Impersonating: the principal sees the application as another user does.
            SecondFactorEnrolmentRequired: the user must have a second factor first.
            ReauthenticationRequired: the user must prove the second factor first.
            Refusal: `rule.lacking`, without a role or permission that the rule requires.
            StoreUnavailable: the store must be read, and does not answer.
        """
        if principal.held_back and not rule.while_held_back:
            has_one = await self.lookup.has_second_factor(principal.session_id)
            raise refusal_of_held_back(has_second_factor=has_one)
        if principal.impersonation and not rule.admits_impersonator(changes=changes):
            raise Impersonating(caller=principal.subject)
        rule.check(principal)
        return principal

    async def authenticate(self, token: str) -> Principal:
        """Return the principal of an access token, with the roles and permissions of now.

        The principal may be held back: before it may do anything, it goes through `authorize`.

        Raises:
            InvalidToken: the token is not valid, or its session or user has ended.
            ExpiredToken: the token has expired.
            StoreUnavailable: the store must be read, and does not answer.
        """
        digest, now = sha256(as_bytes(token)).digest(), self.clock.milliseconds()
        trusted = self.feed.catch_up()
        keys = self._check_keys()
        if trusted:
            if (principal := self.memory.recall(digest, now)) is not None:
                return principal
            if self.memory.is_dead(digest, now):
                raise InvalidToken
            if (known := self.memory.verified(digest, now)) is not None:  # something changed since
                return await self._read(digest, known.principal, keys, trusted=True)
        named = _named_by(await self.access_tokens.verify(token))
        return await self._read(digest, named, keys, trusted=self.feed.catch_up())

    async def find(self, user_id: UserId, session_id: SessionId) -> Principal:
        """Return the principal of a session, read from the store: no token is at hand.

        The principal may be held back, as that of `authenticate`.

        Raises:
            InvalidToken: the session is not live, or belongs to another user.
            StoreUnavailable: the store does not answer.
        """
        live = await self.lookup.find(user_id, session_id)
        if live is None:
            raise InvalidToken
        return live

    def recall(self, token: bytes) -> Principal | None:
        """Return the principal of a token from memory alone, or None if memory does not know.

        A principal that is held back is not returned: only `authorize` may let it in.
        """
        if not self.feed.catch_up():
            return None
        if self.memory.keys != self.access_tokens.keys.ring.version:
            self._check_keys()
        principal = self.memory.recall(sha256(token).digest(), self.clock.milliseconds())
        return None if principal is None or principal.held_back else principal

    def _check_keys(self) -> int:
        """Return the version of the signing keys; forget tokens verified under another version.

        A key may be gone: then its tokens must not pass.
        """
        version = self.access_tokens.keys.ring.version
        if version != self.memory.keys:
            self.memory.forget_tokens(keys=version)
        return version

    async def _read(
        self, digest: bytes, named: Principal, keys: int, *, trusted: bool
    ) -> Principal:
        """Read from the store who is signed in, and remember it.

        Args:
            digest: the SHA-256 of the token.
            named: whom the token names, and until when it is valid; nothing else of it counts.
            keys: the version of the signing keys before the token was verified.
            trusted: whether the feed has told of all changes up to now.
        """
        version = self.memory.changes  # noted first: what changes during the read has a higher one
        live = await self.lookup.find(named.subject, named.session_id)
        remember = trusted and keys == self._check_keys()
        if live is None:
            if remember:
                self.memory.keep_dead(digest, Known(_only_ids(named), version))
            raise InvalidToken
        principal = replace(live, until=kept_once(min(named.until, live.until)))
        if remember:
            self.memory.keep(digest, Known(principal, version))
        return principal


def _named_by(claims: Claims) -> Principal:
    """Return whom a token names; that decides nothing."""
    named = Principal(
        claims.subject, "", (), frozenset(), claims.session_id, kept_once(claims.expires_at * 1000)
    )
    if claims.impersonator is None:
        return named
    # What brings such a session back to life, such as a role that is granted again, is a change of
    # the impersonator. Their own session never comes back.
    return replace(named, impersonation=Impersonation(claims.impersonator, SessionId("")))


def _only_ids(of: Principal) -> Principal:
    """Return a principal without what memory need not keep of a session that has ended."""
    ids = of.subject, "", (), frozenset[str](), of.session_id, of.until
    return Principal(*ids, impersonation=of.impersonation)


def as_bytes(token: str) -> bytes:
    """Return a token as the bytes that the request carried. It fails for no text."""
    return token.encode("utf-8", "surrogatepass")
