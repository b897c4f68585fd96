"""The pages that end the session of this browser."""

from starlette.responses import Response

from gatelodge.gate.rules import ANYBODY
from gatelodge.pages.carried import Carrier
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.sessions.doors import AFTER_SIGN_OUT, signed_out
from gatelodge.sessions.service import SessionService
from gatelodge.web.admission import Admission
from gatelodge.web.cookies import TokenDelivery

door = PageDoor()


@door.get("/sign-out", rule=ANYBODY)
async def show_sign_out(visit: Visit) -> Response:
    """Ask whether to sign out, because a GET must change nothing.

    Somebody who is signed out already is redirected to the start page. It says what was done if the
    address has the sealed notice of a sign-out a moment ago.
    """
    if visit.principal is None:
        sealed = visit.request.query_params.get("done", "")
        carried = visit.ask(Carrier).unseal(AFTER_SIGN_OUT, sealed)
        return visit.go_home(done=carried.notice if carried else "")
    return visit.page("sign-out.html")


@door.post("/sign-out", rule=ANYBODY)
async def sign_out(visit: Visit) -> Response:
    """End this browser's session, if it has one.

    If somebody sees the application as another user here, their own session ends too.
    """
    principal = await visit.ask(Admission).recognise(visit.request)
    sessions, origin = visit.ask(SessionService), visit.origin
    if principal is not None:
        await sessions.end_of(principal, origin)
    parked = visit.ask(TokenDelivery).parked(visit.request.scope["headers"])
    if parked and (own := await sessions.find_by_refresh_token(parked, origin)):
        await sessions.end(own, own.actor(origin))
    return signed_out(visit, done="signed-out")
