"""What the routes of the administration share: who acts, whether they proved it, and numbers."""

from typing import Annotated, Any, Protocol

from fastapi import Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gatelodge.accounts.search import Count
from gatelodge.admin.authority import Administrator
from gatelodge.admin.impersonation import ImpersonationService
from gatelodge.admin.navigation import sections
from gatelodge.credentials.own_proof import OwnProofCheck
from gatelodge.gate.principal import Principal
from gatelodge.pages.door import Visit
from gatelodge.sessions.doors import require_fresh
from gatelodge.sessions.lookup import SessionLookup
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sessions.store import Session
from gatelodge.web.admission import Admission
from gatelodge.web.bodies import Answer
from gatelodge.web.caller import origin_of
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.services import service_of


async def _administrator(request: Request) -> Administrator:
    principal: Principal = request.state.principal
    return Administrator.of(principal, principal.actor(origin_of(request)))


async def _lately_proved(request: Request) -> Administrator:
    records = await service_of(request, SessionLookup).records_of(request.state.principal)
    service_of(request, OwnProofCheck).require_fresh(records.proof())
    return await _administrator(request)


By = Annotated[Administrator, Depends(_administrator)]
"""Dependency: who acts, with what they may do now."""

ByProved = Annotated[Administrator, Depends(_lately_proved)]
"""Dependency: the same, for acts that need a proof of at most 5 minutes (security.md, section 7).

Raises:
    ReauthenticationRequired: the last proof is too old, or lacks the user's second factor.
"""


class Prove(Protocol):
    """Says who acts; see `Proving`."""

    async def __call__(self, *, needed: bool) -> Administrator:
        """Return who acts, if they have proved lately who they are or need not.

        Raises:
            ReauthenticationRequired: as for `ByProved`.
        """


async def _proving(request: Request) -> Prove:
    async def prove(*, needed: bool) -> Administrator:
        return await (_lately_proved(request) if needed else _administrator(request))

    return prove


Proving = Annotated[Prove, Depends(_proving)]
"""Dependency: the same, for routes whose body says whether they need a proof."""


class Number(Answer):
    """How many there are."""

    number: int
    exact: bool = Field(description="False: about as many, or at least as many.")


def number_of(count: Count) -> Number:
    """Return a count as JSON routes answer it."""
    return Number(number=count.number, exact=count.exact)


def administrator(visit: Visit) -> Administrator:
    """Return who asks for a page, with what they may do now."""
    return Administrator.of(visit.caller, visit.actor)


async def proved(visit: Visit) -> Administrator:
    """Return who asks for a page, if they have proved lately who they are.

    Raises:
        ReauthenticationRequired: the last proof is too old, or lacks the user's second factor.
    """
    await require_fresh(visit)
    return administrator(visit)


def page(visit: Visit, template: str, **context: Any) -> Response:
    """Return a page of the console as the answer.

    Args:
        visit: the request.
        template: the name of the template in the folder `admin/`; its first lines say how it is
            made.
        context: the values for the template, besides those of every page, `sections` and `now`.
    """
    now = visit.ask(TokenDelivery).clock.now()
    return visit.page(f"admin/{template}", sections=sections(visit.may_open), now=now, **context)


def put_on(request: Request, own: Session, signed_in: SignedIn) -> None:
    """Make the answer set the cookies of a session of an impersonator.

    The refresh token of their own session waits in another cookie. Without it, the server cannot
    turn the session of the impersonator, which may do less, into that of the administrator again.
    The current token waits, not the one in the request, which may have been traded for this answer.
    If the request has no refresh token of their own session, none waits.

    Args:
        request: the request.
        own: the session in which they asked, as stored now.
        signed_in: the session of the impersonator.
    """
    delivery, scope = service_of(request, TokenDelivery), request.scope
    presented = delivery.read(scope["headers"]).refresh
    sessions = service_of(request, SessionService)
    kept = sessions.own_refresh_token(own, presented) if presented else None
    if kept is None:
        delivery.clear_parked(scope)
    else:
        delivery.park(scope, kept, signed_in.session.expires_at - delivery.clock.now())
    delivery.set_cookies(scope, signed_in.tokens)


async def take_off(request: Request) -> bool:
    """End the session of an impersonator, and sign them in as themselves again.

    Nothing happens to somebody who is signed in as themselves. It works after the session has
    ended, too: then the cookies of the browser are put right.

    Returns:
        Whether somebody is signed in as themselves now. False: they have to sign in.
    """
    delivery, origin = service_of(request, TokenDelivery), origin_of(request)
    service, scope = service_of(request, ImpersonationService), request.scope
    principal = await service_of(request, Admission).recognise(request)
    if principal is not None and principal.impersonation is None:
        delivery.clear_parked(scope)
        return True
    if principal is not None:
        await service.sessions.end_of(principal, origin)
    parked = delivery.parked(scope["headers"])
    own = await service.resume(parked, origin, principal) if parked else None
    if own is None:
        delivery.clear_cookies(scope)
        return False
    delivery.set_cookies(scope, own.tokens)
    delivery.clear_parked(scope)
    return True
