"""The pages of accounts: sign-up, one's own account, and its end."""

from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from gatelodge.accounts.service import AccountService, NewUser
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.i18n import N_
from gatelodge.ids import SessionId
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import (
    EMAIL,
    FOR_PASSWORD_MANAGERS,
    NEW_PASSWORD,
    NEXT,
    PASSWORD,
    USERNAME,
)
from gatelodge.sessions.devices import device_name
from gatelodge.sessions.doors import open_session, records_of
from gatelodge.sessions.service import SessionService
from gatelodge.sessions.store import Session
from gatelodge.web.cookies import TokenDelivery

door = PageDoor()

_MOST_DEVICES = 50


@dataclass(frozen=True, slots=True)
class Device:
    """A session, as the account page shows it."""

    id: SessionId
    name: str
    address: str
    created_at: datetime
    last_used_at: datetime
    current: bool


@door.get("/sign-up", rule=ANYBODY)
async def show_sign_up(visit: Visit) -> Response:
    """Ask for name, address and password; who is signed in goes where they wanted to."""
    if visit.principal is not None:
        return visit.go(visit.next or "/account")
    return visit.page("sign-up.html")


@door.post(
    "/sign-up", rule=ANYBODY, fields=(USERNAME, EMAIL, NEW_PASSWORD, NEXT), again=show_sign_up
)
async def sign_up(visit: Visit) -> Response:
    """Make a user and sign them in."""
    wanted = NewUser(visit.form["username"], visit.form["email"], visit.form["password"])
    user = await visit.ask(AccountService).sign_up_once(wanted, visit.origin)
    await open_session(visit, user)
    return visit.go(visit.next) if visit.next else visit.go("/", done="signed-up")


@door.get("/account", rule=SIGNED_IN)
async def show_account(visit: Visit) -> Response:
    """Show who one is and where one is signed in."""
    caller = await records_of(visit)
    found = await visit.ask(SessionService).list_own(
        caller.user, before=None, limit=_MOST_DEVICES + 1
    )
    devices = [_device(visit, each, caller.session) for each in found[:_MOST_DEVICES]]
    devices.sort(key=lambda device: not device.current)
    more = len(found) > _MOST_DEVICES
    return visit.page("account.html", user=caller.user, devices=devices, more=more)


@door.get("/account/delete", rule=SIGNED_IN)
async def show_delete(visit: Visit) -> Response:
    """Say what deleting means, and ask for the password."""
    return visit.page("delete.html")


@door.post(
    "/account/delete",
    rule=SIGNED_IN,
    fields=(FOR_PASSWORD_MANAGERS, PASSWORD),
    again=show_delete,
)
async def delete(visit: Visit) -> Response:
    """Forget who is signed in."""
    caller = await records_of(visit)
    await visit.ask(AccountService).delete_own(
        caller.user, caller.session.id, visit.form["password"], visit.origin
    )
    visit.ask(TokenDelivery).clear_cookies(visit.request.scope)
    return visit.go("/", done="account-deleted")


def _device(visit: Visit, session: Session, current: Session) -> Device:
    program, system = device_name(session.user_agent)
    name = visit.language.text(N_("%(program)s on %(system)s"), program=program, system=system)
    return Device(
        id=session.id,
        name=name if system else visit.language.text(program),
        address=session.address,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        current=session.id == current.id,
    )
