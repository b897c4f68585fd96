"""The pages that end sessions: this one, another one, all of them."""

from starlette.responses import Response

from gatelodge.errors import NoSuchSession
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.i18n import N_
from gatelodge.ids import SessionId
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.forms import Field
from gatelodge.sessions.doors import records_of, signed_out
from gatelodge.sessions.service import SessionService
from gatelodge.web.admission import Admission

door = PageDoor()

_SESSION = Field("session", missing=N_("Choose a device."))


@door.get("/sign-out", rule=ANYBODY)
async def show_sign_out(visit: Visit) -> Response:
    """Ask whether to sign out: a GET changes nothing."""
    if visit.principal is None:
        return visit.go("/")
    return visit.page("sign-out.html")


@door.post("/sign-out", rule=ANYBODY)
async def sign_out(visit: Visit) -> Response:
    """End this browser's session, if it has one."""
    principal = await visit.ask(Admission).recognise(visit.request)
    if principal is not None:
        await visit.ask(SessionService).sign_out(
            principal.subject, principal.session_id, visit.origin
        )
    return signed_out(visit, done="signed-out")


@door.post("/account/sign-out", rule=SIGNED_IN, fields=(_SESSION,))
async def end_session(visit: Visit) -> Response:
    """End another of one's own sessions; once it has ended, to end it again is no mistake."""
    caller = await records_of(visit)
    try:
        await visit.ask(SessionService).end_own(
            caller.user, SessionId(visit.form["session"]), visit.origin
        )
    except NoSuchSession:
        return visit.go("/account")
    return visit.go("/account", done="device-signed-out")


@door.post("/account/sign-out-everywhere", rule=SIGNED_IN)
async def sign_out_everywhere(visit: Visit) -> Response:
    """End all of one's own sessions."""
    await visit.ask(SessionService).sign_out_everywhere(visit.caller.subject, visit.origin)
    return signed_out(visit, done="signed-out-everywhere")
