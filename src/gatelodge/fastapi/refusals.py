"""What a route of the application answers to a caller who may not use it."""

import contextlib
from collections.abc import Iterator

from fastapi import HTTPException
from starlette.exceptions import WebSocketException

from gatelodge.embedded.source import NOT_ADMITTED
from gatelodge.errors import Refusal
from gatelodge.web.responses import plain_answer


class Refused(HTTPException):
    """Gatelodge refuses what a route of the application asks for.

    An exception handler of the application for `HTTPException` gives it the application's own form.
    Without one, the body is `{"detail": {"code": ..., "message": ...}}`.

    Attributes:
        refusal: why.
    """

    def __init__(self, refusal: Refusal) -> None:
        """Refuse."""
        super().__init__(*plain_answer(refusal))
        self.refusal = refusal


class NotAdmitted(Refused):
    """A caller may not use a route of the application."""

    def __init__(self, refusal: Refusal, *, sign_in_at: str = "") -> None:
        """Refuse; lead a browser to the sign-in page at this address, if there is one."""
        super().__init__(refusal)
        if sign_in_at:
            self.status_code = 303
            self.headers = {
                "Location": sign_in_at,
                "Vary": "Accept",
                "Cache-Control": "no-store",
            }


class WebSocketNotAdmitted(WebSocketException):
    """A caller may not open a WebSocket of the application.

    Attributes:
        refusal: why.
    """

    def __init__(self, refusal: Refusal, code: int = NOT_ADMITTED) -> None:
        """Refuse, and close the WebSocket with this code."""
        super().__init__(code, refusal.code)
        self.refusal = refusal


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turn a refusal into an exception that FastAPI answers."""
    try:
        yield
    except Refusal as refusal:
        raise Refused(refusal) from refusal
