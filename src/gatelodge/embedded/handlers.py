"""Functions of the application that are told what has happened: `auth.on("user.deleted")`."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from starlette._utils import is_async_callable

from gatelodge.notification import Notification
from gatelodge.subscriptions.refusals import UnknownEvent
from gatelodge.subscriptions.service import HANDLER_TIME, Handler, checked_events

F = TypeVar("F", bound=Callable[[Notification], Any])


@dataclass(slots=True)
class Handlers:
    """The functions of one application that are told what has happened.

    Each event of each function is a subscription of its own. So two versions of an application may
    run side by side, one of which has a function that wants to hear of more.

    Attributes:
        functions: what is called, by the name of the subscription.
        events: the names of the events, by the name of the subscription.
        closed: whether the application runs, so that no function can be added.
    """

    functions: dict[str, Handler] = field(default_factory=dict)
    events: dict[str, tuple[str, ...]] = field(default_factory=dict)
    closed: bool = False

    def add(self, function: Callable[[Notification], Any], events: Collection[str]) -> None:
        """Add a function, under its module and its name.

        Raises:
            TypeError: no event is named.
            ValueError: there is no such event, or another function has this name.
            RuntimeError: the application runs already.
        """
        if self.closed:
            raise RuntimeError("Call auth.on(…) before the application starts.")
        if not events:
            raise TypeError('Name at least one event: @auth.on("user.deleted").')
        named = getattr(function, "__qualname__", type(function).__qualname__)
        name = f"{getattr(function, '__module__', '')}.{named}"
        handler = _awaited(function)
        try:
            wanted = checked_events(events)
        except UnknownEvent as unknown:
            raise ValueError(unknown.message) from None
        for event in wanted:
            if f"{name}:{event}" in self.functions:
                raise ValueError(f"There are two functions {name}. Give one of them another name.")
            self.functions[f"{name}:{event}"] = handler
            self.events[f"{name}:{event}"] = (event,)


def _awaited(function: Callable[[Notification], Any]) -> Handler:
    """Return the function as one that is awaited; one that is not runs in a thread."""
    if is_async_callable(function):

        async def in_time(notification: Notification) -> None:
            async with asyncio.timeout(HANDLER_TIME.total_seconds()):
                await function(notification)

        return in_time
    return partial(_in_thread, function)


async def _in_thread(function: Callable[[Notification], Any], notification: Notification) -> None:
    """Call a function in a thread. Nobody can stop a thread, so it is waited for in any case."""
    running = asyncio.create_task(asyncio.to_thread(function, notification))
    while not running.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([running])
    result = running.result()
    if isinstance(result, Awaitable):  # a function that returns a coroutine
        await result
