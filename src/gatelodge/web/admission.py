"""Admission: finds the caller of a request by its header or cookies, and renews cookies."""

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from gatelodge.audit import Origin
from gatelodge.gate.gate import Gate
from gatelodge.gate.principal import Principal
from gatelodge.gate.rules import Rule
from gatelodge.tokens.pair import Renewed
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from gatelodge.web.bearer import token_in
from gatelodge.web.caller import origin_of
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.refusals import NOBODY_SIGNED_IN
from gatelodge.web.same_origin import SAFE_METHODS, SameOrigin
from gatelodge.web.shell import Scope

_OUTCOME = "gatelodge.caller"
_ASKED = "gatelodge.asked"
_ADMITTED_BY = "gatelodge.admitted_by"


class Renewal(Protocol):
    """Trades the refresh token of a request whose access token is missing or has expired."""

    async def renew(self, token: str, origin: Origin) -> Renewed:
        """Trade the refresh token, and return the new tokens.

        Raises:
            InvalidToken: the refresh token is not valid any more.
        """


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Who makes a request (None: nobody is named), or the exception that the search ended with."""

    principal: Principal | None = None
    failure: Exception | None = None


async def ask(gate: Gate, scope: Scope, token: str) -> Principal:
    """Return the principal of a token. A request asks the gate once for a token.

    The fast door asks first. If it cannot let the request in, the route asks again: garbage must
    not cost two checks of its signature, nor a refusal two reads.

    Raises:
        Refusal: as `Gate.authenticate`.
    """
    asked: tuple[str, Principal | Exception] | None = scope.get(_ASKED)
    if asked is None or asked[0] != token:
        try:
            asked = token, await gate.authenticate(token)
        except Exception as failure:  # noqa: BLE001 - raised below, and again for the route
            asked = token, failure
        scope[_ASKED] = asked
    answer = asked[1]
    if isinstance(answer, Exception):
        raise answer
    return answer


def found_in(scope: Scope) -> Principal | None:
    """Return who makes a request, if that was found out already."""
    outcome: _Outcome | None = scope.get(_OUTCOME)
    return None if outcome is None else outcome.principal


@dataclass(frozen=True, slots=True)
class Admission:
    """Asks the gate who makes a request, with the token from a header or a cookie."""

    gate: Gate
    renewal: Renewal
    delivery: TokenDelivery
    same_origin: SameOrigin

    async def admit(self, request: Request, rule: Rule, *, renew: bool = True) -> Principal | None:
        """Return who makes the request, or None if the rule admits anybody.

        A missing token is refused first, then a bad token, then a missing role or permission.

        Args:
            request: the request.
            rule: who may make it.
            renew: as for `resolve`.

        Raises:
            Refusal: `rule.missing` without a token; otherwise as `Gate.authorize` and `resolve`.
        """
        if rule.public:
            self._check_origin(request)
            return None
        principal = await self.resolve(request, renew=renew)
        if principal is None:
            raise rule.missing
        changes = request.method not in SAFE_METHODS
        return await self.gate.authorize(principal, rule, changes=changes)

    async def recognise(self, request: Request) -> Principal | None:
        """Return who makes the request, or None if nobody is signed in; the route is public.

        The principal may be held back.
        """
        try:
            return await self.resolve(request)
        except NOBODY_SIGNED_IN:
            return None

    async def resolve(self, request: Request, *, renew: bool = True) -> Principal | None:
        """Return who makes the request, or None if the request carries no token.

        If a header carries a token, cookies are ignored. If the access token in the cookies is
        missing or not valid any more, the refresh cookie is traded: the answer sets new cookies.

        The caller is found once for each request. A later call for the same request returns or
        raises what the first call did. So a refresh cookie is never traded twice by one request,
        which would look like a stolen one.

        The principal may be held back: before it may do anything, it goes through `Gate.authorize`.

        Args:
            request: the request.
            renew: whether the refresh cookie may be traded. False if the answer's cookies may not
                reach the browser. Only the first call for a request decides.

        Raises:
            InvalidToken: the token is not valid, or its session or user has ended.
            ExpiredToken: the access token has expired, and there is no refresh token to trade.
            ConflictingTokens: two headers, or two cookies of one name, carry different tokens.
            CrossSiteRequest: a page of an unknown origin made the browser send this request.
            StoreUnavailable: the store must be read, and does not answer.
        """
        outcome: _Outcome | None = request.scope.get(_OUTCOME)
        if outcome is None:
            try:
                outcome = _Outcome(await self._find(request, renew=renew))
            except Exception as failure:  # noqa: BLE001 - raised below, and again by a later call
                outcome = _Outcome(failure=failure)
            request.scope[_OUTCOME] = outcome
        if outcome.failure is not None:
            raise outcome.failure
        return outcome.principal

    async def admit_again(self, request: Request, rule: Rule) -> Principal:
        """Return who made a request that was admitted before, if it would still be admitted now.

        For answers that stay open: nothing is sent to somebody whose right has ended meanwhile.

        Args:
            request: the request, which `admit` has let in by the same rule.
            rule: who may make it; one that is not public.

        Raises:
            Refusal: as `Gate.authorize`, or the token, its session or its user has ended.
        """
        token = request.scope.get(_ADMITTED_BY)
        if token is None:  # its cookies were renewed, and the new token is not in the request
            return await self.admit_session_again(request, rule)
        return await self.gate.authorize(await self.gate.authenticate(token), rule)

    async def admit_session_again(self, request: Request, rule: Rule) -> Principal:
        """Return who made a request, as `admit_again`; its token may expire meanwhile.

        For answers that take long because they are long. The store is read.
        """
        before: Principal = request.scope[_OUTCOME].principal
        now = await self.gate.find(before.subject, before.session_id)
        return await self.gate.authorize(now, rule)

    def _check_origin(self, request: Request) -> None:
        """Check the origin of a request whose caller nobody asks for.

        Two cookies of one name do no harm here.
        """
        headers, method = request.scope["headers"], request.scope["method"]
        if method not in SAFE_METHODS:
            carried = any(self.delivery.read_all(headers))
            self.same_origin.check(method, headers, request.scope["path"], with_cookie=carried)

    async def _find(self, request: Request, *, renew: bool) -> Principal | None:
        headers, method = request.scope["headers"], request.scope["method"]
        token = token_in(headers)
        if token is not None:
            return await self._ask(request, token)
        cookies = self.delivery.read(headers)
        refresh = cookies.refresh if renew else None
        carried = cookies.access is not None or cookies.refresh is not None
        self.same_origin.check(method, headers, request.scope["path"], with_cookie=carried)
        if cookies.access is not None:
            try:
                return await self._ask(request, cookies.access)
            except (ExpiredToken, InvalidToken):
                if refresh is None:
                    raise
        return None if refresh is None else await self._trade(request, refresh)

    async def _ask(self, request: Request, token: str) -> Principal:
        principal = await ask(self.gate, request.scope, token)
        request.scope[_ADMITTED_BY] = token
        return principal

    async def _trade(self, request: Request, refresh_token: str) -> Principal:
        """Trade the refresh cookie. The answer sets the new cookies, even if it is a refusal.

        If the trade fails, the answer does not clear the cookies: another request may have renewed
        them already.
        """
        renewed = await self.renewal.renew(refresh_token, origin_of(request))
        self.delivery.set_cookies(request.scope, renewed.tokens)
        return await self.gate.find(renewed.user_id, renewed.session_id)
