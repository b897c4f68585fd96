"""Admission: finds the caller of a request by its header or cookies, and renews cookies."""

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
    """Trades the refresh token of a request whose access token is missing or has expired."""

    async def renew(self, token: str, origin: Origin) -> tuple[Principal, TokenPair]:
        """Trade the refresh token. Return its user as a principal, and the new tokens.

        Raises:
            InvalidToken: the refresh token is not valid any more.
        """


@dataclass(frozen=True, slots=True)
class Admission:
    """Asks the gate who makes a request, with the token from a header or a cookie."""

    gate: Gate
    renewal: Renewal
    delivery: TokenDelivery
    same_origin: SameOrigin

    async def admit(self, request: Request, rule: Rule, *, renew: bool = True) -> Principal | None:
        """Return who makes the request, or None if the rule admits anybody.

        If a header carries a token, cookies are ignored. If the access token in the cookies is
        missing or not valid any more, the refresh cookie is traded: the answer sets new cookies.

        Args:
            request: the request.
            rule: who may make it.
            renew: whether the refresh cookie may be traded. False if the answer's cookies may not
                reach the browser.

        Raises:
            Refusal: as `Gate.admit`.
            ConflictingTokens: two headers, or two cookies of one name, carry different tokens.
            CrossSiteRequest: a page of an unknown origin made the browser send this request.
        """
        headers, method = request.scope["headers"], request.scope["method"]
        if rule.public and method in SAFE_METHODS:
            return None
        token = None if rule.public else token_in(headers)
        if token is not None:
            return await self.gate.admit(token, rule)
        if rule.public:  # whoever calls, nobody is asked for: two cookies of one name are no matter
            carried = any(self.delivery.read_all(headers))
            self.same_origin.check(method, headers, request.scope["path"], with_cookie=carried)
            return None
        cookies = self.delivery.read(headers)
        carried = cookies.access is not None or cookies.refresh is not None
        self.same_origin.check(method, headers, request.scope["path"], with_cookie=carried)
        if not renew:
            return await self.gate.admit(cookies.access, rule)
        return await self._admit_by_cookies(request, cookies, rule)

    async def recognise(self, request: Request) -> Principal | None:
        """Return who makes the request, or None if nobody is signed in; the route is public."""
        try:
            return await self.admit(request, SIGNED_IN)
        except (NoToken, InvalidToken, ExpiredToken, ConflictingTokens):
            return None

    async def _admit_by_cookies(
        self, request: Request, cookies: CookieTokens, rule: Rule
    ) -> Principal | None:
        if cookies.refresh is None:
            return await self.gate.admit(cookies.access, rule)
        if cookies.access is not None:
            try:
                return await self.gate.admit(cookies.access, rule)
            except (ExpiredToken, InvalidToken):
                pass  # it has expired, or its key is gone: the refresh token decides
        return self.gate.authorize(await self._renew(request, cookies.refresh), rule)

    async def _renew(self, request: Request, refresh_token: str) -> Principal:
        """Trade the refresh cookie. The answer sets the new cookies, even if it is a refusal.

        If the trade fails, the answer does not clear the cookies: another request may have renewed
        them already.
        """
        principal, pair = await self.renewal.renew(refresh_token, origin_of(request))
        self.delivery.set_cookies(request.scope, pair)
        return principal
