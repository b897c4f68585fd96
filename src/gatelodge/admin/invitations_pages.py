"""The pages of invitations: who is invited, inviting somebody, and taking it back."""

from starlette.responses import Response

from gatelodge.admin.doors import administrator, page, proved
from gatelodge.admin.refusals import NoSuchInvitation
from gatelodge.admin.rules import READ_USERS, WRITE_USERS
from gatelodge.admin.users import UserAdministration
from gatelodge.admin.users_pages import ROLES, chosen_roles, grantable
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import EMAIL
from gatelodge.pages.forms import Field

door = PageDoor()

INVITATIONS = "/admin/invitations"
NEW = f"{INVITATIONS}/new"

_INVITATION = Field("invitation", missing=N_("Choose one from the list."))


@door.get(INVITATIONS, rule=READ_USERS)
async def list_invitations(visit: Visit) -> Response:
    """List the invitations that can be accepted."""
    invitations = await visit.ask(UserAdministration).list_invitations()
    return page(visit, "invitations.html", invitations=invitations)


@door.get(NEW, rule=WRITE_USERS)
async def show_new(visit: Visit) -> Response:
    """Show the form. Whoever signed in a while ago is asked for a proof first."""
    by = await proved(visit)
    return page(
        visit, "invitation-new.html", roles=await grantable(visit, by), chosen=chosen_roles(visit)
    )


@door.post(NEW, rule=WRITE_USERS, fields=(EMAIL, ROLES), again=show_new)
async def invite(visit: Visit) -> Response:
    """Have a letter sent to somebody, who chooses name and password."""
    by, form = await proved(visit), visit.form
    await visit.ask(UserAdministration).invite(form["email"], form.all_of("roles"), by)
    return visit.go(INVITATIONS if visit.may_open(INVITATIONS) else NEW, done="invited")


@door.post(f"{INVITATIONS}/withdraw", rule=WRITE_USERS, fields=(_INVITATION,))
async def withdraw(visit: Visit) -> Response:
    """Make an invitation void. One that is void already is no error."""
    back = INVITATIONS if visit.may_open(INVITATIONS) else NEW
    try:
        await visit.ask(UserAdministration).withdraw_invitation(
            visit.form["invitation"], administrator(visit)
        )
    except NoSuchInvitation:
        return visit.go(back)
    return visit.go(back, done="invitation-withdrawn")
