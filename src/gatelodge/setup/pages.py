"""The setup page, which makes the first administrator."""

import re
from collections.abc import Mapping

from starlette.responses import Response

from gatelodge.accounts.service import NewUser
from gatelodge.credentials.methods import BY_PASSWORD
from gatelodge.gate.rules import ANYBODY
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import EMAIL, NEW_PASSWORD, USERNAME, faults_of_new_user
from gatelodge.sessions.doors import open_session
from gatelodge.setup.refusals import AdministratorExists, ExpiredSetupLink, InvalidSetupLink
from gatelodge.setup.service import LIFE, SetupService
from gatelodge.web.cookie_jar import Cookie, cookie_jar
from gatelodge.web.cookies import TokenDelivery

door = PageDoor()

COOKIE = "gatelodge-setup"


_USED = N_("It was used, or there is a newer link.")
_REASONS: Mapping[type[InvalidSetupLink], str] = {
    kind: kind.sentence for kind in (ExpiredSetupLink, AdministratorExists)
}


@door.get("/setup", rule=ANYBODY, answers=410)
async def show_setup(visit: Visit) -> Response:
    """Show the form for the administrator's username, e-mail address and password.

    A secret in the address is moved to a cookie first, with a redirect. So the secret stays in no
    browser history, and no `Referer` header contains it.
    """
    secret = visit.request.query_params.get("token")
    if secret is not None:
        cookie_jar(visit.request.scope).add(_cookie(visit, secret))
        response = visit.go("/setup")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response
    try:
        await visit.ask(SetupService).check(_secret(visit))
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
    """Make the administrator, sign them in, and redirect to the account page."""
    wanted = NewUser(visit.form["username"], visit.form["email"], visit.form["password"])
    user = await visit.ask(SetupService).make_admin(_secret(visit), wanted, visit.origin)
    await open_session(visit, user, BY_PASSWORD)
    return visit.go("/account", done="admin-made")


def _secret(visit: Visit) -> str:
    return visit.request.cookies.get(COOKIE, "")


def _cookie(visit: Visit, secret: str) -> Cookie:
    plain = re.sub(r"[^\w-]", "", secret[:64], flags=re.ASCII)
    path = f"{visit.pages.site.path}/setup"
    return Cookie(COOKIE, plain, LIFE, path=path, secure=visit.ask(TokenDelivery).secure)
