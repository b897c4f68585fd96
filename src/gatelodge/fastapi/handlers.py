"""Functions of the application that are told what has happened: `auth.on("user.deleted")`."""

import asyncio
import difflib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gatelodge.notification import Notification
from gatelodge.subscriptions.service import TOLD, Handler

F = TypeVar("F", bound=Callable[[Notification], Any])


@dataclass(slots=True)
class Handlers:
    """The functions of one application, by the names of their subscriptions.

    Attributes:
        functions: what is called.
        events: the names of the events that each wants to hear of.
        closed: whether the application runs, so that no function can be added.
    """

    functions: dict[str, Handler] = field(default_factory=dict)
    events: dict[str, tuple[str, ...]] = field(default_factory=dict)
    closed: bool = False

    def add(self, function: Callable[[Notification], Any], events: tuple[str, ...]) -> None:
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
        for event in events:
            if event not in TOLD:
                near = difflib.get_close_matches(event, TOLD, n=1)
                hint = f" Is {near[0]} meant?" if near else ""
                raise ValueError(f"There is no event {event!r} to hear of.{hint}")
        name = f"{function.__module__}.{function.__qualname__}"
        if name in self.functions:
            raise ValueError(f"There are two functions {name}. Give one of them another name.")
        self.functions[name] = _awaited(function)
        self.events[name] = tuple(sorted(set(events)))


def _awaited(function: Callable[[Notification], Any]) -> Handler:
    """Return the function as one that is awaited; one that is not runs in a thread."""
    if inspect.iscoroutinefunction(function):
        return function

    async def in_thread(notification: Notification) -> None:
        result = await asyncio.to_thread(function, notification)
        if isinstance(result, Awaitable):  # a method that returns a coroutine
            await result

    return in_thread
