"""The pages with which an administrator sees the application as a user does."""

from starlette.responses import Response

from gatelodge.admin.doors import page, proved, put_on, take_off
from gatelodge.admin.impersonation import NO_REASON, ImpersonationService
from gatelodge.admin.rules import IMPERSONATE
from gatelodge.gate.rules import ANYBODY
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.forms import Field
from gatelodge.sessions.doors import records_of

door = PageDoor()

_REASON = Field("reason", missing=NO_REASON, trimmed=True)


@door.get("/admin/users/{user_id}/view-as", rule=IMPERSONATE)
async def show_view_as(visit: Visit) -> Response:
    """Ask why the reader wants to see the application as a user does."""
    by = await proved(visit)
    user_id = visit.request.path_params["user_id"]
    user = await visit.ask(ImpersonationService).find(user_id, by)
    return page(visit, "view-as.html", user=user)


@door.post(
    "/admin/users/{user_id}/view-as",
    rule=IMPERSONATE,
    fields=(_REASON,),
    again=show_view_as,
)
async def view_as(visit: Visit) -> Response:
    """Show the start page as the user sees it."""
    by, own = await proved(visit), await records_of(visit)
    user_id, reason = visit.request.path_params["user_id"], visit.form["reason"]
    signed_in = await visit.ask(ImpersonationService).begin(user_id, reason, by, own.session)
    put_on(visit.request, own.session, signed_in)
    return visit.go_home()


@door.post("/account/view-as/end", rule=ANYBODY)
async def end(visit: Visit) -> Response:
    """Show the start page as the reader sees it themselves, or the sign-in page."""
    if await take_off(visit.request):
        return visit.go_home(done="yourself-again")
    return visit.go("/sign-in", done="sign-in-as-yourself")
