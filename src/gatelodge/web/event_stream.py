"""Server-sent events: an answer that stays open (HTML Standard, section 9.2)."""

from collections.abc import AsyncIterator, Callable

from starlette.responses import StreamingResponse
from typing_extensions import override

from gatelodge.web.shell import BARE, Receive, Scope, Send

RECONNECT_MILLISECONDS = 2_000
"""How long browsers wait before they come back."""

BEGINNING = f"retry: {RECONNECT_MILLISECONDS}\n\n"
HEARTBEAT = ":\n\n"
"""A comment, which keeps proxies from closing a silent connection."""


def sent(data: str, *, event_id: str) -> str:
    """Return a message with one line of data, and the id that browsers name when they come back."""
    return f"id: {event_id}\ndata: {data}\n\n"


class EventStream(StreamingResponse):
    """An answer with server-sent events."""

    media_type = "text/event-stream"

    def __init__(
        self,
        messages: AsyncIterator[str] | None = None,
        status_code: int = 200,
        *,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Answer with these messages.

        Args:
            messages: the messages; None: there are none.
            status_code: the status.
            ended: called once when the answer has ended, also if the client hangs up before it has
                begun.
        """
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(messages or _nothing(), status_code, headers)
        self._ended = ended

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope.get(BARE):  # for HEAD, it need not stay open
                self.body_iterator = _nothing()
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def _nothing() -> AsyncIterator[str]:
    """Yield no message."""
    no_messages: tuple[str, ...] = ()
    for message in no_messages:
        yield message
