"""What happened, as tests look at it."""

from gatelodge.audit import Event, EventQuery, EventStore


async def newest(events: EventStore, limit: int, before: str | None = None) -> list[Event]:
    """Return the events that happened last, the newest first; only ids below `before`."""
    return (await events.search(EventQuery(), before=before, limit=limit)).events
