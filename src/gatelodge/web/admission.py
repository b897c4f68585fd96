"""How a request is let in: by a header or by cookies, which renew themselves on the way."""

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from gatelodge.audit import Origin
from gatelodge.gate.gate import Gate
from gatelodge.gate.principal import Principal
from gatelodge.gate.refusals import NoToken
from gatelodge.gate.rules import SIGNED_IN, Rule
from gatelodge.tokens.pair import TokenPair
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from gatelodge.web.caller import origin_of, token_in
from gatelodge.web.cookies import CookieTokens, TokenDelivery
from gatelodge.web.refusals import ConflictingTokens
from gatelodge.web.same_origin import SAFE_METHODS, SameOrigin


class Renewal(Protocol):
    """Trades refresh tokens for requests of which nothing else is good any more."""

    async def renew(self, token: str, origin: Origin) -> tuple[Principal, TokenPair]:
        """Return who the refresh token signs in, and their new tokens.

        Raises:
            InvalidToken: it is not good any more.
        """


@dataclass(frozen=True, slots=True)
class Admission:
    """Ask the gate about a request, whatever carries its tokens."""

    gate: Gate
    renewal: Renewal
    delivery: TokenDelivery
    same_origin: SameOrigin

    async def admit(self, request: Request, rule: Rule, *, renew: bool = True) -> Principal | None:
        """Return who makes the request, or None where the rule asks nobody.

        A header wins over the cookies, and then they do not count at all. Cookies whose access
        token is over are renewed, unless the answer might not take the new ones to the browser.

        Raises:
            Refusal: as `Gate.admit`.
            CrossSiteRequest: a change is asked for by a page we do not know.
        """
        headers, method = request.scope["headers"], request.scope["method"]
        if rule.public and method in SAFE_METHODS:
            return None
        token = None if rule.public else token_in(headers)
        if token is not None:
            return await self.gate.admit(token, rule)
        cookies = self.delivery.read(headers)
        carried = cookies.access is not None or cookies.refresh is not None
        self.same_origin.check(method, headers, with_cookie=carried)
        if not renew:
            return await self.gate.admit(cookies.access, rule)
        return await self._admit_by_cookies(request, cookies, rule)

    async def recognise(self, request: Request) -> Principal | None:
        """Return who makes a request that anybody may make, or None where nobody is signed in."""
        try:
            return await self.admit(request, SIGNED_IN)
        except (NoToken, InvalidToken, ExpiredToken, ConflictingTokens):
            return None

    async def _admit_by_cookies(
        self, request: Request, cookies: CookieTokens, rule: Rule
    ) -> Principal | None:
        if rule.public or cookies.refresh is None:
            return await self.gate.admit(cookies.access, rule)
        if cookies.access is not None:
            try:
                return await self.gate.admit(cookies.access, rule)
            except (ExpiredToken, InvalidToken):
                pass  # its time is over, or its key is gone: the refresh token decides
        return self.gate.authorize(await self._renew(request, cookies.refresh), rule)

    async def _renew(self, request: Request, refresh_token: str) -> Principal:
        """Trade the refresh cookie; the answer, whatever it is, carries the new ones.

        A renewal that fails leaves the cookies alone: they may be newer than this request.
        """
        principal, pair = await self.renewal.renew(refresh_token, origin_of(request))
        self.delivery.set_cookies(request.scope, pair)
        return principal
