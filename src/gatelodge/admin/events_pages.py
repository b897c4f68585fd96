"""The pages of what happened, and of what happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from urllib.parse import urlencode

from starlette.responses import Response

from gatelodge.admin.doors import page
from gatelodge.admin.events import EventAdministration, SeenEvents
from gatelodge.admin.rules import READ_EVENTS
from gatelodge.admin.user_filters import end_of_day, start_of_day
from gatelodge.admin.wording import SENTENCES
from gatelodge.audit import MAX_TEXT, EventQuery
from gatelodge.errors import InvalidRequest
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.subscriptions.service import TOLD
from gatelodge.web.paging import from_cursor, to_cursor

door = PageDoor()

EVENTS = "/admin/events"
LIVE = "/api/admin/events/live"

ON_A_PAGE = 25
"""How many events a page shows: with all that it loads, it stays below 60 KB."""

CONDITIONS = ("who", "name", "address", "from", "until", "actor", "target")
"""The names of the conditions in the address. Links on pages set the last two."""


@dataclass(frozen=True, slots=True)
class EventFilters:
    """What the page of events looks for.

    Attributes:
        values: the values in the address, by name; those that are empty are left out.
        since: the first instant, or None.
        until: the instant after the last one, or None.
    """

    values: Mapping[str, str]
    since: datetime | None
    until: datetime | None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """Return what an address looks for.

        Raises:
            InvalidRequest: a text is too long or cannot be printed, or a day is none.
        """
        values = {name: given.get(name, "").strip() for name in CONDITIONS}
        values = {name: value for name, value in values.items() if value}
        for name, value in values.items():
            if len(value) > MAX_TEXT or not value.isprintable():
                raise InvalidRequest(field=name)
        return cls(values, start_of_day("from", values), end_of_day("until", values))

    def without(self, name: str) -> dict[str, str]:
        """Return the values without one of them."""
        return {each: value for each, value in self.values.items() if each != name}

    def query(self, about: str | None) -> EventQuery:
        """Return the same, as the store understands it.

        Args:
            about: the id of whom `who` means, or None.
        """
        named = {name: self.values.get(name) for name in ("actor", "target", "name", "address")}
        return EventQuery(**named, about=about, since=self.since, until=self.until)


@door.get(EVENTS, rule=READ_EVENTS)
async def list_events(visit: Visit) -> Response:
    """List what happened, 25 events at a time."""
    asked, service = visit.request.query_params, visit.ask(EventAdministration)
    filters = EventFilters.read(asked)
    after = from_cursor(asked.get("after") or None)
    who = filters.values.get("who")
    query = filters.query(None if who is None else await service.id_of(who))
    found = await service.search(query, before=after, limit=ON_A_PAGE)
    return page(
        visit,
        "events.html",
        filters=filters,
        events=found.events,
        names=sorted(TOLD),
        after=to_cursor(found.before) if found.before else "",
        live="" if after or query.until else _live_address(visit, query, found),
    )


@door.get(f"{EVENTS}/{{event_id}}", rule=READ_EVENTS, answers=404)
async def show_event(visit: Visit) -> Response:
    """Show one event with all that is known of it."""
    seen = await visit.ask(EventAdministration).get(visit.request.path_params["event_id"])
    sentence = SENTENCES.get(seen.event.name, "")
    return page(visit, "event.html", seen=seen, event=seen.event, sentence=sentence)


def _live_address(visit: Visit, query: EventQuery, found: SeenEvents) -> str:
    """Return where new events of this kind come from, after the newest one on the page."""
    named = ("actor", "target", "about", "name", "address")
    values = {name: value for name in named if (value := getattr(query, name)) is not None}
    if found.events:
        values["after"] = found.events[0].event.id
    return f"{visit.pages.site.path}{LIVE}?{urlencode(values)}"
