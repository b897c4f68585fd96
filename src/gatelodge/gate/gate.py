"""The one place that answers "who is this, and may they?" for every door."""

from dataclasses import dataclass, field

from gatelodge.clock import Clock, to_milliseconds
from gatelodge.gate.feed import ChangeFeed
from gatelodge.gate.lookup import Lookup
from gatelodge.gate.principal import Principal, VerifiedToken, VerifiedTokens, as_bytes
from gatelodge.gate.rules import Rule
from gatelodge.gate.view import View
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken


@dataclass(frozen=True, slots=True)
class Gate:
    """Says who calls, by their access token and the current state of their session and user.

    While the feed says that memory may be trusted, memory answers. Otherwise the store is read.

    Attributes:
        tokens: verifies tokens, and remembers those that were verified.
        lookup: reads from the store who is signed in.
        feed: tells what has changed.
        clock: tells the current time.
        view: remembers who is signed in by which session.
    """

    tokens: VerifiedTokens
    lookup: Lookup
    feed: ChangeFeed
    clock: Clock
    view: View = field(default_factory=View)

    def authorize(self, principal: Principal, rule: Rule) -> Principal:
        """Return the principal if the rule admits them.

        Raises:
            Refusal: `rule.lacking`, without a role or permission that the rule requires.
        """
        if not rule.permits(principal.roles, principal.permissions):
            raise rule.lacking(caller=principal.subject)
        return principal

    async def authenticate(self, token: str) -> Principal:
        """Return the principal of an access token, with the roles and permissions of now.

        Raises:
            InvalidToken: the token is not valid, or its session or user has ended.
            ExpiredToken: the token has expired.
            StoreUnavailable: the store must be read, and does not answer.
        """
        principal = self.recall(as_bytes(token))
        if principal is not None:
            return principal
        verified = await self.tokens.verify(token)
        trusted = self.feed.catch_up()
        if trusted and (principal := self._ask_view(verified, self.clock.milliseconds())):
            return principal  # a new token of a session that memory knows
        if trusted and self.view.is_dead(verified.session_id, verified.subject):
            raise InvalidToken
        return await self._read_and_keep(verified, trusted=trusted)

    def recall(self, token: bytes) -> Principal | None:
        """Return the principal of a token from memory alone, or None if memory does not know.

        Raises:
            ExpiredToken: the token has expired.
        """
        if not self.feed.catch_up():
            return None
        verified = self.tokens.find(token)
        if verified is None:
            return None
        now = self.clock.milliseconds()
        if now < verified.until and verified.changes == self.view.changes:
            return verified.principal  # nothing has changed since the view was last asked
        if now >= verified.expires_at:
            raise ExpiredToken
        return self._ask_view(verified, now)

    def _ask_view(self, verified: VerifiedToken, now: int) -> Principal | None:
        principal = self.view.find(verified.session_id, now)
        if principal is None or principal.subject != verified.subject:
            return None
        verified.principal = principal
        verified.changes = self.view.changes
        verified.until = min(verified.expires_at, to_milliseconds(principal.expires_at))
        return principal

    async def _read_and_keep(self, verified: VerifiedToken, *, trusted: bool) -> Principal:
        seen = self.view.changes
        principal = await self.lookup.find(verified.subject, verified.session_id)
        if principal is None:
            if trusted:
                self.view.keep_dead(verified.session_id, verified.subject, seen=seen)
            raise InvalidToken
        if trusted:
            self.view.keep(principal, seen=seen)
        return principal
