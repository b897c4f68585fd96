"""The pages of one user: who they are, what they may do, where they are signed in, and the acts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from gatelodge.accounts.permissions import EVENTS_READ
from gatelodge.accounts.roles import RoleService
from gatelodge.accounts.store import Role
from gatelodge.admin.authority import Administrator
from gatelodge.admin.doors import administrator, page, proved
from gatelodge.admin.events import EventAdministration, SeenEvent
from gatelodge.admin.rules import DELETE_USERS, END_SESSIONS, READ_USERS, WRITE_USERS
from gatelodge.admin.sessions import SeenSession, SessionAdministration
from gatelodge.admin.users import SeenUser, UserAdministration, UserChanges
from gatelodge.admin.users_pages import NAME, ROLES, USERS, WORDS, Words
from gatelodge.admin.wording import SENTENCES
from gatelodge.audit import EventQuery
from gatelodge.credentials.factors import Factor, FactorKind, second_factors
from gatelodge.ids import SessionId
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import EMAIL, USERNAME
from gatelodge.pages.forms import Field, Form
from gatelodge.sessions.devices import DeviceKind, device_kind, device_label
from gatelodge.sessions.refusals import NoSuchSession
from gatelodge.sessions.store import SessionQuery

door = PageDoor()

USER = f"{USERS}/{{user_id}}"

_SESSION = Field("session", missing=N_("Choose a device."))
_REASON = Field("reason", trimmed=True)
_HELD = Field("held")

_EDITED = ("name", "username", "email")
_BEFORE = tuple(Field(f"was_{each}") for each in _EDITED)
"""What the form was shown with."""

_VERIFY = Words(
    choice=N_("Verify the address"),
    question="",
    one=N_("Is this the address of %(name)s?"),
    means=N_("It then counts as verified, as if they had followed the link of a letter."),
    button=N_("It is theirs"),
    done="",
    was="",
    grave=False,
)

_SESSIONS_SHOWN = 10
_EVENTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, as the page of a user shows it."""

    id: SessionId
    name: str
    kind: DeviceKind
    address: str
    created_at: datetime
    last_used_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class Proves:
    """A factor, as the page of a user shows it."""

    icon: str
    name: str
    text: str
    since: datetime
    last_used_at: datetime | None


@door.get(USER, rule=READ_USERS)
async def show_user(visit: Visit) -> Response:
    """Show one user, and offer the acts that the reader may do."""
    by = administrator(visit)
    seen = await _asked(visit, by)
    sessions = await visit.ask(SessionAdministration).search(
        SessionQuery(user_id=seen.user.id), by, before=None, limit=_SESSIONS_SHOWN
    )
    return page(
        visit,
        "user.html",
        seen=seen,
        user=seen.user,
        me=seen.user.id == visit.caller.subject,
        may=by.rights.permissions if seen.reached else frozenset(),
        factors=[_proves(visit, each) for each in seen.factors],
        has_second_factor=bool(second_factors(seen.user.factors)),
        sessions=[_signed_in(visit, each) for each in sessions.sessions],
        more_sessions=sessions.before is not None,
        events=await _events_about(visit, seen),
        sentences=SENTENCES,
    )


@door.get(f"{USER}/edit", rule=WRITE_USERS)
async def show_edit(visit: Visit) -> Response:
    """Show the form for what the user is called, and for the address."""
    user = (await _reached(visit, administrator(visit))).user
    now = {"name": user.name, "username": user.username, "email": user.email}
    if not visit.form.values:
        visit.form = Form(now | {f"was_{name}": value for name, value in now.items()})
    return page(visit, "user-edit.html", user=user)


@door.post(
    f"{USER}/edit",
    rule=WRITE_USERS,
    fields=(NAME, USERNAME, EMAIL, *_BEFORE),
    again=show_edit,
)
async def save_edit(visit: Visit) -> Response:
    """Change what was changed in the form: what others have changed meanwhile stays."""
    form = visit.form
    changed = {each: form[each] for each in _EDITED if form[each] != form[f"was_{each}"]}
    changes = UserChanges(changed.get("name"), changed.get("username"), changed.get("email"))
    by = await proved(visit) if changes.needs_proof else administrator(visit)
    await visit.ask(UserAdministration).edit(_id(visit), changes, by)
    return _back(visit, done="user-saved")


@door.get(f"{USER}/verify-email", rule=WRITE_USERS)
async def show_verify_email(visit: Visit) -> Response:
    """Ask whether the address is the user's, after a proof if the last one is too old."""
    return await _ask(visit, _VERIFY, await proved(visit))


@door.post(f"{USER}/verify-email", rule=WRITE_USERS, again=show_verify_email)
async def verify_email(visit: Visit) -> Response:
    """Let the address of the user count as verified."""
    by, changes = await proved(visit), UserChanges(email_verified=True)
    await visit.ask(UserAdministration).edit(_id(visit), changes, by)
    return _back(visit, done="user-saved")


@door.post(f"{USER}/password-letter", rule=WRITE_USERS)
async def send_letter(visit: Visit) -> Response:
    """Have a letter sent to the user, with which they set a new password."""
    await visit.ask(UserAdministration).send_password_letter(_id(visit), administrator(visit))
    return _back(visit, done="user-letter")


@door.get(f"{USER}/require-new-password", rule=WRITE_USERS)
async def show_require_password(visit: Visit) -> Response:
    """Ask whether the user has to set a new password, after a proof if the last one is too old."""
    return await _ask(visit, WORDS["require_new_password"], await proved(visit))


@door.post(f"{USER}/require-new-password", rule=WRITE_USERS, again=show_require_password)
async def require_password(visit: Visit) -> Response:
    """Have the user set a new password before the next sign-in."""
    await visit.ask(UserAdministration).require_new_password(_id(visit), await proved(visit))
    return _back(visit, done="user-must-set")


@door.get(f"{USER}/roles", rule=WRITE_USERS)
async def show_roles(visit: Visit) -> Response:
    """Show which roles the user holds. Whoever signed in a while ago is asked for a proof first."""
    by = await proved(visit)
    seen = await _reached(visit, by)
    roles = await _roles_of(visit, seen)
    held = list(seen.user.roles)
    return page(
        visit,
        "user-roles.html",
        user=seen.user,
        roles=roles,
        held=held,
        chosen=visit.form.all_of("roles") if visit.form.values else held,
        fixed=[each.name for each in roles if not _may_change(by, each, held)],
    )


@door.post(f"{USER}/roles", rule=WRITE_USERS, fields=(ROLES, _HELD), again=show_roles)
async def save_roles(visit: Visit) -> Response:
    """Grant the roles that were ticked, and take those that were not any more.

    `held` are the roles that the page has shown: what somebody else has changed meanwhile stays.
    """
    by, service, user_id = await proved(visit), visit.ask(UserAdministration), _id(visit)
    await _reached(visit, by)
    held, chosen = visit.form.all_of("held"), visit.form.all_of("roles")
    roles = {each.name: each for each in await visit.ask(RoleService).list_roles()}
    for name in chosen:
        if name not in held:
            await service.grant(user_id, name, by)
    for name in held:
        is_fixed = name in roles and not by.may_take(roles[name])  # its box cannot be ticked
        if name not in chosen and not is_fixed:
            await service.withdraw(user_id, name, by)
    return _back(visit, done="roles-saved")


@door.get(f"{USER}/disable", rule=WRITE_USERS)
async def show_disable(visit: Visit) -> Response:
    """Ask whether to disable the user, and why."""
    return await _ask(visit, WORDS["disable"], administrator(visit))


@door.post(f"{USER}/disable", rule=WRITE_USERS, fields=(_REASON,), again=show_disable)
async def disable(visit: Visit) -> Response:
    """Disable the user."""
    by = administrator(visit)
    await visit.ask(UserAdministration).disable(_id(visit), visit.form["reason"], by)
    return _back(visit, done="user-disabled")


@door.post(f"{USER}/enable", rule=WRITE_USERS)
async def enable(visit: Visit) -> Response:
    """Enable the user again."""
    await visit.ask(UserAdministration).enable(_id(visit), administrator(visit))
    return _back(visit, done="user-enabled")


@door.get(f"{USER}/end-sessions", rule=END_SESSIONS)
async def show_end_sessions(visit: Visit) -> Response:
    """Ask whether to end all sessions of the user."""
    return await _ask(visit, WORDS["sign_out"], administrator(visit))


@door.post(f"{USER}/end-sessions", rule=END_SESSIONS, again=show_end_sessions)
async def end_sessions(visit: Visit) -> Response:
    """End all sessions of the user."""
    await visit.ask(UserAdministration).sign_out(_id(visit), administrator(visit))
    return _back(visit, done="user-signed-out")


@door.post(f"{USER}/end-session", rule=END_SESSIONS, fields=(_SESSION,))
async def end_session(visit: Visit) -> Response:
    """End one session of the user. One that has ended already is no error."""
    service, session = visit.ask(SessionAdministration), SessionId(visit.form["session"])
    try:
        await service.end(session, administrator(visit))
    except NoSuchSession:
        return _back(visit)
    return _back(visit, done="user-session-ended")


@door.get(f"{USER}/reset-factors", rule=WRITE_USERS)
async def show_reset_factors(visit: Visit) -> Response:
    """Ask whether to remove the user's factors, after a proof if the last one is too old."""
    return await _ask(visit, WORDS["reset_factors"], await proved(visit))


@door.post(f"{USER}/reset-factors", rule=WRITE_USERS, again=show_reset_factors)
async def reset_factors(visit: Visit) -> Response:
    """Remove all factors of the user."""
    await visit.ask(UserAdministration).reset_factors(_id(visit), await proved(visit))
    return _back(visit, done="user-factors-reset")


@door.get(f"{USER}/delete", rule=DELETE_USERS)
async def show_delete(visit: Visit) -> Response:
    """Ask whether to delete the user, after a proof if the last one is too old."""
    return await _ask(visit, WORDS["delete"], await proved(visit))


@door.post(f"{USER}/delete", rule=DELETE_USERS, again=show_delete)
async def delete(visit: Visit) -> Response:
    """Delete the user."""
    await visit.ask(UserAdministration).delete(_id(visit), await proved(visit))
    return visit.go(USERS if visit.may_open(USERS) else "/admin", done="user-deleted")


def _id(visit: Visit) -> str:
    return str(visit.request.path_params["user_id"])


async def _asked(visit: Visit, by: Administrator) -> SeenUser:
    """Return the user whom the address names.

    Raises:
        NoSuchUser: there is none.
    """
    return await visit.ask(UserAdministration).get(_id(visit), by)


async def _reached(visit: Visit, by: Administrator) -> SeenUser:
    """Return the same, if the reader may act on them.

    Raises:
        NoSuchUser, OutOfReach: there is none, or they may do more than the reader.
    """
    seen = await _asked(visit, by)
    by.require_reach(seen.rights)
    return seen


async def _ask(visit: Visit, words: Words, by: Administrator) -> Response:
    """Return the page that asks whether to do something to the user."""
    seen = await _reached(visit, by)
    return page(visit, "user-act.html", user=seen.user, words=words)


def _back(visit: Visit, *, done: str = "") -> Response:
    """Return a redirect to the user's page, or into the console for whoever may not see it."""
    path = f"{USERS}/{_id(visit)}"
    return visit.go(path if visit.may_open(path) else "/admin", done=done)


async def _roles_of(visit: Visit, seen: SeenUser) -> list[Role]:
    """Return all roles, and the names that the user holds of roles that were deleted."""
    roles = await visit.ask(RoleService).list_roles()
    known = {each.name for each in roles}
    gone = visit.language.text(N_("This role was deleted. It permits nothing."))
    return [*roles, *(Role(name, gone) for name in seen.user.roles if name not in known)]


def _may_change(by: Administrator, role: Role, held: Sequence[str]) -> bool:
    return by.may_take(role) if role.name in held else by.may_grant(role)


def _signed_in(visit: Visit, seen: SeenSession) -> SignedIn:
    session = seen.session
    return SignedIn(
        id=session.id,
        name=device_label(session.user_agent, visit.language),
        kind=device_kind(session.user_agent),
        address=session.address,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        current=session.id == visit.caller.session_id,
    )


_KINDS: Mapping[FactorKind, tuple[str, str]] = {
    "totp": ("phone", N_("Authenticator app")),
    "passkey": ("passkey", N_("Passkey")),
    "recovery_codes": ("ring", N_("Recovery codes")),
    "browser": ("computer", N_("Remembered browser")),
}
"""The drawing of each kind of factor, and what it is called."""


def _proves(visit: Visit, factor: Factor) -> Proves:
    icon, kind = _KINDS[factor.kind]
    text = visit.language.text
    name = {
        "browser": lambda: device_label(factor.name, visit.language),
        "recovery_codes": lambda: text(N_("%(number)s left"), number=len(factor.digests)),
    }.get(factor.kind, lambda: factor.name)()
    return Proves(icon, text(kind), name, factor.created_at, factor.last_used_at)


async def _events_about(visit: Visit, seen: SeenUser) -> list[SeenEvent] | None:
    """Return the newest events about the user; None if the reader may not see them."""
    if EVENTS_READ not in visit.caller.permissions:
        return None
    query = EventQuery(about=seen.user.id)
    found = await visit.ask(EventAdministration).search(query, before=None, limit=_EVENTS_SHOWN)
    return found.events
