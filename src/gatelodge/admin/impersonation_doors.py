"""What the routes of impersonation share: whose tokens are in which cookies of the browser."""

from starlette.requests import Request

from gatelodge.admin.impersonation import ImpersonationService
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.sessions.store import Session
from gatelodge.web.admission import Admission
from gatelodge.web.caller import origin_of
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.services import service_of


def put_on(request: Request, own: Session, signed_in: SignedIn) -> None:
    """Make the answer set the cookies of a session of an impersonator.

    The refresh token of their own session waits in another cookie: no right on the server makes an
    administrator's session of one that is open to less. It is the current one, not the one in the
    request, which may have been traded for this answer. Whoever has no refresh token of that
    session gets none here.

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
