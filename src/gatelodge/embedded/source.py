"""Where the application learns who makes a request: from the house in it, or from a server."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from gatelodge import user
from gatelodge.clock import Clock
from gatelodge.embedded.user import ASKED, User
from gatelodge.embedded.watch import SIGNED_OUT, Watch
from gatelodge.errors import Refusal
from gatelodge.gate.principal import Principal
from gatelodge.gate.rules import Rule
from gatelodge.web.accept import prefers_page
from gatelodge.web.public_address import SIGN_IN_PAGE, page_after
from gatelodge.web.same_origin import SAFE_METHODS
from gatelodge.web.shell import App

SUBPROTOCOL = "bearer"
"""The subprotocol of a WebSocket whose second one is an access token."""


NOT_ADMITTED = 1008
"""The code of a WebSocket that is refused (RFC 6455, section 7.4.1); browsers see a failure."""

NOT_RUNNING = (
    "Gatelodge has not been started. Pass it to the application: "
    "FastAPI(lifespan=auth.lifespan), or `async with auth.lifespan(app):` in your own lifespan. "
    "A test client runs the lifespan inside `with TestClient(app) as client:` only."
)


class Source(Protocol):
    """Tells who makes a request of the application."""

    @property
    def app(self) -> App:
        """What answers these routes.

        Raises:
            RuntimeError: the lifespan has not begun.
        """

    @property
    def absent(self) -> frozenset[str]:
        """The paths of routes of ours that the settings leave out: they are the application's."""
        return frozenset()

    def run(self) -> AbstractAsyncContextManager[Any]:
        """Answer requests until the context ends."""

    @property
    def cookie(self) -> str | None:
        """The name of the cookie that carries the access token; None: cookies do not count."""

    @property
    def clock(self) -> Clock:
        """What time it is."""

    def recall(self, connection: HTTPConnection) -> User | None:
        """Return who makes a request, from memory alone; None: `find` must tell.

        Raises:
            RuntimeError: the lifespan has not begun.
        """

    async def find(self, connection: HTTPConnection) -> User | None:
        """Return who makes a request, or None if it carries no token.

        Raises:
            Refusal: the token is not good, or nobody can say now whether it is.
            RuntimeError: the lifespan has not begun.
        """

    async def find_by_token(self, token: str, connection: HTTPConnection) -> User:
        """Return whom an access token belongs to that came in another way than a header.

        Raises:
            Refusal: the token is not good, or nobody can say now whether it is.
            RuntimeError: the lifespan has not begun.
        """

    def watch(self, user: User, connection: HTTPConnection) -> Watch:
        """Return a context that ends when the user may not use this connection any more."""

    def sign_in_page(self, connection: HTTPConnection, path: str = SIGN_IN_PAGE) -> str:
        """Return the address of a page of ours, from where one comes back here; empty: none."""

    def sign_in_for(self, connection: HTTPConnection, refusal: Refusal) -> str:
        """Return where a refused request is led, if it is one for a page; empty: nowhere."""
        scope = connection.scope
        if scope["method"] not in SAFE_METHODS or not prefers_page(scope["headers"]):
            return ""
        page = page_after(refusal)
        return self.sign_in_page(connection, page) if page else ""


def offered_token(connection: HTTPConnection) -> str | None:
    """Return the token that a WebSocket offers as its second subprotocol, or None."""
    offered = connection.scope.get("subprotocols", [])
    if len(offered) != 2 or offered[0] != SUBPROTOCOL:
        return None
    asked = Asked.of(connection)
    asked.by_subprotocol, asked.token = True, offered[1]
    return asked.token


def permitted(rules: Iterable[Rule], held: user.User | Principal) -> bool:
    """Say whether all of these rules admit somebody with these roles and permissions."""
    return all(rule.permits(held.roles, held.permissions) for rule in rules)


def closing(connection: HTTPConnection) -> Callable[[], Awaitable[None]]:
    """Return what closes a WebSocket whose user may not use it any more."""

    async def close() -> None:
        if isinstance(connection, WebSocket):
            await connection.close(SIGNED_OUT)

    return close


@dataclass(eq=False, slots=True)
class Asked:
    """What the dependencies of one request know of it. Mounted applications share it.

    Attributes:
        source: tells who makes the request.
        rules: the rules that the request was admitted by, for `User.watch`.
        by_subprotocol: whether the token of a WebSocket came as a subprotocol.
        token: the token of a WebSocket that came as a subprotocol or as its first message.
        watched: the ids of all on which it depends whether the user stands, for `User.watch`.
    """

    source: Source
    rules: list[Rule] = field(default_factory=list)
    by_subprotocol: bool = False
    token: str | None = field(default=None, repr=False)
    watched: tuple[str, ...] = ()

    @classmethod
    def of(cls, connection: HTTPConnection) -> "Asked":
        """Return what is known of a request.

        Raises:
            RuntimeError: Gatelodge is not installed in the application.
        """
        found: Asked | None = connection.scope.get(ASKED)
        if found is None:
            raise RuntimeError(
                "This route asks for the user, but Gatelodge is not installed in the application. "
                "Call auth.install(app) after app = FastAPI(...)."
            )
        return found
