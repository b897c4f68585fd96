"""What happened: events for administrators, with the names of the users in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gatelodge.accounts.names import email_key, username_key
from gatelodge.accounts.store import UserStore
from gatelodge.admin.refusals import NoSuchEvent
from gatelodge.audit import Event, EventQuery, EventStore
from gatelodge.ids import USER_PREFIX, UserId


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event as an administrator sees it.

    Attributes:
        event: the event.
        actor_name: the username of who did it, if that is a user who exists.
        target_name: the username of whom it was done to, if that is a user who exists.
    """

    event: Event
    actor_name: str | None = None
    target_name: str | None = None


@dataclass(frozen=True, slots=True)
class SeenEvents:
    """A page of events.

    Attributes:
        events: the events, the newest first. There may be fewer than asked for, or none, although
            there are more.
        before: below which id the next page goes on; None: there are no more events.
    """

    events: list[SeenEvent]
    before: str | None


@dataclass(frozen=True, slots=True)
class EventAdministration:
    """Shows administrators what has happened."""

    events: EventStore
    users: UserStore

    async def search(self, query: EventQuery, *, before: str | None, limit: int) -> SeenEvents:
        """Return up to `limit` events that match, the newest first; see `EventStore.search`."""
        page = await self.events.search(query, before=before, limit=limit)
        return SeenEvents(await self.named(page.events), page.before)

    async def get(self, event_id: str) -> SeenEvent:
        """Return one event.

        Raises:
            NoSuchEvent: there is none of this id.
        """
        event = await self.events.find(event_id)
        if event is None:
            raise NoSuchEvent
        [seen] = await self.named([event])
        return seen

    async def named(self, events: Sequence[Event]) -> list[SeenEvent]:
        """Return events with the names of the users in them, which are read at once."""
        ids = {id_ for each in events for id_ in (each.actor, each.target) if _is_user(id_)}
        users = await self.users.find_many([UserId(id_) for id_ in ids if id_ is not None])
        names: dict[str | None, str] = {user.id: user.username for user in users.values()}
        return [SeenEvent(each, names.get(each.actor), names.get(each.target)) for each in events]

    async def id_of(self, text: str) -> str:
        """Return the id that somebody means who typed an id, a username or an e-mail address.

        What is nobody's name is taken for an id: also that of a role, a session or a key, or of a
        user who is deleted.
        """
        if _is_user(text):
            return text
        find = self.users.find_by_email if "@" in text else self.users.find_by_username
        user = await find(email_key(text) if "@" in text else username_key(text))
        return text if user is None else user.id


def _is_user(text: str | None) -> bool:
    return text is not None and text.startswith(f"{USER_PREFIX}_")
