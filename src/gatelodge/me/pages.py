"""The pages of the user's own account: profile, names, devices, sign-out and deletion."""

from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from gatelodge.accounts.service import AccountService, NewNames
from gatelodge.accounts.store import User
from gatelodge.credentials.factors import (
    FactorId,
    is_remembered,
    of_kind,
    second_factors,
)
from gatelodge.credentials.recovery_codes import HOW_MANY
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.gate.rules import IN_PERSON, SIGNED_IN
from gatelodge.ids import SessionId
from gatelodge.marks import N_
from gatelodge.me.activity import SENTENCES, Activity, By
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.forms import Field, Form
from gatelodge.sessions.devices import DeviceKind, device_kind, device_label
from gatelodge.sessions.doors import records_of, require_fresh, signed_out
from gatelodge.sessions.refusals import NoSuchSession
from gatelodge.sessions.service import SessionService
from gatelodge.sessions.store import Session
from gatelodge.sign_in.challenges import remembered
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.paging import from_cursor, to_cursor

door = PageDoor()

_NAME = Field("name", trimmed=True)
_USERNAME = Field("username", trimmed=True)
_SESSION = Field("session", missing=N_("Choose a device."))
_MAX_DEVICES = 50
_MAX_EVENTS = 30

_WHO: dict[By, str] = {
    "administrator": N_("by an administrator"),
    "application": N_("by an application"),
    "server": N_("by this server"),
}
"""What the page says of who did it; it says nothing of others."""

_VIEWED = N_("An administrator sees your account")


@dataclass(frozen=True, slots=True)
class Device:
    """A session, as the account page shows it.

    In a session of an administrator who sees the application as the user does, `reason` says why;
    their device and their address are not shown.
    """

    id: SessionId
    name: str
    kind: DeviceKind
    address: str
    created_at: datetime
    last_used_at: datetime
    current: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser in which no second factor is asked for, as the account page shows it."""

    id: FactorId
    name: str
    kind: DeviceKind
    since: datetime
    until: datetime | None
    current: bool


@dataclass(frozen=True, slots=True)
class Ways:
    """How a user can sign in besides the password, as the account page shows it.

    Attributes:
        offered: whether users may add second factors.
        apps: what the authenticator apps are called.
        passkeys: what the passkeys are called.
        has_second_factor: whether there is one of either; then recovery codes are shown.
        codes_left: how many recovery codes were not used yet.
        codes: how many there were.
        browsers: the remembered browsers.
    """

    offered: bool
    apps: list[str]
    passkeys: list[str]
    has_second_factor: bool
    codes_left: int
    codes: int
    browsers: list[Browser]


@door.get("/account", rule=SIGNED_IN)
async def show_account(visit: Visit) -> Response:
    """Show the account: how the user signs in, and on which devices they are signed in."""
    caller = await records_of(visit)
    found = await visit.ask(SessionService).list_own(
        caller.user, before=None, limit=_MAX_DEVICES + 1
    )
    devices = [_device(visit, each, caller.session) for each in found[:_MAX_DEVICES]]
    devices.sort(key=lambda device: not device.current)
    return visit.page(
        "account.html",
        user=caller.user,
        ways=_ways(visit, caller.user),
        devices=devices,
        more=len(found) > _MAX_DEVICES,
        now=visit.ask(TokenDelivery).clock.now(),
    )


@door.get("/account/activity", rule=IN_PERSON)
async def show_activity(visit: Visit) -> Response:
    """Show what happened to the account, the newest first."""
    before = from_cursor(visit.request.query_params.get("cursor"))
    page = await visit.ask(Activity).list_own(
        visit.caller.subject, before=before, limit=_MAX_EVENTS
    )
    return visit.page(
        "activity.html",
        events=page.events,
        sentences=SENTENCES,
        who=_WHO,
        next=to_cursor(page.before) if page.before else "",
        device=lambda user_agent: device_label(user_agent, visit.language),
    )


@door.get("/account/profile", rule=IN_PERSON)
async def show_profile(visit: Visit) -> Response:
    """Show the form for the name, and for the username if it may be changed."""
    if not visit.form.values:
        user = (await records_of(visit)).user
        visit.form = Form({"name": user.name, "username": user.username})
    return visit.page("profile.html")


@door.post("/account/profile", rule=SIGNED_IN, fields=(_NAME, _USERNAME), again=show_profile)
async def save_profile(visit: Visit) -> Response:
    """Change what the user is called. A form without a username leaves it as it is."""
    caller, form = await records_of(visit), visit.form
    asked = visit.pages.site.username_change or form["username"]
    wanted = NewNames(form["name"], form["username"] if asked else None)
    await visit.ask(AccountService).rename_own(caller.user, caller.proof(), wanted, visit.origin)
    return visit.go("/account", done="profile-saved")


@door.get("/account/delete", rule=IN_PERSON)
async def show_delete(visit: Visit) -> Response:
    """Explain what deletion means. Whoever signed in a while ago is asked for a proof first."""
    await require_fresh(visit)
    return visit.page("delete.html")


@door.post("/account/delete", rule=SIGNED_IN, again=show_delete)
async def delete(visit: Visit) -> Response:
    """Delete the account of the user who is signed in."""
    caller = await records_of(visit)
    await visit.ask(AccountService).delete_own(caller.user, caller.proof(), visit.origin)
    visit.ask(TokenDelivery).clear_cookies(visit.request.scope)
    return visit.go_home(done="account-deleted")


@door.post("/account/sign-out", rule=SIGNED_IN, fields=(_SESSION,))
async def end_session(visit: Visit) -> Response:
    """End another session of the user. A session that has ended already is no error."""
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
    """End all sessions of the user."""
    await visit.ask(SessionService).sign_out_everywhere(visit.caller.subject, visit.actor)
    return signed_out(visit, done="signed-out-everywhere")


def _ways(visit: Visit, user: User) -> Ways:
    recovery_codes, text = of_kind(user.factors, "recovery_codes"), visit.language.plain
    return Ways(
        offered=visit.ask(SecondFactorPolicy).mode != "off",
        apps=[each.name or text(N_("Authenticator app")) for each in of_kind(user.factors, "totp")],
        passkeys=[each.name or text(N_("Passkey")) for each in of_kind(user.factors, "passkey")],
        has_second_factor=bool(second_factors(user.factors)),
        codes_left=sum(len(each.digests) for each in recovery_codes),
        codes=HOW_MANY,
        browsers=_browsers(visit, user),
    )


def _browsers(visit: Visit, user: User) -> list[Browser]:
    """Return the remembered browsers that still count: the reader's own first, then the newest."""
    delivery = visit.ask(TokenDelivery)
    now = delivery.clock.now()
    own = remembered(user, delivery.remembered(visit.request.scope["headers"]), now)
    browsers = [
        Browser(
            id=each.id,
            name=device_label(each.name, visit.language),
            kind=device_kind(each.name),
            since=each.created_at,
            until=each.expires_at,
            current=each == own,
        )
        for each in reversed(of_kind(user.factors, "browser"))
        if is_remembered(each, user.epoch, now)
    ]
    return sorted(browsers, key=lambda browser: not browser.current)


def _device(visit: Visit, session: Session, current: Session) -> Device:
    own = session.impersonator is None
    return Device(
        id=session.id,
        name=device_label(session.user_agent, visit.language) if own else _viewed(visit),
        kind=device_kind(session.user_agent) if own else "computer",
        address=session.address if own else "",
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        current=session.id == current.id,
        reason=session.reason,
    )


def _viewed(visit: Visit) -> str:
    """Return what a session of somebody who sees the application as the user does is called."""
    return visit.language.text(_VIEWED)
