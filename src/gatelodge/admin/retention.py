"""How long events are kept, and what they say of users who are gone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.store import UserStore
from gatelodge.admin.refusals import UserNotDeleted
from gatelodge.audit import Actor, AuditLog, EventStore
from gatelodge.clock import Clock
from gatelodge.ids import USER_PREFIX, UserId, is_id

_PAGE = 200
"""How many events are changed in one write, so that others never wait long for theirs."""

_PAUSE = timedelta(milliseconds=20)
"""The pause between two of these writes."""


def _tell_nobody(_looked_at: int) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class EventRetention:
    """Deletes old events, and blanks what events say of a deleted user.

    Attributes:
        events: the stored events.
        users: who exists.
        audit: makes the events and writes them to the log.
        clock: tells the current time.
        kept: how long events are kept.
    """

    events: EventStore
    users: UserStore
    audit: AuditLog
    clock: Clock
    kept: timedelta

    async def sweep(self) -> int:
        """Delete the events that are too old; return how many."""
        before = self.clock.now() - self.kept
        removed = 0
        while page := await self.events.remove_before(before, limit=_PAGE):
            removed += page
            await asyncio.sleep(_PAUSE.total_seconds())
        return removed

    async def blank(
        self, user_id: UserId, by: Actor, progress: Callable[[int], None] = _tell_nobody
    ) -> int:
        """Blank what events say of a deleted user besides the id; return how many were changed.

        The events stay. If this is interrupted, it can be done again.

        Args:
            user_id: the id that the user had.
            by: who asks for it.
            progress: is told from time to time how many events were looked at.

        Raises:
            UserNotDeleted: the user still exists.
            NoSuchUser: no user can have this id, or no event is about one who had it.
        """
        if not is_id(USER_PREFIX, user_id):  # `command`, roles and sessions are in events, too
            raise NoSuchUser
        if await self.users.find(user_id) is not None:
            raise UserNotDeleted
        looked_at, changed = 0, 0
        after: str | None = None
        while True:
            page = await self.events.blank(user_id, after=after, limit=_PAGE)
            looked_at, changed = looked_at + page.events, changed + page.changed
            progress(looked_at)
            if page.after is None:
                break
            after = page.after
            await asyncio.sleep(_PAUSE.total_seconds())
        if looked_at == 0:
            raise NoSuchUser
        detail = {"events": str(changed)}
        event = self.audit.event("events.blanked", by, target=user_id, detail=detail)
        await self.audit.record(event)
        return changed
