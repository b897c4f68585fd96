"""The JSON routes of what happened, and of what happens now."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Query
from pydantic import Field
from starlette.requests import Request as HttpRequest

from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.admin.doors import ByProved
from gatelodge.admin.events import EventAdministration, SeenEvent
from gatelodge.admin.live import EventTail, Onlooker
from gatelodge.admin.refusals import TooManyOnlookers, UserNotDeleted
from gatelodge.admin.retention import EventRetention
from gatelodge.admin.rules import DELETE_USERS, READ_EVENTS
from gatelodge.audit import MAX_TEXT, EventQuery
from gatelodge.credentials.refusals import ReauthenticationRequired
from gatelodge.errors import Refusal, Unavailable
from gatelodge.ids import UserId
from gatelodge.turns import in_turns
from gatelodge.web.admission import Admission
from gatelodge.web.bodies import Answer, Message, Request
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.event_stream import BEGINNING, HEARTBEAT, EventStream, sent
from gatelodge.web.instants import Instant
from gatelodge.web.paging import Cursor, Limit, from_cursor, to_cursor
from gatelodge.web.services import Provided, service_of

door = Door("/api/admin/events", tag="admin")

MOST_SECONDS = 300
"""How long one stays connected at most; browsers come back by themselves."""

_BEATS_BETWEEN = 15
"""How many looks without anything new pass until a heartbeat is sent."""

Events = Annotated[EventAdministration, Provided(EventAdministration)]
Tail = Annotated[EventTail, Provided(EventTail)]


def _text(description: str) -> Any:
    return Query(max_length=MAX_TEXT, description=description)


class EventSeen(Answer):
    """What happened, who did it, and to whom."""

    id: str
    at: datetime
    name: str = Field(description="What happened, such as `session.opened`.")
    actor: str | None = Field(
        default=None, description="Who did it: the id of a user, or `command` and others."
    )
    actor_name: str | None = Field(
        default=None, description="The username of that user, while they exist."
    )
    target: str | None = Field(default=None, description="The id of what it was done to.")
    target_name: str | None = Field(
        default=None, description="The username, if it is a user who exists."
    )
    outcome: str
    address: str
    user_agent: str
    request_id: str
    detail: dict[str, str]


class EventsSeen(Answer):
    """A page of events, the newest first."""

    items: list[EventSeen]
    next: str | None = None


EXAMPLE = {
    "id": "evt_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
    "at": "2026-01-31T12:00:00Z",
    "name": "session.opened",
    "actor": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
    "actorName": "ada",
    "target": "ses_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
    "targetName": None,
    "outcome": "success",
    "address": "192.0.2.7",
    "userAgent": "curl/8.14.1",
    "requestId": "req_200e5620e44bc8e95b300acc3c7937cd",
    "detail": {"factor": "password"},
}


def _wanted(
    actor: Annotated[str | None, _text("Who did it: the id of a user, or `command`…")] = None,
    target: Annotated[str | None, _text("The id of what it was done to.")] = None,
    about: Annotated[str | None, _text("The id of a user who is either of them.")] = None,
    name: Annotated[str | None, _text("What happened, such as `session.opened`.")] = None,
    address: Annotated[str | None, _text("The network address it came from.")] = None,
) -> EventQuery:
    return EventQuery(actor, target, about, name, address)


Wanted = Annotated[EventQuery, Depends(_wanted)]


@door.get(
    "",
    rule=READ_EVENTS,
    told=Description(
        "Search what happened",
        gives={"items": [EXAMPLE], "next": "ZXZ0XzA2ZjRoMms5YzBxMXY4ZDNuNWI3dDJtNHM2cjhwMGEx"},
    ),
)
async def events_of_all(
    events: Events,
    wanted: Wanted,
    since: Annotated[Instant | None, Query(description="Only events from then on.")] = None,
    until: Annotated[Instant | None, Query(description="Only events before then.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EventsSeen:
    """List the stored events that match, the newest first. All conditions must hold.

    A page may have fewer events than `limit`, or none, although there are more: the search stops
    when it has looked at many that do not match. While `next` is not null, send it as `cursor` to
    get the following page.
    """
    query = replace(wanted, since=since, until=until)
    page = await events.search(query, before=from_cursor(cursor), limit=limit)
    return EventsSeen(
        items=await in_turns(seen, page.events),
        next=to_cursor(page.before) if page.before else None,
    )


@door.get(
    "/live",
    rule=READ_EVENTS,
    told=Description(
        "See what happens now",
        gives='id: evt_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi\ndata: {"name":"session.opened"}\n\n',
    ),
    refuses=(TooManyOnlookers,),
    response_class=EventStream,
)
async def live_events(
    request: HttpRequest,
    events: Events,
    tail: Tail,
    wanted: Wanted,
    after: Annotated[
        str | None, _text("The id of the last event that is known; those since come first.")
    ] = None,
    seconds: Annotated[
        int, Query(ge=0, le=MOST_SECONDS, description="When the answer ends at the latest.")
    ] = MOST_SECONDS,
    last_event_id: Annotated[
        str | None,
        Header(max_length=256, description="As `after`; browsers send it by themselves."),
    ] = None,
) -> EventStream:
    """Send new events that match as server-sent events; `data` is an item of the list as JSON.

    The answer ends after five minutes, or when the caller's right to see it ends. Browsers then
    come back by themselves, and name the last event in `Last-Event-ID`; what has happened meanwhile
    is sent first. An event may be sent again to somebody who comes back: its id tells.
    """
    onlooker = tail.join(wanted)
    messages = _messages(request, events, tail, onlooker, last_event_id or after, seconds)
    return EventStream(messages, ended=lambda: tail.leave(onlooker))


class BlankRequest(Request):
    """Whose traces are blanked."""

    user: str = Field(max_length=MAX_TEXT, description="The id that the user had.")


class Blanked(Message):
    """How many events say less now."""

    changed: int


@door.post(
    "/blank",
    rule=DELETE_USERS,
    told=Description(
        "Blank a deleted user in events",
        takes={"user": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi"},
        gives={"message": "The events say nothing of the user any more.", "changed": 12},
    ),
    refuses=(NoSuchUser, UserNotDeleted, ReauthenticationRequired),
)
async def blank_events(
    body: BlankRequest, by: ByProved, retention: Annotated[EventRetention, Provided(EventRetention)]
) -> Blanked:
    """Blank what events say of a deleted user besides the id. The events stay.

    Network addresses and programs of what the user did become empty, and so do names and addresses
    in what was done to the user. It needs a proof of the last 5 minutes, and may be repeated.
    """
    changed = await retention.blank(UserId(body.user), by.actor)
    return Blanked(message="The events say nothing of the user any more.", changed=changed)


async def _messages(
    request: HttpRequest,
    events: EventAdministration,
    tail: EventTail,
    onlooker: Onlooker,
    after: str | None,
    seconds: int,
) -> AsyncIterator[str]:
    admission = service_of(request, Admission)

    async def still_may() -> bool:
        try:
            await admission.admit_again(request, READ_EVENTS)
        except Refusal:
            return False
        return True

    yield BEGINNING
    silent = 0
    try:
        async for new in tail.follow(onlooker, after, still_may, seconds=seconds):
            for each in await events.named(new):
                yield sent(seen(each).model_dump_json(by_alias=True), event_id=each.event.id)
            silent = 0 if new else silent + 1
            if silent == _BEATS_BETWEEN:
                silent = 0
                yield HEARTBEAT
    except Unavailable:
        return  # whoever comes back hears why


def seen(each: SeenEvent) -> EventSeen:
    """Return an event as it is answered."""
    event = each.event
    return EventSeen(
        id=event.id,
        at=event.at,
        name=event.name,
        actor=event.actor,
        actor_name=each.actor_name,
        target=event.target,
        target_name=each.target_name,
        outcome=event.outcome,
        address=event.address,
        user_agent=event.user_agent,
        request_id=event.request_id,
        detail=dict(event.detail),
    )
