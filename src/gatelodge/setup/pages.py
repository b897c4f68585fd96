"""The setup page, which makes the first administrator."""

from collections.abc import Mapping

from starlette.responses import Response

from gatelodge.accounts.service import NewUser
from gatelodge.gate.rules import ANYBODY
from gatelodge.marks import N_
from gatelodge.methods import BY_PASSWORD
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import EMAIL, NEW_PASSWORD, USERNAME, faults_of_new_user
from gatelodge.pages.kept import Kept
from gatelodge.sessions.doors import lead_to_enrolment, open_session
from gatelodge.setup.refusals import AdministratorExists, ExpiredSetupLink, InvalidSetupLink
from gatelodge.setup.service import LIFE, SetupService

door = PageDoor()

SECRET = Kept("setup", "/setup", LIFE)

_USED = N_("It was used, or there is a newer link.")
_REASONS: Mapping[type[InvalidSetupLink], str] = {
    kind: kind.sentence for kind in (ExpiredSetupLink, AdministratorExists)
}


@door.get("/setup", rule=ANYBODY, answers=410)
async def show_setup(visit: Visit) -> Response:
    """Show the form for the administrator's username, e-mail address and password."""
    if moved := SECRET.take(visit):
        return moved
    try:
        await visit.ask(SetupService).check(SECRET.read(visit))
    except InvalidSetupLink as refusal:
        visit.status = 410
        return visit.page(
            "setup-over.html",
            reason=visit.language.sentence(_REASONS.get(type(refusal), _USED)),
            there_is_one=isinstance(refusal, AdministratorExists),
        )
    return visit.page("setup.html")


@door.post(
    "/setup",
    rule=ANYBODY,
    fields=(USERNAME, EMAIL, NEW_PASSWORD),
    again=show_setup,
    faults=faults_of_new_user,
    answers=410,
)
async def set_up(visit: Visit) -> Response:
    """Make the administrator, sign them in, and redirect to the console, if there is one."""
    wanted = NewUser(visit.form["username"], visit.form["email"], visit.form["password"])
    user = await visit.ask(SetupService).make_admin(SECRET.read(visit), wanted, visit.origin)
    signed_in = await open_session(visit, user, BY_PASSWORD)
    enrol = lead_to_enrolment(visit, signed_in, done="admin-made")
    console = "/admin" if visit.has_page("/admin") else "/account"
    return enrol or visit.go(console, done="admin-made")
