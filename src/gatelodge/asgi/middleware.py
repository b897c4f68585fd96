"""The middleware: it says who makes a request, and lets in whoever may."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from starlette.authentication import AuthCredentials
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from gatelodge.app import PARTS, Part
from gatelodge.asgi.rules import Default, Rules
from gatelodge.client.verifier import DEFAULT_FRESHNESS
from gatelodge.clock import Clock
from gatelodge.embedded.doorman import Doorman
from gatelodge.embedded.source import NOT_ADMITTED, Asked
from gatelodge.embedded.sources import routes_for, source_for
from gatelodge.embedded.user import User
from gatelodge.errors import Refusal
from gatelodge.gate.conditions import Condition
from gatelodge.gate.refusals import NoToken
from gatelodge.web.responses import plain_answer
from gatelodge.web.shell import App, Message, Receive, Scope, Send

USER = "gatelodge.user_here"
"""The key of the user in the scope that no other middleware writes."""


class GatelodgeMiddleware:
    """ASGI middleware that puts the user into the scope, and guards the declared routes.

    `scope["user"]` is the `User`, or None if nobody is signed in. `scope["auth"]` has the scopes
    `authenticated` and the user's permissions, for Starlette's `@requires`. Put it around the whole
    application, so that it gets the lifespan events; it runs Gatelodge from the first to the last.

    Attributes:
        source: what tells who makes a request.
        house: the routes that come with it, before those of the application.
        rules: the declared routes.
    """

    def __init__(
        self,
        app: App,
        issuer: str | None = None,
        *,
        default: Default,
        routes: Mapping[str, Condition] | None = None,
        freshness: timedelta = DEFAULT_FRESHNESS,
        prefix: str = "",
        parts: Collection[Part] = tuple(PARTS),
        home: str = "/",
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        """Remember all of it. Nothing is read, made or opened before the lifespan begins.

        Args:
            app: the application.
            issuer: the address of a Gatelodge server beside the application; without it, Gatelodge
                runs in this process, and its own routes are added to the application's.
            default: who may call what `routes` does not name: `"public"` or `"signed in"`.
            routes: who may call which route: `{"GET /notes": signed_in}`. The methods `*` and
                `WEBSOCKET` stand for any method, and for a WebSocket.
            freshness: how long an answer of that server counts, at most. 0 asks for each request.
            prefix: the path below which the routes of Gatelodge are, such as `/auth`.
            parts: which routes of Gatelodge are added; see `gatelodge.fastapi`.
            home: the address of the application's start page, where people go after sign-in.
            clock: what time it is; by default the machine's clock. For tests.
            settings: settings of Gatelodge in this process, by their names in lower case.

        Raises:
            TypeError: there is no such setting, or what stands beside a route is no condition.
            ValueError: a route, the default, the prefix, a part or the address cannot be read.
        """
        self._app = app
        self.source = source_for(issuer, freshness, home, clock, settings)
        self.house = routes_for(self.source, prefix, parts)
        self.rules = Rules(routes or {}, default)
        self._doorman = Doorman(self._admit, self.source)
        self._runs = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or run as long as the application."""
        if scope["type"] == "lifespan":
            await self._run(scope, receive, send)
        elif scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
        elif not self._runs:
            raise RuntimeError(
                "Gatelodge has not been started: it has seen no lifespan event. Put the middleware "
                "around the whole application, and let the server send these events."
            )
        elif self.house.matches(scope)[0].value:
            await self.house.handle(scope, receive, send)
        else:
            await self._doorman(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, if its caller may make it."""
        is_websocket = scope["type"] == "websocket"
        connection = WebSocket(scope, receive, send) if is_websocket else HTTPConnection(scope)
        try:
            user = await self._admitted(connection)
        except Refusal as refusal:
            if isinstance(connection, WebSocket):
                await connection.close(NOT_ADMITTED, refusal.code)
            else:
                leads_to = self.source.sign_in_for(connection, refusal)
                await _answer(refusal, leads_to)(scope, receive, send)
            return
        scope[USER] = scope["user"] = user
        held = [] if user is None else ["authenticated", *sorted(user.permissions)]
        scope["auth"] = AuthCredentials(held)
        await self._app(scope, receive, send)

    async def _admitted(self, connection: HTTPConnection) -> User | None:
        """Return the user, or None where anybody may call and nobody is known.

        Raises:
            Refusal: the caller may not make this request.
        """
        conditions = self.rules.conditions(connection.scope)
        if all(each.rule.public for each in conditions):
            return await self._anybody(connection)
        user = self.source.recall(connection) or await self.source.find(connection)
        if user is None:
            raise NoToken
        for each in conditions:
            each.check(user, self.source.clock)
        Asked.of(connection).rules.extend(each.rule for each in conditions)
        return user

    async def _anybody(self, connection: HTTPConnection) -> User | None:
        """Return the user, or None also if nobody can say who it is: the route may do without."""
        try:
            return self.source.recall(connection) or await self.source.find(connection)
        except Refusal:
            return None

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run Gatelodge around the lifespan of the application."""
        lifespan = _Lifespan(receive, send)
        try:
            async with self.source.run():
                self._runs = True
                await lifespan.run(self._app, scope)
        except Exception as error:
            await lifespan.fail(error)
            raise
        finally:
            self._runs = False


class _Lifespan:
    """The lifespan of an application, also of one that knows nothing of lifespans."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._received = 0
        self._answered = False

    async def run(self, app: App, scope: Scope) -> None:
        """Pass the events to the application, or answer them in its place if it wants none."""
        try:
            await app(scope, self._hear, self._say)
        except Exception:
            if self._received:
                raise
        if not self._answered:
            await self._stand_in()

    async def fail(self, error: Exception) -> None:
        """Tell the server that the start has failed, if it does not know yet how it went."""
        if not self._answered:
            await self._say({"type": "lifespan.startup.failed", "message": str(error)})

    async def _stand_in(self) -> None:
        for number, done in enumerate(("startup", "shutdown")):
            if self._received <= number:
                await self._hear()
            await self._say({"type": f"lifespan.{done}.complete"})

    async def _hear(self) -> Message:
        message = await self._receive()
        self._received += 1
        return message

    async def _say(self, message: Message) -> None:
        self._answered = True
        await self._send(message)


def _answer(refusal: Refusal, leads_to: str) -> Response:
    """Return the answer to a refused request: the sign-in page for a browser, or JSON."""
    if leads_to:
        headers = {"Location": leads_to, "Vary": "Accept", "Cache-Control": "no-store"}
        return Response(status_code=303, headers=headers)
    status, body, headers = plain_answer(refusal)
    return JSONResponse(body, status, headers)


def user_of(scope: Mapping[str, Any]) -> User | None:
    """Return who makes a request, or None if nobody is signed in.

    Args:
        scope: the ASGI scope, or a `Request` or `WebSocket` of Starlette.

    Raises:
        RuntimeError: the request has not come through the middleware.
    """
    if USER not in scope:
        raise RuntimeError("Put GatelodgeMiddleware around the application.")
    user: User | None = scope[USER]
    return user
