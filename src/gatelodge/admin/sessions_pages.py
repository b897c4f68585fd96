"""The page of the sessions of all users."""

from ipaddress import ip_address
from urllib.parse import urlencode

from starlette.responses import Response

from gatelodge.admin.doors import administrator, page
from gatelodge.admin.events import EventAdministration
from gatelodge.admin.overview import OverviewAdministration
from gatelodge.admin.rules import END_SESSIONS, READ_USERS
from gatelodge.admin.sessions import SessionAdministration
from gatelodge.errors import InvalidRequest
from gatelodge.ids import SessionId, UserId
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.forms import Field
from gatelodge.sessions.devices import device_label
from gatelodge.sessions.refusals import NoSuchSession
from gatelodge.sessions.store import SessionQuery
from gatelodge.web.paging import from_cursor, to_cursor

door = PageDoor()

SESSIONS = "/admin/sessions"

ON_A_PAGE = 25
"""How many sessions a page shows: with all that it loads, it stays below 60 KB."""

MAX_SOUGHT = 254

_SESSION = Field("session", missing=N_("Choose a device."))
_SOUGHT = Field("q", trimmed=True)


@door.get(SESSIONS, rule=READ_USERS)
async def list_sessions(visit: Visit) -> Response:
    """List who is signed in where, 25 sessions at a time."""
    asked = visit.request.query_params
    sought, after = asked.get("q", "").strip(), from_cursor(asked.get("after") or None)
    if len(sought) > MAX_SOUGHT or not sought.isprintable():
        raise InvalidRequest(field="q")
    by = administrator(visit)
    found = await visit.ask(SessionAdministration).search(
        await _query_of(visit, sought),
        by,
        before=SessionId(after) if after else None,
        limit=ON_A_PAGE,
    )
    return page(
        visit,
        "sessions.html",
        sought=sought,
        sessions=found.sessions,
        after=to_cursor(found.before) if found.before else "",
        count=await visit.ask(OverviewAdministration).count_sessions(),
        may_end=END_SESSIONS.permits(by.rights.roles, by.rights.permissions),
        own=visit.caller.session_id,
        device=lambda session: device_label(session.user_agent, visit.language),
    )


@door.post(f"{SESSIONS}/end", rule=END_SESSIONS, fields=(_SESSION, _SOUGHT))
async def end_session(visit: Visit) -> Response:
    """End one session. One that has ended already is no error."""
    sought = visit.form["q"]
    back = f"{SESSIONS}?{urlencode({'q': sought})}" if sought else SESSIONS
    try:
        await visit.ask(SessionAdministration).end(
            SessionId(visit.form["session"]), administrator(visit)
        )
    except NoSuchSession:
        return visit.go(back)
    return visit.go(back, done="user-session-ended")


async def _query_of(visit: Visit, sought: str) -> SessionQuery:
    """Return what somebody looks for who typed an address, a name or an id."""
    if not sought:
        return SessionQuery()
    try:
        return SessionQuery(address=ip_address(sought.strip("[]")).compressed)
    except ValueError:
        return SessionQuery(user_id=UserId(await visit.ask(EventAdministration).id_of(sought)))
