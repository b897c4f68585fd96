"""The pages that end the session of this browser."""

from starlette.responses import Response

from gatelodge.audit import Actor
from gatelodge.gate.rules import ANYBODY
from gatelodge.pages.carried import Carrier
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.sessions.doors import AFTER_SIGN_OUT, signed_out
from gatelodge.sessions.service import SessionService
from gatelodge.web.admission import Admission

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
    """End this browser's session, if it has one."""
    principal = await visit.ask(Admission).recognise(visit.request)
    if principal is not None:
        by = Actor(principal.subject, visit.origin)
        await visit.ask(SessionService).sign_out(principal.session_id, by)
    return signed_out(visit, done="signed-out")
