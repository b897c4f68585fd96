"""The user of a request of the application, and what keeps an open connection theirs."""

from contextvars import ContextVar
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from gatelodge import user
from gatelodge.embedded.watch import Watch


@dataclass(frozen=True, slots=True)
class User(user.User):
    """A user who is signed in, as a route of the application sees them."""

    def watch(self) -> Watch:
        """Return a context that ends as soon as this request would be refused.

        It is for what stays open: a WebSocket, or a stream of events. It ends when the user signs
        out, is disabled or deleted, or loses a role or permission that the route requires::

            async with user.watch():
                async for message in websocket.iter_json():
                    ...

        The block is cancelled where it waits, and the code after it goes on. A WebSocket is closed
        with code 4401 first. `Watch.ended` tells whether the block was ended in this way.

        Raises:
            RuntimeError: no request has asked for a user here: a test has replaced the dependency.
        """
        connection = CONNECTION.get(None)
        if connection is None:
            raise RuntimeError("No request has asked for a user, so there is nothing to watch.")
        watch: Watch = connection.scope[ASKED].source.watch(self, connection)
        return watch


CONNECTION: ContextVar[HTTPConnection] = ContextVar("gatelodge.connection")
"""The request that is handled, once it has asked for its user."""

ASKED = "gatelodge.asked_here"
"""The key in the ASGI scope of what `source.py` knows of a request."""
