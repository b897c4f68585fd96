"""The user of a request of the application, and what keeps an open connection theirs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from gatelodge import user
from gatelodge.fastapi.watch import Watch


@dataclass(frozen=True, slots=True)
class User(user.User):
    """A user who is signed in, as a route of the application sees them.

    Attributes:
        authenticated_at: when the user last proved who they are; None: it is not known.
    """

    authenticated_at: datetime | None = None
    _watch: Callable[[], Watch] | None = field(default=None, repr=False, compare=False)

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
            RuntimeError: the user was made by a test, and belongs to no request.
        """
        if self._watch is None:
            raise RuntimeError("This user belongs to no request, so there is nothing to watch.")
        return self._watch()
