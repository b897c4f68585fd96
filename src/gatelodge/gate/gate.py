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
    """Let callers in by their access token and what is true of their session and user now.

    Memory answers while the feed says that it may be trusted; else the store is read.
    """

    tokens: VerifiedTokens
    lookup: Lookup
    feed: ChangeFeed
    clock: Clock
    view: View = field(default_factory=View)

    async def admit(self, token: str | None, rule: Rule) -> Principal | None:
        """Return who calls, or None where the rule asks nothing.

        The refusals come in the order no token, bad token, missing role or permission.

        Raises:
            Refusal: the rule's own for a missing token, role or permission.
            InvalidToken: the token, its session or its user does not stand.
            ExpiredToken: the token's time is over.
        """
        if rule.public:
            return None
        if token is None:
            raise rule.missing
        return self.authorize(await self.authenticate(token), rule)

    def authorize(self, principal: Principal, rule: Rule) -> Principal:
        """Return the caller where they may.

        Raises:
            Refusal: the rule's own for a missing role or permission.
        """
        if not rule.permits(principal.roles, principal.permissions):
            raise rule.lacking(caller=principal.subject)
        return principal

    async def authenticate(self, token: str) -> Principal:
        """Return whose token this is, as things stand now.

        Raises:
            InvalidToken: the token, its session or its user does not stand.
            ExpiredToken: the token's time is over.
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
        """Return whose token this is, from memory alone; None: memory cannot tell.

        Raises:
            ExpiredToken: the token's time is over.
        """
        if not self.feed.catch_up():
            return None
        verified = self.tokens.find(token)
        if verified is None:
            return None
        now = self.clock.milliseconds()
        if now < verified.until and verified.changes == self.view.changes:
            return verified.principal  # nothing at all has changed since memory was last asked
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
