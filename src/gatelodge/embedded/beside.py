"""A Gatelodge server beside the application: tokens are checked here, and the server is asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

from starlette.requests import HTTPConnection
from typing_extensions import override

from gatelodge import user
from gatelodge.client import NotSignedIn, Verifier
from gatelodge.clock import Clock, SystemClock, to_milliseconds
from gatelodge.embedded.foreign_cookies import ForeignCookies
from gatelodge.embedded.handlers import Handlers
from gatelodge.embedded.source import (
    NOT_RUNNING,
    Asked,
    Source,
    closing,
    offered_token,
    permitted,
)
from gatelodge.embedded.user import CONNECTION, User
from gatelodge.embedded.watch import Watch
from gatelodge.embedded.webhook_route import WEBHOOK_PATH, WebhookRoute
from gatelodge.web.bearer import token_in
from gatelodge.web.public_address import SIGN_IN_PAGE
from gatelodge.web.refusals import ConflictingTokens
from gatelodge.web.shell import App
from gatelodge.webhook_signature import Secrets

SHORTEST = timedelta(seconds=1)
"""How often the server is asked about an open connection, at most."""


class Remote(Source):
    """Answers with a `Verifier`: from its memory as long as `freshness` allows.

    Only tokens in headers count: the cookies of the server belong to its own host.
    """

    def __init__(
        self,
        issuer: str,
        freshness: timedelta,
        clock: Clock | None,
        webhook_secret: Secrets | None = None,
    ) -> None:
        """Prepare; nothing is sent before the first token.

        Args:
            issuer: the public address of the server.
            freshness: how long an answer of the server counts.
            clock: what time it is; None: the machine's clock.
            webhook_secret: signs what the server tells, or several; None: it tells nothing.

        Raises:
            ValueError: the address is none of https, `freshness` is negative, or the webhook secret
                is none.
        """
        self._clock = clock or SystemClock()
        self._issuer = issuer
        self._freshness = freshness
        self._running: Verifier | None = None
        self._cookies = ForeignCookies(issuer)
        self.handlers = Handlers()
        self._webhook = (
            None if webhook_secret is None else WebhookRoute(webhook_secret, self.handlers)
        )
        self._make()  # refuses a wrong address now

    @property
    @override
    def app(self) -> App:
        if self._webhook is None:
            raise RuntimeError("A server beside the application answers its own routes.")
        return self._webhook

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that the application has for the server."""
        return () if self._webhook is None else (WEBHOOK_PATH,)

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @property
    @override
    def cookie(self) -> None:
        return None

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Answer until the context ends."""
        self._cookies.at_start()
        async with self._make() as verifier:
            self._running, self.handlers.closed = verifier, True
            try:
                yield
            finally:
                self._running = None

    def _make(self) -> Verifier:
        return Verifier(self._issuer, freshness=self._freshness, clock=self._clock)

    @property
    def _verifier(self) -> Verifier:
        if self._running is None:
            raise RuntimeError(NOT_RUNNING)
        return self._running

    @override
    def recall(self, connection: HTTPConnection) -> User | None:
        try:
            token = token_in(connection.scope["headers"])
        except ConflictingTokens:
            return None  # `find` refuses them
        found = self._verifier.recall(token) if token else None
        return None if found is None else _as_user(found, connection)

    @override
    async def find(self, connection: HTTPConnection) -> User | None:
        token = offered_token(connection) or token_in(connection.scope["headers"])
        if token is None:
            self._cookies.at_request(connection)
            return None
        return await self.find_by_token(token, connection)

    @override
    async def find_by_token(self, token: str, connection: HTTPConnection) -> User:
        return _as_user(await self._verifier.check(token), connection)

    @override
    def sign_in_page(self, connection: HTTPConnection, path: str = SIGN_IN_PAGE) -> str:
        return ""

    @override
    def watch(self, user: User, connection: HTTPConnection) -> Watch:
        asked = Asked.of(connection)
        rules, token = asked.rules, asked.token or token_in(connection.scope["headers"]) or ""

        async def look_up() -> int | None:
            try:
                found = await self._verifier.check(token)
            except NotSignedIn:
                return None
            return to_milliseconds(found.expires_at) if permitted(rules, found) else None

        return Watch(
            (user.subject, user.session_id),
            _Nothing(),
            self._clock,
            look_up=look_up,
            close=closing(connection),
            ask_every=max(SHORTEST, self._freshness).total_seconds(),
        )


class _Nothing:
    """Tells of no change: the server must be asked."""

    @contextlib.contextmanager
    def waiting(self, *_ids: str) -> Iterator[asyncio.Event]:
        """Yield an event that is never set."""
        yield asyncio.Event()


def _as_user(found: user.User, connection: HTTPConnection) -> User:
    CONNECTION.set(connection)
    return User(
        subject=found.subject,
        username=found.username,
        name=found.name,
        email=found.email,
        email_verified=found.email_verified,
        roles=found.roles,
        permissions=found.permissions,
        expires_at=found.expires_at,
        session_id=found.session_id,
        authenticated_at=found.authenticated_at,
        methods=found.methods,
        impersonator=found.impersonator,
    )
